//! Answers for people: the grid after each step, with what has changed and what is wrong.

use std::fmt::Write;

use tinysweep_proto::dataset::{Rules, Task};
use tinysweep_worker::data::{
    cell::Cell,
    maze::{
        self,
        grid::{FREE, may_become},
    },
    sudoku::grid::{BLANK, Unit},
};

use super::{
    Answered,
    draw::grid,
    puzzle::{character, narrow},
};

/// How one cell of an answer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// It is in the question, and the answer keeps it.
    pub given: bool,
    /// It is another than after the step before.
    pub changed: bool,
    /// It is the known answer's, or not; none where no answer is known.
    pub right: Option<bool>,
    /// It breaks a rule, or is not what the question has there.
    pub broken: bool,
}

/// The whole of one puzzle: the question, then the answer after each step.
pub fn text(task: Task, one: &Answered, trained_for: usize, color: bool) -> String {
    let mut out =
        format!("{}\n{}\n", one.puzzle.origin, grid(task, &one.puzzle.tokens, &vec![Mark::default(); one.puzzle.tokens.len()], color));
    let mut last: Option<&[u32]> = None;
    for (answer, step) in one.steps.iter().zip(1..) {
        let marks = marks(task, one, last, &answer.tokens);
        let heading = heading(task, step, one, trained_for, &marks);
        // Formatting into a String cannot fail.
        let _ = writeln!(out, "{heading}\n{}", grid(task, &answer.tokens, &marks, color));
        last = Some(&answer.tokens);
    }
    out
}

fn heading(task: Task, step: usize, one: &Answered, trained_for: usize, marks: &[Mark]) -> String {
    let answer = &one.steps[step - 1];
    let mut text = format!("step {step}  halt probability {:.4}", answer.halt_probability);
    if step > 1 {
        let _ = write!(text, "  changed {}", marks.iter().filter(|mark| mark.changed).count());
    }
    text += &verdict(task, one, &answer.tokens, marks);
    if step == one.halts_at {
        text += if answer.wants_to_halt { "  <- halts here" } else { "  <- last step of training" };
    } else if step > trained_for {
        text += "  (beyond training)";
    }
    text
}

/// How right an answer is.
fn verdict(task: Task, one: &Answered, tokens: &[u32], marks: &[Mark]) -> String {
    let count = |holds: fn(&Mark) -> bool| marks.iter().filter(|mark| holds(mark)).count();
    match (one.puzzle.is_solved_by(tokens), task.rules()) {
        (Some(true), _) => "  solved".into(),
        (Some(false), _) if is_shortest_path(task, one, tokens) == Some(true) => "  another shortest path".into(),
        (Some(false), _) => format!("  wrong {}", count(|mark| mark.right == Some(false))),
        // Nobody can tell.
        (None, Rules::Arc) => String::new(),
        (None, _) => match count(|mark| mark.broken) {
            0 => "  breaks no rule".into(),
            broken => format!("  cells that break a rule {broken}"),
        },
    }
}

/// Whether an answer to a maze is one of its shortest paths; nothing for other puzzles.
pub fn is_shortest_path(task: Task, one: &Answered, tokens: &[u32]) -> Option<bool> {
    let Rules::Maze(side) = task.rules() else { return None };
    Some(maze::is_optimal(side, &narrow(&one.puzzle.tokens), &narrow(tokens)))
}

fn marks(task: Task, one: &Answered, last: Option<&[u32]>, tokens: &[u32]) -> Vec<Mark> {
    (0..tokens.len())
        .map(|index| Mark {
            given: is_given(task, one.puzzle.tokens[index]) && tokens[index] == one.puzzle.tokens[index],
            changed: last.is_some_and(|last| last[index] != tokens[index]),
            right: one.puzzle.answer.as_ref().map(|answer| answer[index] == tokens[index]),
            broken: is_broken(task, one, tokens, index),
        })
        .collect()
}

/// Whether an answer must keep what the question has there.
fn is_given(task: Task, asked: u32) -> bool {
    match task.rules() {
        Rules::Sudoku(_) => asked != u32::from(BLANK),
        Rules::Maze(_) => asked != u32::from(FREE),
        Rules::Arc => false,
    }
}

fn is_broken(task: Task, one: &Answered, tokens: &[u32], index: usize) -> bool {
    let asked = one.puzzle.tokens[index];
    match task.rules() {
        Rules::Sudoku(_) => (is_given(task, asked) && tokens[index] != asked) || breaks_rule(task, tokens, index),
        Rules::Maze(_) => !may_become(narrow(&[asked])[0], narrow(&[tokens[index]])[0]),
        Rules::Arc => false,
    }
}

/// Whether the cell has no digit, or one that another cell of its row, column or box has too.
fn breaks_rule(task: Task, tokens: &[u32], index: usize) -> bool {
    if !character(task, tokens[index]).is_ascii_digit() {
        return true;
    }
    let Rules::Sudoku(size) = task.rules() else { return false };
    let units = |index| Unit::around(size, Cell::of(size.side(), index));
    let shares_unit = |other: usize| units(index).iter().zip(units(other)).any(|(one, other)| *one == other);
    (0..tokens.len()).any(|other| other != index && tokens[other] == tokens[index] && shares_unit(other))
}

