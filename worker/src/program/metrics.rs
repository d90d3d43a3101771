//! The metrics of a program: JSON objects, a line each.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value};

/// The most metrics of one program; a coordinator takes no more.
const NAMES_LIMIT: usize = 256;
/// The most bytes of a metric's name.
const NAME_LIMIT_BYTES: usize = 128;

/// What one line reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// As the line says it.
    pub step: Option<u64>,
    /// By name, in the order of the line; may be no numbers.
    pub values: Vec<(String, f64)>,
}

/// The metrics of a line, if it reports any: a JSON object with a number in it beside `step`.
///
/// Python writes `NaN` and `Infinity`, which JSON does not have; here they are numbers that are none.
pub fn parse(line: &str) -> Option<Reported> {
    if !line.trim_start().starts_with('{') {
        return None;
    }
    let object: Map<String, Value> = serde_json::from_str(&quoted(line)).ok()?;
    let step = object.get("step").and_then(whole);
    let values: Vec<_> =
        object.into_iter().filter(|(name, _)| name != "step").filter_map(|(name, value)| Some((name, number(&value)?))).collect();
    (!values.is_empty()).then_some(Reported { step, values })
}

/// The words of Python for what is no number.
const WORDS: [(&str, f64); 3] = [("NaN", f64::NAN), ("-Infinity", f64::NEG_INFINITY), ("Infinity", f64::INFINITY)];

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => WORDS.iter().find(|(word, _)| word == text).map(|(_, value)| *value),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u64> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=9e15).contains(number))?;
    Some(number as u64)
}

/// `line` with Python's words in quotes, where they stand outside of texts.
fn quoted(line: &str) -> Cow<'_, str> {
    if !WORDS.iter().any(|(word, _)| line.contains(word)) {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len() + 16);
    let (mut rest, mut is_inside) = (line, false);
    while let Some(c) = rest.chars().next() {
        if !is_inside && let Some((word, _)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            text += &format!("\"{word}\"");
            rest = &rest[word.len()..];
            continue;
        }
        let taken = if is_inside && c == '\\' { rest.chars().take(2).map(char::len_utf8).sum() } else { c.len_utf8() };
        is_inside ^= c == '"';
        text += &rest[..taken];
        rest = &rest[taken..];
    }
    Cow::Owned(text)
}

/// What a program has reported so far.
#[derive(Debug, Default)]
pub struct Tally {
    metric: String,
    last: BTreeMap<String, f64>,
    step: u64,
    /// Names that were not taken.
    refused: Option<String>,
}

impl Tally {
    /// Nothing so far; `metric` is the one that must come.
    pub fn new(metric: String) -> Self {
        Self { metric, ..Self::default() }
    }

    /// The step of the last report; reports that say none are counted from 1.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// Takes a report; returns the finite values of it, which belong to [`step`](Self::step).
    pub fn take(&mut self, reported: Reported) -> Vec<(String, f64)> {
        self.step = reported.step.unwrap_or(self.step + 1);
        let mut points = Vec::with_capacity(reported.values.len());
        for (name, value) in reported.values {
            if !self.has_room_for(&name) {
                self.refused.get_or_insert(name);
                continue;
            }
            if value.is_finite() {
                points.push((name.clone(), value));
            }
            self.last.insert(name, value);
        }
        points
    }

    /// A place is kept for the metric that must come.
    fn has_room_for(&self, name: &str) -> bool {
        let is_name = !name.is_empty() && name.len() <= NAME_LIMIT_BYTES && !name.contains(char::is_control);
        let has_room = self.last.contains_key(name) || name == self.metric || self.last.len() < NAMES_LIMIT - 1;
        is_name && has_room
    }

    /// What was left out, for people; once.
    pub fn refusal(&mut self) -> Option<String> {
        let name: String = self.refused.take()?.chars().take(60).collect();
        Some(format!(
            "metrics such as `{name}` are left out: there may be {NAMES_LIMIT}, with names of 1 to {NAME_LIMIT_BYTES} bytes without control characters"
        ))
    }

    /// The last value of the metric that must come, where that is no number.
    pub fn diverged(&self) -> Option<f64> {
        self.last.get(&self.metric).copied().filter(|value| !value.is_finite())
    }

