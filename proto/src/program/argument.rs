//! One argument of a command, with its macros.

use super::{ExpandError, Meaning, flags};
use crate::config::nearest;

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A macro that stands for as many arguments as there are parameters.
    Parameters(Style),
    /// Text with macros that stand for text.
    Text(Vec<Piece>),
}

/// How parameters become arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `--lr=0.1`
    Flags,
    /// `lr=0.1`
    NoHyphens,
    /// `--lr`, `0.1`
    NoEquals,
    /// `--lr=0.1`; `--bias` for what is true, and nothing for what is false.
    NoBooleans,
    /// `+lr=0.1`
    Append,
    /// `++lr=0.1`
    Override,
}

/// A piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Literal(String),
    /// Something that every attempt has.
    Known(Known),
    /// An environment variable.
    Variable(String),
}

/// What every attempt has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// `/usr/bin/env`
    Env,
    /// Python.
    Interpreter,
    /// The sweep's program.
    Program,
    /// The parameters as JSON.
    Json,
    /// A file of them.
    JsonFile,
    /// Of the replicate.
    Seed,
}

const STYLES: [(&str, Style); 6] = [
    ("args", Style::Flags),
    ("args_no_hyphens", Style::NoHyphens),
    ("args_no_equals", Style::NoEquals),
    ("args_no_boolean_flags", Style::NoBooleans),
    ("args_append_hydra", Style::Append),
    ("args_override_hydra", Style::Override),
];

const KNOWN: [(&str, Known); 6] = [
    ("env", Known::Env),
    ("interpreter", Known::Interpreter),
    ("program", Known::Program),
    ("args_json", Known::Json),
    ("args_json_file", Known::JsonFile),
    ("seed", Known::Seed),
];

/// What is wrong with a macro, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MacroError {
    /// Where in the argument, in characters.
    pub offset: usize,
    /// What was wrong, and what would be right.
    pub message: String,
}

impl Argument {
    /// Reads an argument. `$$` before a brace is a `$` that begins no macro.
    ///
    /// # Errors
    /// A macro is unknown, is not closed, or stands for many arguments within one.
    pub fn parse(text: &str) -> Result<Self, MacroError> {
        if let Some((_, style)) = STYLES.iter().find(|(name, _)| text == format!("${{{name}}}")) {
            return Ok(Self::Parameters(*style));
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let escaped = rest[..start].ends_with('$');
            literal += &rest[..start];
            if escaped {
                literal += "{"; // the `$` before it stands already
                rest = &rest[start + 2..];
                continue;
            }
            let offset = text[..text.len() - rest.len() + start].chars().count();
            let error = |message| MacroError { offset, message };
            let after = &rest[start + 2..];
            let (name, behind) = after.split_once('}').ok_or_else(|| error("`${` is not closed; write `$${` for itself".to_owned()))?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(piece(name).map_err(error)?);
            rest = behind;
        }
        literal += rest;
        if !literal.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self::Text(pieces))
    }

    /// Whether it has the macro `${program}`.
    pub fn names_program(&self) -> bool {
        matches!(self, Self::Text(pieces) if pieces.contains(&Piece::Known(Known::Program)))
    }

    /// Adds what it stands for.
    pub(super) fn expand(&self, program: &str, meaning: &Meaning, arguments: &mut Vec<String>) -> Result<(), ExpandError> {
        match self {
            Self::Parameters(style) => {
                flags::flat(meaning.parameters).iter().for_each(|(name, value)| style.add(name, value, arguments));
            }
            Self::Text(pieces) => {
                let texts = pieces.iter().map(|piece| piece.expand(program, meaning));
                arguments.push(texts.collect::<Result<String, _>>()?);
            }
        }
        Ok(())
    }
}