#[cfg(test)]
mod tests {
    use tinysweep_worker::predict::StepAnswer;

    use super::*;
    use crate::cli::predict::{
        draw::{BOLD, DIM, GREEN, RED, style},
        puzzle::Puzzle,
    };

    const TASK: Task = Task::Sudoku4x4;

    fn tokens(text: &str) -> Vec<u32> {
        text.chars().map(|c| if c == '.' { 1 } else { c.to_digit(10).unwrap() + 1 }).collect()
    }

    fn answered(known: bool) -> Answered {
        let step = |text: &str, halt_probability, wants_to_halt| StepAnswer { tokens: tokens(text), halt_probability, wants_to_halt };
        Answered {
            puzzle: Puzzle {
                origin: "puzzle 1".into(),
                tokens: tokens("..34..1.214..32."),
                answer: known.then(|| tokens("1234341221434321")),
                identifier: None,
            },
            steps: vec![step("1134341221434321", 0.25, false), step("1234341221434321", 0.9, true), step("1234341221434321", 0.95, true)],
            halts_at: 2,
        }
    }

    #[test]
    fn each_step_says_how_far_it_is() {
        let text = text(TASK, &answered(true), 2, false);
        let expected = "puzzle 1\n  . . | 3 4\n  . . | 1 .\n  ----+-----\n  2 1 | 4 .\n  . 3 | 2 .\n\n\
                        step 1  halt probability 0.2500  wrong 1\n  1 1 | 3 4\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("step 2  halt probability 0.9000  changed 1  solved  <- halts here\n"), "{text}");
        assert!(text.contains("step 3  halt probability 0.9500  changed 0  solved  (beyond training)\n"), "{text}");
    }

    #[test]
    fn without_an_answer_the_rules_judge() {
        let text = text(TASK, &answered(false), 2, false);
        assert!(text.contains("step 1  halt probability 0.2500  cells that break a rule 3\n"), "{text}");
        assert!(text.contains("changed 1  breaks no rule"), "{text}");
    }

    #[test]
    fn colours_tell_givens_changes_and_mistakes() {
        let first = style(marks(TASK, &answered(true), None, &tokens("1134341221434321"))[1]);
        assert_eq!(first.as_deref(), Some(RED));
        let one = answered(true);
        let second = marks(TASK, &one, Some(&one.steps[0].tokens), &one.steps[1].tokens);
        assert_eq!(style(second[1]), Some(format!("{BOLD}{GREEN}")));
        assert_eq!(style(second[2]).as_deref(), Some(DIM));
        assert!(text(TASK, &one, 2, true).contains("\x1b[31m1\x1b[0m"));
        assert!(!text(TASK, &one, 2, false).contains('\x1b'));
    }

    #[test]
    fn an_answer_that_changes_a_given_breaks_the_rules() {
        let one = answered(false);
        assert!(marks(TASK, &one, None, &tokens("1244341221434321"))[2].broken);
        assert!(breaks_rule(TASK, &[0; 16], 3), "padding is no digit");
    }

    #[test]
    fn a_maze_shows_its_path() {
        let question = format!("S  #      #  #      #  G      {}", "#".repeat(70));
        let path = |cells: &[usize]| {
            let mut cells_of: Vec<char> = question.chars().collect();
            cells.iter().for_each(|cell| cells_of[*cell] = 'o');
            cells_of.iter().map(|cell| "# SGo".find(*cell).unwrap() as u32 + 1).collect::<Vec<_>>()
        };
        let (right, other, wrong) = (path(&[1, 11, 21, 22]), path(&[1, 2, 12, 22]), path(&[1, 2]));
        let steps =
            [&right, &other, &wrong].map(|tokens| StepAnswer { tokens: tokens.clone(), halt_probability: 0.5, wants_to_halt: false });
        let puzzle = Puzzle { origin: "p".into(), tokens: path(&[]), answer: Some(right), identifier: None };
        let text = text(Task::Maze10, &Answered { puzzle, steps: steps.into(), halts_at: 3 }, 3, false);
        assert!(text.contains("step 1  halt probability 0.5000  solved\n  So #      \n  #o #      \n  #ooG      \n"), "{text}");
        assert!(text.contains("changed 4  another shortest path\n  Soo#"), "{text}");
        assert!(text.contains("changed 2  wrong 4  <- last step of training\n"), "{text}");
    }

    #[test]
    fn an_answer_to_arc_shows_its_grid() {
        let mut tokens = vec![0; 900];
        (tokens[0], tokens[1], tokens[2]) = (2, 11, 1);
        let step = StepAnswer { tokens: tokens.clone(), halt_probability: 0.5, wants_to_halt: true };
        let none = StepAnswer { tokens: vec![0; 900], ..step.clone() };
        let puzzle = Puzzle { origin: "p".into(), tokens, answer: None, identifier: None };
        let one = Answered { puzzle, steps: vec![step, none], halts_at: 1 };
        let plain = text(Task::Arc, &one, 2, false);
        assert_eq!(
            plain,
            "p\n  0 9\n\nstep 1  halt probability 0.5000  <- halts here\n  0 9\n\nstep 2  halt probability 0.5000  changed 3\n  no grid\n\n"
        );
        assert!(text(Task::Arc, &one, 2, true).contains("\x1b[48;5;16;38;5;231m0 \x1b[0m"));
    }
}
