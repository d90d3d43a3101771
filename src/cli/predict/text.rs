//! One puzzle as text.

use tinysweep_proto::dataset::{Rules, Sudoku, Task};
use tinysweep_worker::data::{
    cell::Cell,
    maze::{
        self,
        grid::{FREE, GOAL, START, question_token},
    },
    sudoku::grid::{BLANK, find_repeat},
};

use super::puzzle::Puzzle;

/// Reads a Sudoku or a maze.
///
/// # Errors
/// Says what is wrong with it, and what would be right.
pub fn from_text(text: &str, origin: &str, task: Task) -> Result<Puzzle, String> {
    match task.rules() {
        Rules::Sudoku(size) => sudoku(text, origin, size),
        Rules::Maze(side) => maze(text, origin, side),
        Rules::Arc => Err("tasks of ARC are JSON".into()),
    }
}

/// A character a cell; space, line breaks and frames do not count.
fn sudoku(text: &str, origin: &str, size: Sudoku) -> Result<Puzzle, String> {
    let cells: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '|' | '-' | '+')).collect();
    let (needed, side) = (size.cells(), size.side());
    if cells.len() != needed {
        return Err(format!("has {} cells, but the checkpoint's task needs {needed}", cells.len()));
    }
    let token = |(index, cell): (usize, &char)| match cell {
        '.' | '0' | '_' => Ok(BLANK),
        '1'..='9' if (*cell as usize - '0' as usize) <= side => Ok(*cell as u8 - b'0' + BLANK),
        _ => Err(format!("has {cell:?} at {}; it has digits 1 to {side}, and . or 0 for a blank cell", Cell::of(side, index))),
    };
    let tokens = cells.iter().enumerate().map(token).collect::<Result<Vec<_>, _>>()?;
    if let Some(repeat) = find_repeat(size, &tokens) {
        return Err(format!("contradicts itself: {repeat}"));
    }
    Ok(Puzzle::new(origin.to_owned(), &tokens, None))
}

/// `#` is a wall, space or `.` a free cell, S and G the ends: a line a row, whose free cells at the end may be missing, or all in one
/// line. The answer is the path that Maze-Hard would mark.
fn maze(text: &str, origin: &str, side: usize) -> Result<Puzzle, String> {
    let tokens = maze_tokens(text, side)?;
    for (token, name) in [(START, 'S'), (GOAL, 'G')] {
        let found = tokens.iter().filter(|cell| **cell == token).count();
        if found != 1 {
            return Err(format!("has {found} {name}; a maze has exactly one S and one G"));
        }
    }
    let answer = maze::solve(side, &tokens).ok_or("has no way from S to G")?;
    Ok(Puzzle::new(origin.to_owned(), &tokens, Some(&answer)))
}

fn maze_tokens(text: &str, side: usize) -> Result<Vec<u8>, String> {
    let characters: Vec<char> = text.trim_end_matches(['\r', '\n']).chars().collect();
    if characters.len() == side * side && !text.trim_end().contains('\n') {
        return characters.iter().enumerate().map(|(index, cell)| maze_token(*cell, Cell::of(side, index))).collect();
    }
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() != side {
        return Err(format!(
            "has {} lines; the checkpoint's task needs {side} lines of {side} cells, or all {} in one",
            lines.len(),
            side * side
        ));
    }
    let mut tokens = vec![FREE; side * side];
    for (row, line) in lines.iter().enumerate() {
        let found = line.chars().count();
        if found > side {
            return Err(format!("has {found} cells in line {}; it has {side} at the most", row + 1));
        }
        for (column, cell) in line.chars().enumerate() {
            tokens[row * side + column] = maze_token(cell, Cell { row, column })?;
        }
    }
    Ok(tokens)
}

fn maze_token(cell: char, at: Cell) -> Result<u8, String> {
    if cell == '.' {
        return Ok(FREE);
    }
    question_token(cell).ok_or_else(|| format!("has {cell:?} at {at}; it has # for walls, space or . for free cells, S and G"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::predict::puzzle::characters;

    fn read(text: &str) -> Result<String, String> {
        from_text(text, "p", Task::Sudoku4x4).map(|puzzle| characters(Task::Sudoku4x4, &puzzle.tokens))
    }

    #[test]
    fn text_may_have_lines_and_frames() {
        let plain = "..34..1.214..32.";
        for text in [plain, "..34\n..1.\n214.\n.32.\n", "0034001021400320", ". . | 3 4\n. . | 1 .\n----+----\n2 1 | 4 .\n. 3 | 2 ."] {
            assert_eq!(read(text).unwrap(), plain);
        }
    }

    #[test]
    fn what_is_no_puzzle_says_why() {
        for (text, message) in [
            ("1234", "has 4 cells, but the checkpoint's task needs 16"),
            ("..34..1.214..39.", "has '9' at r4c3; it has digits 1 to 4, and . or 0 for a blank cell"),
            ("..34..1.214..3x.", "has 'x' at r4c3; it has digits 1 to 4, and . or 0 for a blank cell"),
            ("11..............", "contradicts itself: 1 stands twice in row 1, at r1c1 and r1c2"),
        ] {
            assert_eq!(read(text).unwrap_err(), message);
        }
    }

    fn maze(text: &str) -> Result<(String, String), String> {
        from_text(text, "p", Task::Maze10)
            .map(|puzzle| (characters(Task::Maze10, &puzzle.tokens), characters(Task::Maze10, &puzzle.answer.unwrap())))
    }

    #[test]
    fn a_maze_is_lines_or_one_line_and_its_answer_is_found() {
        let lines = format!("S.#\n #\n..G\n{}", "##########\n".repeat(7));
        let plain = format!("S #        #        {}{}", "  G       ", "#".repeat(70));
        let (question, answer) = maze(&lines).unwrap();
        assert_eq!(question, plain);
        assert_eq!(&answer[..30], "S #       o#        ooG       ");
        assert_eq!(maze(&plain).unwrap(), (question, answer));
    }

    #[test]
    fn what_is_no_maze_says_why() {
        let with = |row: &str| format!("{row}\n{}", "##########\n".repeat(9));
        for (text, message) in [
            ("S G".to_owned(), "has 1 lines; the checkpoint's task needs 10 lines of 10 cells, or all 100 in one"),
            (with("S"), "has 0 G; a maze has exactly one S and one G"),
            (with("S#G"), "has no way from S to G"),
            (with("SoG"), "has 'o' at r1c2; it has # for walls, space or . for free cells, S and G"),
            (with("S         G"), "has 11 cells in line 1; it has 10 at the most"),
        ] {
            assert_eq!(maze(&text).unwrap_err(), message);
        }
    }
}
