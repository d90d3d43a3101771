//! What was measured, as a table.

use serde::Serialize;

use crate::{failure::Failure, output::Table};

/// One row for each field of `figures`.
pub fn table(figures: &impl Serialize) -> Result<Table, Failure> {
    let fields = serde_json::to_value(figures)?;
    let rows = fields.as_object().into_iter().flatten().map(|(name, value)| {
        let text = match (value.as_str(), value.as_u64(), value.as_f64()) {
            (Some(text), ..) => text.to_owned(),
            (_, Some(whole), _) => whole.to_string(),
            (.., number) => format!("{:.2}", number.unwrap_or(f64::NAN)),
        };
        vec![name.clone(), text]
    });
    Ok(Table { headers: vec!["figure", ">value"], rows: rows.collect() })
}
