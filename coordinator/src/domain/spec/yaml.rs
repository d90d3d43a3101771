//! YAML text to a tree in which every value and every key knows its place.
//!
//! A tree of our own rather than serde: an error must name line and column of the very value that is wrong, also when that shows only
//! after several values were compared. Limits on size, depth and what aliases expand to keep a hostile file cheap.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::error::{Position, Report};

/// Bytes that a sweep file may have.
const BYTE_LIMIT: usize = 1 << 20;
/// Mappings and lists that may lie in one another.
const DEPTH_LIMIT: usize = 32;
/// Values that a file may have, aliases expanded.
const NODE_LIMIT: usize = 100_000;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub at: Position,
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Int(i64),
    /// Also what is too large for an integer; may be infinite or not a number.
    Float(f64),
    Text {
        text: String,
        /// Where the text itself starts, inside its quotes; none where it is not in the file as it reads.
        text_at: Option<Position>,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub at: Position,
    pub value: Node,
}

impl Node {
    /// What the value is, for a message: `` `many` ``, `a list`, `nothing`.
    pub(crate) fn description(&self) -> String {
        match &self.content {
            Content::Null => "nothing".into(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Int(value) => format!("`{value}`"),
            Content::Float(value) => format!("`{value}`"),
            // Quotes are easily overlooked, and without them this would be another value.
            Content::Text { text, .. } if plain(text).is_some() => format!("the text `{text}`"),
            Content::Text { text, .. } => format!("`{}`", shortened(text)),
            Content::List(_) => "a list".into(),
            Content::Map(_) => "a mapping".into(),
        }
    }
}

/// `text` on one line and no longer than a message can bear.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    const LIMIT: usize = 60;
    if text.chars().count() <= LIMIT && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let clean: String = text.chars().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Cow::Owned(format!("{clean}…"))
}

/// The one document of `yaml`, or none after an error.
pub(crate) fn parse(yaml: &str, report: &mut Report) -> Option<Node> {
    if yaml.len() > BYTE_LIMIT {
        return report.error(Position::START, format!("the file has {} bytes; a sweep file may have {BYTE_LIMIT}", yaml.len()));
    }
    let mut options = serde_yaml::granit_parser::Options::default();
    options.emit_comments = false;
    let mut reader = Reader { yaml, events: Parser::new_from_str_with_options(yaml, options), report, anchors: HashMap::new(), nodes: 0 };
    reader.document()
}

struct Reader<'a, 'r, I> {
    yaml: &'a str,
    events: I,
    report: &'r mut Report,
    /// What aliases stand for, with its number of values and its depth. An anchor that is still being read is not among them.
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
}

