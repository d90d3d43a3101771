//! ARC.

use std::path::Path;

use serde_json::json;
use tinysweep_worker::data::{
    arc::{self, ArcTask, Collection},
    read_text, sha256,
};

use super::{Findings, VerifyArgs};
use crate::failure::Failure;

/// A file of tasks: its name, the tasks, its hash.
type TaskFile = (String, Vec<ArcTask>, String);

/// Checks the files of tasks that `args` names.
pub fn verify(args: &VerifyArgs, findings: &mut Findings) -> Result<(), Failure> {
    let benchmark = args.benchmark.name;
    if args.train.is_empty() && args.test.is_none() {
        return Err(Failure::bad_input(format!("{benchmark} has no files of its own: name some with --train and --test")));
    }
    let mut training = Vec::new();
    for path in &args.train {
        let file = read(path)?;
        note("train", &file, benchmark, findings);
        training.push((file.0, file.1));
    }
    let Some(path) = &args.test else { return Ok(()) };
    let file = read(path)?;
    note("test", &file, benchmark, findings);
    let inputs: usize = file.1.iter().map(|task| task.test.len()).sum();
    let collection = Collection::new(0, 0, training, (file.0, file.1)).map_err(Failure::bad_input)?;
    // ARC-AGI-1 itself trains on some, so they are counted here; a sweep refuses more than that.
    let overlaps = arc::overlaps(&collection).len();
    findings.both.insert("test_inputs_trained_on_turned_or_recoloured".into(), json!(overlaps));
    findings.both.insert("share_of_test_inputs".into(), json!(overlaps as f64 / inputs.max(1) as f64));
    Ok(())
}

fn read(path: &Path) -> Result<TaskFile, Failure> {
    let text = read_text(path).map_err(Failure::bad_input)?;
    let name = path.display().to_string();
    let tasks = arc::read(&text, &name).map_err(Failure::bad_input)?;
    Ok((name, tasks, sha256(&text)))
}

fn note(part: &'static str, (file, tasks, hash): &TaskFile, benchmark: &str, findings: &mut Findings) {
    let tests = || tasks.iter().flat_map(|task| &task.test);
    let facts = [
        ("file", json!(file)),
        ("sha256", json!(hash)),
        ("are_the_benchmarks_own_test_tasks", json!(arc::is_official(benchmark, tasks))),
        ("tasks", json!(tasks.len())),
        ("demonstrations", json!(tasks.iter().map(|task| task.train.len()).sum::<usize>())),
        ("test_inputs", json!(tests().count())),
        ("test_inputs_without_answer", json!(tests().filter(|pair| pair.output.is_none()).count())),
    ];
    findings.parts.push((part, facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()));
}
