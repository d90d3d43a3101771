//! Tables, JSON and CSV; the only place that writes to standard output.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, presets};
use serde::Serialize;

use crate::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: stable and documented.
    Json,
    /// For spreadsheets.
    Csv,
}

/// Rows under headers.
pub struct Table {
    /// The headers; one that begins with `>` has its column aligned right.
    pub headers: Vec<&'static str>,
    /// The cells, as many in each row as there are headers.
    pub rows: Vec<Vec<String>>,
}

/// Prints `value` as JSON, or `table` in one of the other forms.
pub fn print(format: Format, table: &Table, value: &impl Serialize) -> Result<(), Failure> {
    let text = match format {
        Format::Table => aligned(table) + "\n",
        Format::Json => serde_json::to_string_pretty(value)? + "\n",
        Format::Csv => comma_separated(table),
    };
    write(&text)
}

/// Prints `text` as it is.
pub fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// `table` in columns of spaces.
pub fn aligned(table: &Table) -> String {
    let mut drawn = comfy_table::Table::new();
    drawn.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    drawn.set_header(table.headers.iter().map(|header| header.trim_start_matches('>')));
    for row in &table.rows {
        drawn.add_row(row);
    }
    for (index, header) in table.headers.iter().enumerate() {
        if let (true, Some(column)) = (header.starts_with('>'), drawn.column_mut(index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    drawn.to_string()
}

fn comma_separated(table: &Table) -> String {
    let headers = table.headers.iter().map(|header| header.trim_start_matches('>').to_owned()).collect();
    std::iter::once(&headers)
        .chain(&table.rows)
        .map(|row| row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n")
        .collect()
}

/// A cell by RFC 4180.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_are_quoted() {
        let table = Table { headers: vec!["name", ">n"], rows: vec![vec!["a \"b\", c".into(), "1".into()]] };
        assert_eq!(comma_separated(&table), "name,n\n\"a \"\"b\"\", c\",1\n");
    }
}
