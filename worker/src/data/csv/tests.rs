//! What is read, what is refused, and that what is written reads the same.

use proptest::prelude::*;

use tinysweep_proto::dataset::Sudoku;

use super::*;
use crate::data::maze;
use crate::data::sudoku::{Givens, generate};

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
        format!("number,answer,colour,question\n1,{A},red,{Q}\n"),
        format!("question,answer\n{},{A}", Q.replace('.', "0")),
        format!("\u{feff}question,answer\r\n\"{Q}\",{A}\r\n"),
    ];
    for text in texts {
        assert_eq!(read(text.as_bytes(), "a.csv", Task::Sudoku4x4).unwrap(), plain, "{text}");
    }
}

#[test]
fn sources_and_ratings_are_kept() {
    let text = format!("source,question,answer,rating\nhere,{Q},{A},7\n\"a, b\",{Q},{A},0.5\nhere,{Q},{A},12\n");
    let examples = read(text.as_bytes(), "a.csv", Task::Sudoku4x4).unwrap();
    assert_eq!(examples.tags.ratings, [7.0, 0.5, 12.0]);
    assert_eq!((&examples.tags.sources[..], &examples.tags.source_names[..]), (&[0, 1, 0][..], &["here".into(), "a, b".into()][..]));
    assert_eq!(String::from_utf8(write(&examples)).unwrap(), text);
    assert_eq!(
        read(format!("question,answer,rating\n{Q},{A},7\n").as_bytes(), "a.csv", Task::Sudoku4x4).unwrap().tags.sources,
        Vec::<u32>::new()
    );
    for wrong in ["", "hard", "NaN", "inf"] {
        let message = format!("a.csv: row 1 (line 2): rating `{wrong}` is no number; write one such as 12 or 0.5");
        assert_eq!(error(&format!("question,answer,rating\n{Q},{A},{wrong}\n")), message);
    }
    let twice = "a.csv: the header has column `rating` more than once; keep one";
    assert_eq!(error(&format!("rating,question,answer,rating\n7,{Q},{A},7\n")), twice);
}

#[test]
fn mazes_keep_their_spaces() {
    let (examples, _) = maze::generate(Task::Maze10, 5, 1, 1).unwrap();
    assert_eq!(read(&write(&examples), "a.csv", Task::Maze10).unwrap(), examples);
    let open = format!("question,answer\nS{0}G,S{0}G\n", " ".repeat(98));
    let message = read(open.as_bytes(), "a.csv", Task::Maze10).unwrap_err().to_string();
    assert_eq!(
        message,
        "a.csv: row 1 (line 2): answer marks 0 cells that are no shortest path; shortest paths from S to G have 17 between them"
    );
    let marked = format!("question,answer\nSo{0}G,S{0} G\n", " ".repeat(97));
    let message = read(marked.as_bytes(), "a.csv", Task::Maze10).unwrap_err().to_string();
    let alphabet = "maze-10 has # for a wall, a space for a free cell, S, G, and o for the path of the answer";
    assert_eq!(message, format!("a.csv: row 1 (line 2): question has 'o' at character 2 (r1c2); {alphabet}"));
}

#[test]
fn some_rows_can_be_read_alone() {
    let text = format!("question,answer\n{Q},{A}\nwrong\n.{},{A}\n", &Q[1..]);
    assert_eq!(count_rows(text.as_bytes()), 3);
    assert_eq!(read_some(text.as_bytes(), "a.csv", Task::Sudoku4x4, |row| row != 1).unwrap().rows(), 2);
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
