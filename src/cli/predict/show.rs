//! Answers for people: the grid after each step, with what has changed and what is wrong.

use std::fmt::Write;

use tinysweep_proto::dataset::{Rules, Task};
use tinysweep_worker::data::{
    cell::Cell,
    sudoku::grid::{BLANK, Unit},
};

use super::{Answered, puzzle::character};

const PLAIN: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";

/// How one cell of an answer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    /// It is in the question, and the answer keeps it.
    given: bool,
    /// It is another than after the step before.
    changed: bool,
    /// It is the known answer's, or not; none where no answer is known.
    right: Option<bool>,
    /// It breaks a rule, or is not what the question has there.
    broken: bool,
}

/// The whole of one puzzle: the question, then the answer after each step.
pub fn text(task: Task, one: &Answered, trained_for: usize, color: bool) -> String {
    let mut out =
        format!("{}\n{}\n", one.puzzle.origin, grid(task, &one.puzzle.tokens, &vec![Mark::default(); one.puzzle.tokens.len()], color));
    let mut last: Option<&[u32]> = None;
    for (answer, step) in one.steps.iter().zip(1..) {
        let marks = marks(task, one, last, &answer.tokens);
        let heading = heading(step, one, trained_for, answer.halt_probability, &marks);
        // Formatting into a String cannot fail.
        let _ = writeln!(out, "{heading}\n{}", grid(task, &answer.tokens, &marks, color));
        last = Some(&answer.tokens);
    }
    out
}

fn heading(step: usize, one: &Answered, trained_for: usize, halt_probability: f32, marks: &[Mark]) -> String {
    let count = |holds: fn(&Mark) -> bool| marks.iter().filter(|mark| holds(mark)).count();
    let mut text = format!("step {step}  halt probability {halt_probability:.4}");
    if step > 1 {
        let _ = write!(text, "  changed {}", count(|mark| mark.changed));
    }
    if one.puzzle.answer.is_some() {
        match count(|mark| mark.right == Some(false)) {
            0 => text += "  solved",
            wrong => {
                let _ = write!(text, "  wrong {wrong}");
            }
        }
    } else {
        match count(|mark| mark.broken) {
            0 => text += "  breaks no rule",
            broken => {
                let _ = write!(text, "  cells that break a rule {broken}");
            }
        }
    }
    if step == one.halts_at {
        let wanted = one.steps.get(step - 1).is_some_and(|answer| answer.wants_to_halt);
        text += if wanted { "  <- halts here" } else { "  <- last step of training" };
    } else if step > trained_for {
        text += "  (beyond training)";
    }
    text
}

fn marks(task: Task, one: &Answered, last: Option<&[u32]>, tokens: &[u32]) -> Vec<Mark> {
    (0..tokens.len())
        .map(|index| {
            let question = one.puzzle.tokens[index];
            let is_blank = question == u32::from(BLANK);
            Mark {
                given: !is_blank && tokens[index] == question,
                changed: last.is_some_and(|last| last[index] != tokens[index]),
                right: one.puzzle.answer.as_ref().map(|answer| answer[index] == tokens[index]),
                broken: (!is_blank && tokens[index] != question) || breaks_rule(task, tokens, index),
            }
        })
        .collect()
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

fn grid(task: Task, tokens: &[u32], marks: &[Mark], color: bool) -> String {
    let (rows, columns) = match task.rules() {
        Rules::Sudoku(size) => size.box_size(),
        Rules::Maze(side) => (side, side),
        Rules::Arc => (task.side(), task.side()),
    };
    let side = task.side();
    let mut out = String::new();
    for (index, (token, mark)) in tokens.iter().zip(marks).enumerate() {
        let (row, column) = (index / task.side(), index % task.side());
        if column == 0 {
            if row > 0 && row % rows == 0 {
                let bar: Vec<_> = (0..side / columns).map(|_| "-".repeat(2 * columns)).collect();
                out += &format!("  {}\n", bar.join("+-"));
            }
            out += "  ";
        } else if column % columns == 0 {
            out += "| ";
        }
        let cell = character(task, *token);
        match style(*mark) {
            Some(style) if color => out += &format!("{style}{cell}{PLAIN}"),
            _ => out.push(cell),
        }
        out += if column + 1 == side { "\n" } else { " " };
    }
    out
}

/// The escape sequences of a cell, if it has any.
fn style(mark: Mark) -> Option<String> {
    let weight = if mark.given {
        DIM
    } else if mark.changed {
        BOLD
    } else {
        ""
    };
    let hue = match (mark.right, mark.broken) {
        (Some(false), _) | (None, true) => RED,
        (Some(true), _) if !mark.given => GREEN,
        _ => "",
    };
    let style = format!("{weight}{hue}");
    (!style.is_empty()).then_some(style)
}

#[cfg(test)]
mod tests {
    use tinysweep_worker::predict::StepAnswer;

    use super::*;
    use crate::cli::predict::puzzle::Puzzle;

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
}
