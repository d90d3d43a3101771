//! Parameters as a command line has them.

use serde_json::Value;

/// The parameters of a JSON object in its order, those of groups under dotted names.
pub(super) fn flat(parameters: &Value) -> Vec<(String, &Value)> {
    let mut flags = Vec::new();
    collect("", parameters, &mut flags);
    flags
}

fn collect<'a>(group: &str, parameters: &'a Value, flags: &mut Vec<(String, &'a Value)>) {
    for (name, value) in parameters.as_object().into_iter().flatten() {
        let name = if group.is_empty() { name.clone() } else { format!("{group}.{name}") };
        match value {
            Value::Object(_) => collect(&name, value, flags),
            value => flags.push((name, value)),
        }
    }
}

/// A value as text. Truth is `True` and `False`, as it is in Python, and so from Weights & Biases; lists are JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
