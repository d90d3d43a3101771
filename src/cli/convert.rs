//! `tinysweep convert`: makes a checkpoint of one from elsewhere.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use tinysweep_proto::dataset::Task;
use tinysweep_worker::checkpoint::{self, ImportRequest, PuzzleTable};

use crate::{
    failure::Failure,
    output::{self, Format, Table},
};

/// Arguments of `convert`.
#[derive(Args, Debug)]
pub struct ConvertArgs {
    /// The weights under the published reference's names: what torch.save has written of a state_dict, or safetensors
    weights: PathBuf,
    /// Folder for the checkpoint, which must not be there yet
    out: PathBuf,
    /// The configuration: the reference's, or hyper-parameters by name in YAML
    /// [default: all_config.yaml beside the weights, if it is there; else what the shapes tell, and published values for the rest]
    #[arg(long)]
    config: Option<PathBuf>,
    /// What the model was trained on, as in `sudoku-9x9` [default: what its vocabulary and length tell]
    #[arg(long)]
    task: Option<String>,
    /// What becomes of a puzzle table that has another number of rows than the task
    #[arg(long, value_enum, default_value = "keep")]
    puzzle_table: TableChoice,
    /// How the result is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// What becomes of a puzzle table of another size.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TableChoice {
    /// It is an error
    Keep,
    /// Each row is the mean of its rows, as the reference does it
    Mean,
}

/// Converts, and says what was taken from where.
pub fn execute(args: &ConvertArgs) -> Result<(), Failure> {
    if args.out.exists() {
        return Err(Failure::bad_input(format!("{}: exists already; name a folder that does not", args.out.display())));
    }
    let request = ImportRequest {
        weights: args.weights.clone(),
        config: args.config.clone(),
        task: args.task.as_deref().map(task).transpose()?,
        puzzle_table: match args.puzzle_table {
            TableChoice::Keep => PuzzleTable::Keep,
            TableChoice::Mean => PuzzleTable::Mean,
        },
    };
    let imported = checkpoint::import(&request).map_err(Failure::bad_input)?;
    let (model, task) = (&imported.checkpoint.model, imported.checkpoint.task);
    checkpoint::save(&args.out, model, model.config(), task)?;
    let parameters = model.parameters().trained_count();
    let mut rows: Vec<_> = imported.notes.iter().map(|note| vec!["note".to_owned(), note.clone()]).collect();
    rows.push(vec!["task".into(), task.name().into()]);
    rows.push(vec!["parameters".into(), parameters.to_string()]);
    rows.push(vec!["checkpoint".into(), args.out.display().to_string()]);
    let value = json!({
        "checkpoint": args.out,
        "task": task.name(),
        "parameters": parameters,
        "config": model.config(),
        "notes": imported.notes,
    });
    output::print(args.output, &Table { headers: vec!["", "value"], rows }, &value)
}

fn task(name: &str) -> Result<Task, Failure> {
    Task::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Task::ALL.into_iter().map(Task::name).collect();
        Failure::bad_input(format!("--task {name}: is no task; there are {}", known.join(", ")))
    })
}