    /// The last value of each metric that is a number.
    pub fn result(&self) -> BTreeMap<String, f64> {
        self.last.iter().filter(|(_, value)| value.is_finite()).map(|(name, value)| (name.clone(), *value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reported(step: Option<u64>, values: &[(&str, f64)]) -> Option<Reported> {
        Some(Reported { step, values: values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect() })
    }

    #[test]
    fn lines_that_report_and_lines_that_do_not() {
        let cases = [
            (r#"{"loss": 0.5}"#, reported(None, &[("loss", 0.5)])),
            (r#"  {"step": 3, "loss": 1, "note": "x", "ok": true, "list": [1]} "#, reported(Some(3), &[("loss", 1.0)])),
            (r#"{"step": 3.0, "a/b": -1e-9}"#, reported(Some(3), &[("a/b", -1e-9)])),
            (r#"{"step": -1, "a": 1}"#, reported(None, &[("a", 1.0)])),
            (r#"{"step": 1e300, "a": 1}"#, reported(None, &[("a", 1.0)])),
            (r#"{"step": 3}"#, None),
            (r#"{"x": {"loss": 1}}"#, None),
            ("{}", None),
            (r#"{"loss": 0.5"#, None),
            (r#"{"loss": 0.5} and more"#, None),
            ("[1, 2]", None),
            ("loss: 0.5", None),
            (r#"{"loss": 1e999}"#, None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn what_python_calls_numbers() {
        let found = parse(r#"{"NaN is \"NaN": 1, "a": NaN, "b": -Infinity, "c": Infinity, "s": "x NaN"}"#).unwrap();
        let names: Vec<_> = found.values.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["NaN is \"NaN", "a", "b", "c"]);
        assert!(found.values[1].1.is_nan() && found.values[2].1 == f64::NEG_INFINITY && found.values[3].1 == f64::INFINITY);
    }

    #[test]
    fn the_last_value_counts_and_steps_are_counted_where_none_are_said() {
        let mut tally = Tally::new("loss".into());
        assert_eq!(tally.take(parse(r#"{"loss": 2, "acc": 0.1}"#).unwrap()), [("loss".to_owned(), 2.0), ("acc".to_owned(), 0.1)]);
        assert_eq!(tally.step(), 1);
        tally.take(parse(r#"{"loss": 1, "step": 10}"#).unwrap());
        tally.take(parse(r#"{"loss": 0.5}"#).unwrap());
        assert_eq!((tally.step(), tally.diverged()), (11, None));
        assert_eq!(tally.result(), BTreeMap::from([("loss".to_owned(), 0.5), ("acc".to_owned(), 0.1)]));
        assert_eq!(tally.take(parse(r#"{"loss": NaN, "acc": Infinity}"#).unwrap()), []);
        assert!(tally.diverged().unwrap().is_nan() && tally.result().is_empty());
    }

    #[test]
    fn any_number_of_metrics_takes_bounded_room_and_none_from_the_one_that_must_come() {
        let mut tally = Tally::new("loss".into());
        for index in 0..10_000 {
            tally.take(Reported { step: None, values: vec![(format!("m{index}"), 1.0)] });
        }
        tally.take(Reported {
            step: None,
            values: vec![("loss".into(), 1.0), ("m3".into(), 2.0), ("x".repeat(129), 1.0), ("a\u{7}".into(), 1.0)],
        });
        assert_eq!((tally.result().len(), tally.result()["loss"], tally.result()["m3"]), (NAMES_LIMIT, 1.0, 2.0));
        assert!(tally.refusal().unwrap().starts_with("metrics such as `m255` are left out"));
        assert_eq!(tally.refusal(), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in "\\{?(NaN|-|Infinity|[\"\\\\{}:,0-9a-zé \u{1b}]){0,40}\\}?") {
            parse(&line);
        }

        #[test]
        fn numbers_come_back_as_they_were(value in -1e9_f64..1e9, name in "[a-z_/NI][a-zA-Z_/]{0,9}") {
            prop_assume!(name != "step");
            let found = parse(&serde_json::json!({&name: value, "step": 7}).to_string()).unwrap();
            prop_assert_eq!((found.step, found.values.len(), &found.values[0].0), (Some(7), 1, &name));
            // The parser of JSON may miss the last bit.
            prop_assert!((found.values[0].1 - value).abs() <= 1e-15 * value.abs());
        }
    }
}
