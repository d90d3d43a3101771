//! The header of a puzzle file.

use ::csv::ByteRecord;

use crate::data::DataError;

/// Where the fields are in a row.
pub(super) struct Columns {
    pub question: usize,
    pub answer: usize,
    pub source: Option<usize>,
    pub rating: Option<usize>,
    /// Fields of a row.
    pub count: usize,
}

impl Columns {
    /// Reads the header, the first line of `file_name`.
    pub(super) fn find(header: &ByteRecord, file_name: &str) -> Result<Self, DataError> {
        let find = |name: &'static str| {
            let mut places = header.iter().enumerate().filter(|(_, field)| *field == name.as_bytes()).map(|(index, _)| index);
            match (places.next(), places.next()) {
                (Some(_), Some(_)) => Err(DataError::RepeatedColumn { file: file_name.into(), column: name }),
                (place, _) => Ok(place),
            }
        };
        let needed = |missing: &'static str| {
            find(missing)?.ok_or_else(|| DataError::MissingColumn { file: file_name.into(), missing, found: list(header) })
        };
        Ok(Self {
            question: needed("question")?,
            answer: needed("answer")?,
            source: find("source")?,
            rating: find("rating")?,
            count: header.len(),
        })
    }
}

/// The columns of `header` for a message, cut short: the first line of some other file may be long.
fn list(header: &ByteRecord) -> String {
    const NAMES: usize = 8;
    const CHARACTERS: usize = 32;
    let short = |field: &[u8]| format!("`{}`", String::from_utf8_lossy(field).chars().take(CHARACTERS).collect::<String>().escape_debug());
    let names: Vec<_> = header.iter().take(NAMES).map(short).collect();
    match header.len() {
        0 => "none".into(),
        count if count > NAMES => format!("{} and {} more", names.join(", "), count - NAMES),
        _ => names.join(", "),
    }
}
