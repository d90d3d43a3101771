//! `tinysweep score`: scores answers to ARC tasks.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tinysweep_worker::data::{
    arc::{self, Files, Submission, Unanswered},
    read_text,
};

use crate::{
    failure::Failure,
    output::{self, Format, Table},
};

/// Arguments of `score`.
#[derive(Args, Debug)]
pub struct ScoreArgs {
    /// Answers in the official form, plain or .gz: {task: [{"attempt_1": grid, "attempt_2": grid}, one for each test input]}
    submission: PathBuf,
    /// ARC tasks with their answers: JSON, plain or .gz
    tasks: PathBuf,
    /// Count tasks that the submission leaves out as unsolved
    #[arg(long)]
    partial: bool,
    /// How the result is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints pass@1 and pass@2: the mean over tasks of the share of test inputs that are solved.
pub fn execute(args: &ScoreArgs) -> Result<(), Failure> {
    let names = [&args.submission, &args.tasks].map(|path| path.display().to_string());
    let submission = Submission::read(&read(&args.submission)?, &names[0]).map_err(Failure::bad_input)?;
    let tasks = arc::read(&read(&args.tasks)?, &names[1]).map_err(Failure::bad_input)?;
    let unanswered = if args.partial { Unanswered::Unsolved } else { Unanswered::Error };
    let files = Files { submission: &names[0], tasks: &names[1] };
    let score = arc::score(&submission, &tasks, unanswered, files).map_err(Failure::bad_input)?;
    let rows = vec![
        vec!["pass@1".to_owned(), format!("{:.6}", score.pass_at_1)],
        vec!["pass@2".to_owned(), format!("{:.6}", score.pass_at_2)],
        vec!["tasks".to_owned(), score.tasks.to_string()],
        vec!["test inputs".to_owned(), score.inputs.to_string()],
        vec!["unanswered".to_owned(), score.unanswered.to_string()],
    ];
    let value = json!({
        "pass@1": score.pass_at_1,
        "pass@2": score.pass_at_2,
        "tasks": score.tasks,
        "test_inputs": score.inputs,
        "unanswered": score.unanswered,
    });
    output::print(args.output, &Table { headers: vec!["", ">value"], rows }, &value)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_text(path).map_err(Failure::bad_input)
}
