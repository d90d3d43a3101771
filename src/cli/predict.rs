//! `tinysweep predict`: solves puzzles with a checkpoint and shows each step.

mod draw;
mod puzzle;
mod show;
mod tasks;
mod text;

use std::{io::IsTerminal, num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tinysweep_worker::{
    checkpoint::{self, Checkpoint},
    predict::{StepAnswer, halts_at, predict},
};

use crate::{
    failure::Failure,
    output::{self, Format, Table},
};
use puzzle::Puzzle;

/// Arguments of `predict`.
#[derive(Args, Debug)]
pub struct PredictArgs {
    /// Folder of the checkpoint
    checkpoint: PathBuf,
    /// Puzzles: each as text (Sudoku: `.` or 0 is blank; mazes: # wall, space or `.` free, S and G), a file of text or of CSV with the
    /// columns question and answer, a JSON file of ARC tasks, or `-` for standard input
    #[arg(required = true)]
    puzzles: Vec<String>,
    /// Supervision steps [default: as many as in training]; more shows what more thinking at test time buys
    #[arg(long)]
    steps: Option<NonZeroUsize>,
    /// Row of the puzzle table [default: the puzzle's own where the file tells, as tasks.json of `tinysweep data build` does for ARC;
    /// else 0, which all puzzles share that have none of their own]
    #[arg(long)]
    puzzle_id: Option<u32>,
    /// The most puzzles that are taken from one file
    #[arg(long, default_value = "10")]
    limit: NonZeroUsize,
    /// Whether colours are used: changed cells bold, right ones green, wrong ones and broken rules red
    #[arg(long, value_enum, default_value = "auto")]
    color: Color,
    /// How answers are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    /// Where the terminal has them and NO_COLOR does not forbid them
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

impl Color {
    fn is_on(self) -> bool {
        match self {
            Self::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// A puzzle and its answers, one a step.
struct Answered {
    puzzle: Puzzle,
    steps: Vec<StepAnswer>,
    /// The step at which the model halts if it may.
    halts_at: usize,
}

/// Prints the answer after each supervision step.
pub fn execute(args: &PredictArgs) -> Result<(), Failure> {
    let loaded = checkpoint::load(&args.checkpoint).map_err(Failure::bad_input)?;
    let puzzles = puzzle::read_all(&args.puzzles, loaded.task, args.limit.get())?;
    let trained_for = loaded.model.config().halt_max_steps;
    let steps = args.steps.map_or(trained_for, NonZeroUsize::get);
    let mut answered = Vec::new();
    for puzzle in puzzles {
        let identifier = args.puzzle_id.or(puzzle.identifier).unwrap_or(0);
        let answers = predict(&loaded.model, &puzzle.tokens, identifier, steps).map_err(Failure::bad_input)?;
        answered.push(Answered { puzzle, halts_at: halts_at(&answers, trained_for), steps: answers });
    }
    if args.output == Format::Table {
        return answered.iter().try_for_each(|one| output::write(&show::text(loaded.task, one, trained_for, args.color.is_on())));
    }
    output::print(args.output, &table(&loaded, &answered), &value(&loaded, &answered, steps))
}

fn table(loaded: &Checkpoint, answered: &[Answered]) -> Table {
    let rows = answered.iter().flat_map(|one| {
        one.steps.iter().zip(1..).map(|(answer, step)| {
            vec![
                one.puzzle.origin.clone(),
                step.to_string(),
                format!("{:.6}", answer.halt_probability),
                (step == one.halts_at).to_string(),
                one.puzzle.is_solved_by(&answer.tokens).map_or_else(String::new, |solved| solved.to_string()),
                puzzle::characters(loaded.task, &answer.tokens),
            ]
        })
    });
    Table { headers: vec!["puzzle", ">step", ">halt_probability", "halts", "exact", "answer"], rows: rows.collect() }
}

fn value(loaded: &Checkpoint, answered: &[Answered], steps: usize) -> Value {
    let shown = |tokens: &[u32]| puzzle::characters(loaded.task, tokens);
    let puzzle = |one: &Answered| {
        let steps = one.steps.iter().zip(1..).map(|(answer, step)| {
            json!({
                "step": step,
                "halt_probability": answer.halt_probability,
                "wants_to_halt": answer.wants_to_halt,
                "answer": shown(&answer.tokens),
                "exact": one.puzzle.is_solved_by(&answer.tokens),
                "shortest_path": show::is_shortest_path(loaded.task, one, &answer.tokens),
            })
        });
        json!({
            "puzzle": one.puzzle.origin,
            "question": shown(&one.puzzle.tokens),
            "known_answer": one.puzzle.answer.as_deref().map(shown),
            "halts_at": one.halts_at,
            "steps": steps.collect::<Vec<_>>(),
        })
    };
    json!({
        "task": loaded.task.name(),
        "supervision_steps": steps,
        "trained_supervision_steps": loaded.model.config().halt_max_steps,
        "puzzles": answered.iter().map(puzzle).collect::<Vec<_>>(),
    })
}