impl<'a, I: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Reader<'a, '_, I> {
    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        match self.events.next()? {
            Ok(event) => Some(event),
            Err(error) => {
                let at = Position { line: error.marker().line().max(1), column: error.marker().col() + 1 };
                self.report.error(at, syntax_message(self.yaml, at, &error.info()))
            }
        }
    }

    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        while let Some((event, span)) = self.next() {
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return self
                        .report
                        .error(position(&span), "a second document starts here; a sweep file is one document, so remove this one");
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, &span, 0)?.0),
            }
        }
        match root {
            Some(Node { content: Content::Null, .. }) | None if self.report.is_empty() => {
                self.report.error(Position::START, "the file is empty; the least a sweep needs is `benchmark: NAME`")
            }
            root => root,
        }
    }

    /// Reads the node that starts with `event`; returns it with its depth.
    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Option<(Node, usize)> {
        let at = position(span);
        let before = self.nodes;
        self.count(1, at)?;
        if depth >= DEPTH_LIMIT {
            return self.report.error(at, format!("values lie deeper than {DEPTH_LIMIT} levels in one another; a sweep file needs five"));
        }
        if let Some(tag) = event.tag() {
            return self.report.error(at, format!("tag `{}`; sweep files take values without tags", shortened(&tag.original())));
        }
        let anchor = event.anchor_id();
        let (content, inner_depth) = match event {
            Event::Scalar(text, style, ..) => (self.scalar(text, style, span), 0),
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.map(depth)?,
            Event::Alias(id) => return self.alias(id, at, depth),
            _ => return self.report.error(at, "unexpected YAML; write a value"),
        };
        let node = Node { at, content };
        if let Some(id) = anchor {
            self.anchors.insert(id, (node.clone(), self.nodes - before, inner_depth));
        }
        Some((node, inner_depth + 1))
    }

    fn count(&mut self, nodes: usize, at: Position) -> Option<()> {
        self.nodes += nodes;
        if self.nodes > NODE_LIMIT {
            return self.report.error(at, format!("the file expands to more than {NODE_LIMIT} values; shorten it or use fewer aliases"));
        }
        Some(())
    }

    fn alias(&mut self, id: usize, at: Position, depth: usize) -> Option<(Node, usize)> {
        let Some((_, nodes, inner_depth)) = self.anchors.get(&id) else {
            return self.report.error(at, "this alias lies inside the value that it stands for; write the value out");
        };
        let (nodes, inner_depth) = (*nodes, *inner_depth);
        if depth + inner_depth >= DEPTH_LIMIT {
            return self.report.error(at, format!("this alias makes values lie deeper than {DEPTH_LIMIT} levels in one another"));
        }
        self.count(nodes, at)?;
        Some((self.anchors.get(&id)?.0.clone(), inner_depth + 1))
    }

    fn list(&mut self, depth: usize) -> Option<(Content, usize)> {
        let (mut items, mut deepest) = (Vec::new(), 0);
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Some((Content::List(items), deepest));
            }
            let (item, inner) = self.node(event, &span, depth + 1)?;
            deepest = deepest.max(inner);
            items.push(item);
        }
    }

    fn map(&mut self, depth: usize) -> Option<(Content, usize)> {
        let (mut entries, mut deepest) = (Vec::<Entry>::new(), 0);
        let mut lines = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            let (key, key_at) = match event {
                Event::MappingEnd => return Some((Content::Map(entries), deepest)),
                Event::Scalar(text, _, 0, None) => (text.into_owned(), position(&span)),
                _ => return self.report.error(position(&span), "a key must be a plain word, as in `name: value`"),
            };
            if key == "<<" {
                self.report.error::<()>(key_at, "merge key `<<` is not supported; write the keys out");
            } else if let Some(line) = lines.insert(key.clone(), key_at.line) {
                self.report.error::<()>(key_at, format!("key `{}` is already on line {line}; remove one of the two", shortened(&key)));
            }
            let (event, span) = self.next()?;
            let (value, inner) = self.node(event, &span, depth + 1)?;
            deepest = deepest.max(inner);
            entries.push(Entry { key, at: key_at, value });
        }
    }

    fn scalar(&self, text: Cow<'a, str>, style: ScalarStyle, span: &Span) -> Content {
        if matches!(style, ScalarStyle::Plain)
            && let Some(content) = plain(&text)
        {
            return content;
        }
        let offset = span.slice(self.yaml).and_then(|source| Some(source[..source.find(text.as_ref())?].chars().count()));
        let at = position(span);
        let on_one_line = !text.contains('\n') && !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let text_at = offset.filter(|_| on_one_line).map(|offset| Position { column: at.column + offset, ..at });
        Content::Text { text: text.into_owned(), text_at }
    }
}

/// Null, truth or number by YAML 1.2's core schema; none for words.
fn plain(text: &str) -> Option<Content> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Content::Null),
        "true" | "True" | "TRUE" => return Some(Content::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Content::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Some(Content::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Content::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Content::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    if let Some(int) = integer(text) {
        return Some(Content::Int(int));
    }
    // Rust also reads words such as `infinity`, which YAML does not.
    let looks_like_a_number =
        text.contains(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    let number = text.parse().ok().filter(|_| looks_like_a_number)?;
    Some(Content::Float(number))
}

fn integer(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok();
    }
    text.parse().ok()
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line().max(1), column: span.start.col() + 1 }
}

/// The parser's finding; tabs get a clearer one, as they are its most frequent cause and cannot be seen.
fn syntax_message(yaml: &str, at: Position, info: &str) -> String {
    let lines = || yaml.lines().take(at.line).skip(at.line.saturating_sub(2));
    let is_indented_by_tab = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    if lines().any(is_indented_by_tab) {
        return "not valid YAML: the line is indented with a tab; use spaces".into();
    }
    format!("not valid YAML: {}", info.replace(char::is_control, " "))
}
