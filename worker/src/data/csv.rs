//! Puzzle files: CSV text with the columns `question` and `answer`, one character per cell.
//!
//! Every row is checked by the rules of the task, so that training never meets an answer that cannot be reached.

use ::csv::{ByteRecord, ReaderBuilder};
use tinysweep_proto::dataset::{Rules, Sudoku, Task};

use super::sudoku::grid::{BLANK, Cell, digit, find_repeat};
use super::{DataError, Examples, RowProblem};

/// The most rows that a file may have.
pub const MAX_ROWS: usize = 5_000_000;

/// Reads puzzles of `task` from `text`. The header names the columns `question` and `answer`, in any order; others are ignored.
/// In a question `.` and `0` are blank. `file_name` is for messages.
///
/// # Errors
/// Says in which file, row and line what is wrong, and what would be right.
pub fn read(text: &[u8], file_name: &str, task: Task) -> Result<Examples, DataError> {
    check_utf8(text, file_name)?;
    let Rules::Sudoku(size) = task.rules() else { return Err(DataError::NotCsv { file: file_name.into(), task }) };
    // Ragged rows are let through here because their message is ours.
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut record = ByteRecord::new();
    // A reader over memory that yields bytes has no error: what it cannot read counts as the end.
    let mut read_record = |record: &mut ByteRecord| reader.read_byte_record(record).unwrap_or(false);

    read_record(&mut record);
    let columns = Columns::find(&record, file_name)?;
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
    let mut row = 0;
    while read_record(&mut record) {
        row += 1;
        if row > MAX_ROWS {
            return Err(DataError::TooManyRows { file: file_name.into() });
        }
        push_row(size, &mut inputs, &mut labels, &record, &columns).map_err(|problem| {
            let start = record.position().map_or(0, |position| position.byte() as usize);
            DataError::Row { file: file_name.into(), row: row as u64, line: line_at(text, start), problem }
        })?;
    }
    if inputs.is_empty() {
        return Err(DataError::NoRows { file: file_name.into() });
    }
    Ok(Examples::plain(task, inputs, labels))
}

/// The canonical text of `examples`: two columns, `.` for blank. [`read`] gives them back.
pub fn write(examples: &Examples) -> Vec<u8> {
    let mut text = b"question,answer\n".to_vec();
    for index in 0..examples.rows() {
        text.extend(examples.question(index).iter().map(|token| character(*token)));
        text.push(b',');
        text.extend(examples.answer(index).iter().map(|token| character(*token)));
        text.push(b'\n');
    }
    text
}

const fn character(token: u8) -> u8 {
    match digit(token) {
        0 => b'.',
        digit => b'0' + digit,
    }
}

fn check_utf8(text: &[u8], file_name: &str) -> Result<(), DataError> {
    std::str::from_utf8(text).map(drop).map_err(|error| {
        let at = error.valid_up_to();
        DataError::NotUtf8 { file: file_name.into(), line: line_at(text, at), byte: at as u64 + 1 }
    })
}

/// The line, from 1, of the first byte at or after `byte` that ends no line. The reader counts lines otherwise after blank lines and
/// carriage returns.
fn line_at(text: &[u8], byte: usize) -> u64 {
    let rest = &text[byte.min(text.len())..];
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let before = &text[..text.len() - rest.len() + skipped];
    let line_feeds = before.iter().filter(|byte| **byte == b'\n').count();
    let lone_returns = before.iter().zip(before.iter().skip(1).chain(&[0])).filter(|(byte, next)| **byte == b'\r' && **next != b'\n');
    (line_feeds + lone_returns.count()) as u64 + 1
}

/// Where the two fields are in a row.
struct Columns {
    question: usize,
    answer: usize,
    count: usize,
}