fn piece(name: &str) -> Result<Piece, String> {
    if let Some(variable) = name.strip_prefix("envvar:") {
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        return if is_name(variable) {
            Ok(Piece::Variable(variable.to_owned()))
        } else {
            Err("`${envvar:…}` takes the name of an environment variable: letters, digits and `_`".into())
        };
    }
    if let Some((_, known)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return Ok(Piece::Known(*known));
    }
    if STYLES.iter().any(|(known, _)| *known == name) {
        return Err(format!("`${{{name}}}` stands for an argument for each parameter; make it an item of its own"));
    }
    let names = || STYLES.iter().map(|(name, _)| *name).chain(KNOWN.iter().map(|(name, _)| *name));
    let shown: String = name.chars().take(40).collect();
    Err(match nearest(&shown, names()) {
        Some(near) => format!("unknown macro `${{{shown}}}`; did you mean `${{{near}}}`?"),
        None => {
            let known = names().map(|name| format!("${{{name}}}")).collect::<Vec<_>>().join(", ");
            format!("unknown macro `${{{shown}}}`; known are {known} and ${{envvar:NAME}}, and `$${{` stands for itself")
        }
    })
}

impl Piece {
    fn expand(&self, program: &str, meaning: &Meaning) -> Result<String, ExpandError> {
        match self {
            Self::Literal(text) => Ok(text.clone()),
            Self::Variable(name) => (meaning.variable)(name).ok_or_else(|| ExpandError::NoVariable(name.clone())),
            Self::Known(Known::Env) => Ok("/usr/bin/env".into()),
            Self::Known(Known::Interpreter) => meaning.interpreter.map(str::to_owned).ok_or(ExpandError::NoInterpreter),
            Self::Known(Known::Program) => Ok(program.to_owned()),
            Self::Known(Known::Json) => Ok(meaning.parameters.to_string()),
            Self::Known(Known::JsonFile) => Ok(meaning.parameters_file.to_owned()),
            Self::Known(Known::Seed) => Ok(meaning.seed.to_string()),
        }
    }
}

impl Style {
    fn add(self, name: &str, value: &serde_json::Value, arguments: &mut Vec<String>) {
        let text = flags::text(value);
        match (self, value.as_bool()) {
            (Self::NoBooleans, Some(false)) => {}
            (Self::NoBooleans, Some(true)) => arguments.push(format!("--{name}")),
            (Self::Flags | Self::NoBooleans, _) => arguments.push(format!("--{name}={text}")),
            (Self::NoHyphens, _) => arguments.push(format!("{name}={text}")),
            (Self::NoEquals, _) => arguments.extend([format!("--{name}"), text]),
            (Self::Append, _) => arguments.push(format!("+{name}={text}")),
            (Self::Override, _) => arguments.push(format!("++{name}={text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mistakes_are_pointed_at() {
        let cases = [
            ("é${sed}", 1, "unknown macro `${sed}`; did you mean `${seed}`?"),
            ("--x=${args}", 4, "`${args}` stands for an argument for each parameter; make it an item of its own"),
            ("${envvar:}", 0, "`${envvar:…}` takes the name of an environment variable: letters, digits and `_`"),
            ("a ${b", 2, "`${` is not closed; write `$${` for itself"),
        ];
        for (text, offset, message) in cases {
            assert_eq!(Argument::parse(text), Err(MacroError { offset, message: message.into() }), "{text}");
        }
        assert!(Argument::parse("${qqqq}").unwrap_err().message.contains("known are ${args}, "));
    }

    #[test]
    fn dollars_that_begin_no_macro_stay() {
        for (text, literal) in [("$", "$"), ("$x", "$x"), ("$$", "$$"), ("$${x}", "${x}"), ("a$${", "a${"), ("", "")] {
            assert_eq!(Argument::parse(text), Ok(Argument::Text(vec![Piece::Literal(literal.into())])), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[$\\{\\}a-z:é_ ]{0,20}") {
            let _ = Argument::parse(&text);
        }

        #[test]
        fn escaped_text_stands_for_itself(text in "[a-z{} é=-]{0,12}") {
            let escaped = format!("$${{{text}");
            prop_assert_eq!(Argument::parse(&escaped), Ok(Argument::Text(vec![Piece::Literal(format!("${{{text}"))])));
        }
    }
}
