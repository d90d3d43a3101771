//! What was measured: how many values become one, and all of them a table.

use serde::Serialize;

use crate::{failure::Failure, output::Table};

/// One row for each field of `figures` that has a value.
pub fn table(figures: &impl Serialize) -> Result<Table, Failure> {
    let fields = serde_json::to_value(figures)?;
    let rows = fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let text = match (value.as_str(), value.as_u64(), value.as_f64()) {
            (Some(text), ..) => text.to_owned(),
            (_, Some(whole), _) => whole.to_string(),
            (.., number) => format!("{:.2}", number.unwrap_or(f64::NAN)),
        };
        vec![name.clone(), text]
    });
    Ok(Table { headers: vec!["figure", ">value"], rows: rows.collect() })
}

/// The value below which `share` of `values` lie, which are sorted for it; of none, not a number.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}