impl Columns {
    fn find(header: &ByteRecord, file_name: &str) -> Result<Self, DataError> {
        let find = |name: &'static str| {
            let mut places = header.iter().enumerate().filter(|(_, field)| *field == name.as_bytes()).map(|(index, _)| index);
            match (places.next(), places.next()) {
                (Some(index), None) => Ok(index),
                (Some(_), Some(_)) => Err(DataError::RepeatedColumn { file: file_name.into(), column: name }),
                (None, _) => Err(DataError::MissingColumn { file: file_name.into(), missing: name, found: list(header) }),
            }
        };
        Ok(Self { question: find("question")?, answer: find("answer")?, count: header.len() })
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

fn push_row(size: Sudoku, inputs: &mut Vec<u8>, labels: &mut Vec<u8>, record: &ByteRecord, columns: &Columns) -> Result<(), RowProblem> {
    if record.len() != columns.count {
        return Err(RowProblem::Ragged { expected: columns.count, found: record.len() });
    }
    let start = inputs.len();
    push_tokens(inputs, &record[columns.question], "question", size)?;
    push_tokens(labels, &record[columns.answer], "answer", size)?;
    check_puzzle(size, &inputs[start..], &labels[start..])
}

fn push_tokens(tokens: &mut Vec<u8>, field: &[u8], name: &'static str, size: Sudoku) -> Result<(), RowProblem> {
    // Nothing is lost: fields are cut from checked text at ASCII bytes.
    let text = String::from_utf8_lossy(field);
    let found = text.chars().count();
    let task = size.task();
    if found != size.cells() {
        return Err(RowProblem::Length { field: name, task, found });
    }
    for (index, found) in text.chars().enumerate() {
        let cell = Cell::of(size, index);
        tokens.push(token(found, size).ok_or(RowProblem::Character { field: name, task, found, position: index + 1, cell })?);
    }
    Ok(())
}

fn token(character: char, size: Sudoku) -> Option<u8> {
    match character {
        '.' | '0' => Some(BLANK),
        '1'..='9' => Some(character as u8 - b'0' + BLANK).filter(|token| usize::from(digit(*token)) <= size.side()),
        _ => None,
    }
}

fn check_puzzle(size: Sudoku, question: &[u8], answer: &[u8]) -> Result<(), RowProblem> {
    if let Some(index) = answer.iter().position(|token| *token == BLANK) {
        return Err(RowProblem::Blank { position: index + 1, cell: Cell::of(size, index) });
    }
    if let Some(repeat) = find_repeat(size, question) {
        return Err(RowProblem::Contradiction(repeat));
    }
    if let Some(repeat) = find_repeat(size, answer) {
        return Err(RowProblem::NoSolution(repeat));
    }
    match question.iter().zip(answer).position(|(given, answer)| *given != BLANK && given != answer) {
        Some(index) => {
            let (given, answer) = (digit(question[index]), digit(answer[index]));
            Err(RowProblem::Mismatch { cell: Cell::of(size, index), given, answer })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sudoku::{Givens, generate};
    use super::*;

    const Q: &str = "..34..1.214..32.";
    const A: &str = "1234341221434321";

    fn error(text: &str) -> String {
        read(text.as_bytes(), "a.csv", Task::Sudoku4x4).unwrap_err().to_string()
    }

    #[test]
    fn columns_may_come_in_any_order_among_others() {
        let plain = read(format!("question,answer\n{Q},{A}\n").as_bytes(), "a.csv", Task::Sudoku4x4).unwrap();
        assert_eq!((plain.len(), &plain.question(0)[..4], &plain.answer(0)[..4]), (1, &[1, 1, 4, 5][..], &[2, 3, 4, 5][..]));
        let texts = [
            format!("source,answer,rating,question\nhere,{A},7,{Q}\n"),
            format!("question,answer\n{},{A}", Q.replace('.', "0")),
            format!("\u{feff}question,answer\r\n\"{Q}\",{A}\r\n"),
        ];
        for text in texts {
            assert_eq!(read(text.as_bytes(), "a.csv", Task::Sudoku4x4).unwrap(), plain, "{text}");
        }
    }

    #[test]
    fn files_that_hold_no_puzzles_are_refused() {
        let cases = [
            ("", "a.csv: no column `question` in the header, which has none; the header must name `question` and `answer`"),
            (
                "source,question,solution\n",
                "a.csv: no column `answer` in the header, which has `source`, `question`, `solution`; \
                 the header must name `question` and `answer`",
            ),
            (
                "a,b,c,d,e,f,g,h,i,j\n",
                "a.csv: no column `question` in the header, which has `a`, `b`, `c`, `d`, `e`, `f`, `g`, `h` and 2 more; \
                 the header must name `question` and `answer`",
            ),
            ("question,answer,question\n", "a.csv: the header has column `question` more than once; keep one"),
            ("question,answer\n\n\n", "a.csv: no rows below the header; at least one puzzle is needed"),
        ];
        for (text, message) in cases {
            assert_eq!(error(text), message);
        }
        let message = read(b"question,answer\nab\xff,", "a.csv", Task::Sudoku4x4).unwrap_err().to_string();
        assert_eq!(message, "a.csv: line 2: not UTF-8 text at byte 19 of the file; a puzzle file is CSV text, plain or in gzip");
    }

    #[test]
    fn a_wrong_row_is_named_with_what_would_be_right() {
        let small = "sudoku-4x4 has digits 1 to 4, and . or 0 for a blank cell of the question";
        let cases = [
            (Q.into(), "1 fields, but the header has 2".into()),
            (format!("{Q},{A},7"), "3 fields, but the header has 2".into()),
            (format!("{},{A}", &Q[1..]), "question has 15 characters, but sudoku-4x4 needs 16".into()),
            (format!("{Q},{A}.."), "answer has 18 characters, but sudoku-4x4 needs 16".into()),
            (
                format!("{},{A}", ".".repeat(36)),
                "question has 36 characters, but sudoku-4x4 needs 16; 36 characters are a puzzle of sudoku-6x6".into(),
            ),
            (format!("..34..x.214..32.,{A}"), format!("question has 'x' at character 7 (r2c3); {small}")),
            (format!("..34..5.214..32.,{A}"), format!("question has '5' at character 7 (r2c3); {small}")),
            (format!("..34..é.214..32.,{A}"), format!("question has 'é' at character 7 (r2c3); {small}")),
            (format!("{Q},1234341221434\u{1}21"), format!("answer has '\\u{{1}}' at character 14 (r4c2); {small}")),
            (format!("{Q},12343412214.4321"), "answer is blank at character 12 (r3c4); an answer has a digit in every cell".into()),
            (format!("..3...3.........,{A}"), "question contradicts itself: 3 stands twice in column 3, at r1c3 and r2c3".into()),
            (format!("{Q},1234341221434322"), "answer is no solution: 2 stands twice in row 4, at r4c3 and r4c4".into()),
            (format!("{Q},1234214334124321"), "answer is no solution: 2 stands twice in box 1, at r1c2 and r2c1".into()),
            (format!("2...............,{A}"), "r1c1 is 2 in the question, but 1 in the answer".into()),
        ];
        for (row, problem) in cases {
            for (before, place) in [("", "row 1 (line 2)"), ("\n\r\n", "row 1 (line 4)")] {
                assert_eq!(error(&format!("question,answer\n{before}{row}\n")), format!("a.csv: {place}: {problem}"));
            }
            let after_others = format!("question,answer\r\n{Q},{A}\r\n{Q},{A}\r\n{row}\r\n");
            assert_eq!(error(&after_others), format!("a.csv: row 3 (line 4): {problem}"));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(size in prop::sample::select(&Sudoku::ALL), seed: u64) {
            let (examples, _) = generate(size, 3, 1, Givens::aim(size.cells() - 10), seed).unwrap();
            prop_assert_eq!(read(&write(&examples), "a.csv", size.task()).unwrap(), examples);
        }

        #[test]
        fn no_bytes_make_it_panic(size in prop::sample::select(&Sudoku::ALL), bytes: Vec<u8>, text in "[.0-9,\"\r\n]{0,200}") {
            for header in [&b""[..], b"question,answer\n", b"answer,x,question\r\n"] {
                for rest in [bytes.as_slice(), text.as_bytes()] {
                    let _ = read(&[header, rest].concat(), "a.csv", size.task()).map_err(|error| error.to_string());
                }
            }
        }

        #[test]
        fn no_change_of_one_byte_makes_it_panic(seed: u64, place: prop::sample::Index, byte: u8) {
            let (examples, _) = generate(Sudoku::Grid4x4, 3, 1, Givens::aim(6), seed).unwrap();
            let mut text = write(&examples);
            let place = place.index(text.len());
            text[place] = byte;
            if let Err(error) = read(&text, "a.csv", Task::Sudoku4x4) {
                prop_assert!(error.to_string().starts_with("a.csv: "), "{}", error);
            }
        }
    }
}
