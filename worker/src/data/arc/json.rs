//! JSON read level by level, so that a message can say in which task, pair and cell something is wrong.
//!
//! Values below the level that is read stay text: what a file claims about its inside allocates nothing before it is looked at.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::grid::{COLORS, Grid, GridProblem, MAX_SIDE};

/// Characters of a wrong value that a message shows.
const SHOWN: usize = 20;

/// The keys and values of the JSON object in `text`, in order; a repeated key is an error.
pub fn entries(text: &str) -> Result<Vec<(String, &RawValue)>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = json.deserialize_map(Entries)?;
    json.end()?;
    Ok(entries)
}

/// The first `limit` elements of the JSON list in `text`, and how many there are; nothing if it is no list.
pub fn elements(text: &str, limit: usize) -> Option<(Vec<&RawValue>, usize)> {
    serde_json::Deserializer::from_str(text).deserialize_seq(Elements { limit }).ok()
}

/// The grid in `value`; `[]` is an empty one.
pub fn grid(value: &RawValue) -> Result<Grid, GridProblem> {
    let (rows, found) = elements(value.get(), MAX_SIDE).ok_or_else(|| GridProblem::NotRows { found: shown(value) })?;
    if found > MAX_SIDE {
        return Err(GridProblem::Rows { found });
    }
    let mut cells = Vec::new();
    let mut columns = 0;
    for (value, row) in rows.iter().zip(1..) {
        let (colors, found) = elements(value.get(), MAX_SIDE).ok_or_else(|| GridProblem::NotRow { row, found: shown(value) })?;
        match found {
            0 => return Err(GridProblem::Empty),
            found if found > MAX_SIDE => return Err(GridProblem::Columns { row, found }),
            found if row == 1 => columns = found,
            found if found != columns => return Err(GridProblem::Ragged { row, found, expected: columns }),
            _ => {}
        }
        for (value, column) in colors.iter().zip(1..) {
            cells.push(color(value).ok_or_else(|| GridProblem::Color { row, column, found: shown(value) })?);
        }
    }
    Ok(Grid::from_fn(rows.len(), columns, |row, column| cells[row * columns + column]))
}

/// The colour that `value` is.
fn color(value: &RawValue) -> Option<u8> {
    value.get().parse().ok().filter(|color| *color < COLORS)
}

/// The beginning of `value`, for messages.
pub fn shown(value: &RawValue) -> String {
    let text = value.get();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("{key:?} is there twice; keep one")));
            }
            entries.push((key, value));
        }
        Ok(entries)
    }
}

struct Elements {
    limit: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        let mut count = 0;
        while let Some(value) = list.next_element::<&RawValue>()? {
            count += 1;
            if count <= self.limit {
                elements.push(value);
            }
        }
        Ok((elements, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        grid(&serde_json::from_str::<Box<RawValue>>(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn grids_are_read_and_written_alike() {
        for text in ["[[1,0],[9,2],[3,4]]", "[[0]]", "[]"] {
            let value: Box<RawValue> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&grid(&value).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn a_wrong_grid_is_refused_where_it_is_wrong() {
        assert_eq!(problem("[[1,2],[3]]"), "row 2 has 1 cells, but row 1 has 2; all rows are of one length");
        assert_eq!(problem("[[1,10]]"), "row 1, column 2 is 10; a colour is a number from 0 to 9");
        assert_eq!(
            problem("[[1],[\"a long text that goes on\"]]"),
            "row 2, column 1 is \"a long text that go…; a colour is a number from 0 to 9"
        );
        assert_eq!(problem("[[-1]]"), "row 1, column 1 is -1; a colour is a number from 0 to 9");
        assert_eq!(problem("[[1.0]]"), "row 1, column 1 is 1.0; a colour is a number from 0 to 9");
        assert_eq!(problem("[[]]"), "no cells; a grid has 1 to 30 rows and columns");
        assert_eq!(problem("[1]"), "row 1 is 1; a row is a list of colours");
        assert_eq!(problem("{\"a\":1}"), "a grid is a list of rows of colours, not {\"a\":1}");
        let wide = format!("[[{}]]", vec!["1"; 31].join(","));
        assert_eq!(problem(&wide), "row 1 has 31 cells; a grid has 1 to 30 columns");
        let high = format!("[{}]", vec!["[1]"; 1000].join(","));
        assert_eq!(problem(&high), "1000 rows; a grid has 1 to 30");
    }

    #[test]
    fn a_repeated_key_and_trailing_text_are_refused() {
        assert_eq!(entries("{\"a\":1,\"a\":2}").unwrap_err().to_string(), "\"a\" is there twice; keep one at line 1 column 13");
        assert!(entries("{} {}").is_err());
        assert!(entries("{\"a\":[1,}").is_err());
    }
}
