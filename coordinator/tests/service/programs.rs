//! Sweeps of a program: who gets them, and what the coordinator makes of their results.

use tinysweep_proto::v1::{
    Completed, ExtendSweepRequest, FailureKind, Hello, Program, SubmitSweepRequest, SubmitSweepResponse, coordinator_command::Command,
    extend_sweep_request::Which, worker_event::Event,
};
use tonic::{Code, Status};

use crate::harness::{Client, Running, Worker, code_of, failed, hello, settings, yaml};

const SWEEP: &str = "program: train.py\nmetric: {name: val/loss}\nparameters: {lr: {values: [0.1, 0.2]}}\n";

async fn submit(client: &Client, yaml: &str) -> Result<SubmitSweepResponse, Status> {
    let request = SubmitSweepRequest { yaml: yaml.into(), file_name: "sweep.yaml".into(), dataset: None };
    Ok(client.sweeps().submit_sweep(request).await?.into_inner())
}

/// A worker whose owner allows commands.
async fn allowed(running: &Running, id: &str) -> Worker {
    let greeting = Hello { commands: true, ..hello(id, 1, vec![]) };
    let mut worker = Worker::open(running, Event::Hello(greeting)).await.unwrap();
    assert!(matches!(worker.command().await.unwrap(), Some(Command::Welcome(_))));
    worker
}

#[tokio::test]
async fn a_program_goes_to_who_allows_it_and_its_results_are_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    let mut plain = running.worker("plain", 4).await;
    let SubmitSweepResponse { sweep, note, waits } = submit(&client, SWEEP).await.unwrap();
    let sweep = sweep.unwrap();
    assert_eq!(
        (note.as_str(), waits.as_str()),
        ("", "no worker here allows commands (start one with --allow-commands); the sweep waits for one")
    );
    assert_eq!((sweep.benchmark.as_str(), sweep.goal.as_str(), sweep.dataset), ("", "minimize", None));
    plain.expect_nothing().await;
    assert_eq!(client.explain(&sweep.id, 0).await, ["it waits: no worker here allows commands (start one with --allow-commands)"]);

    let mut worker = allowed(&running, "w").await;
    assert!(client.workers().await.iter().any(|worker| worker.id == "w" && worker.commands));
    for (trial, loss) in [0.5, 0.25].into_iter().enumerate() {
        let lease = worker.lease().await;
        let command = ["${env}", "${interpreter}", "${program}", "${args}"].map(str::to_owned);
        assert_eq!(lease.program, Some(Program { program: "train.py".into(), command: command.into(), metric: "val/loss".into() }));
        assert_eq!((lease.config_json.as_str(), lease.dataset), ([r#"{"lr":0.1}"#, r#"{"lr":0.2}"#][trial], None));
        let metrics = [("val/loss".to_owned(), loss), ("parameters".to_owned(), 7.0)].into();
        worker.send(Event::Completed(Completed { attempt: lease.attempt, metrics, wall_seconds: 1.0, ..Completed::default() })).await;
    }
    worker.acknowledged().await;
    let board = client.leaderboard(&sweep.id).await;
    assert_eq!((board.benchmark.as_str(), board.metric.as_str(), board.goal.as_str()), ("", "val/loss", "minimize"));
    let rows: Vec<_> = board.rows.iter().map(|row| (row.trial, row.mean, row.parameters, row.config_json.as_str())).collect();
    assert_eq!(rows, [(Some(1), 0.25, 7, r#"{"lr":0.2}"#), (Some(0), 0.5, 7, r#"{"lr":0.1}"#)]);
    let stored = client.sweep(&sweep.id).await;
    assert_eq!(stored.program.unwrap().program, "train.py");

    let wanted = ExtendSweepRequest { sweep: sweep.id.clone(), steps: 20, which: Some(Which::Top(1)) };
    let refused = client.sweeps().extend_sweep(wanted).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains(&sweep.id), "{}", refused.message());
    assert_eq!((stored.trials, client.sweep(&sweep.id).await.trials), (2, 2));
    running.stop().await;
}

#[tokio::test]
async fn a_result_without_the_metric_is_none_and_a_missing_program_is_tried_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    let sweep = submit(&client, &format!("{SWEEP}retry: {{backoff_secs: 0}}\n")).await.unwrap().sweep.unwrap();
    let mut worker = allowed(&running, "w").await;
    let lease = worker.lease().await;
    let metrics = [("loss".to_owned(), 1.0)].into();
    worker.send(Event::Completed(Completed { attempt: lease.attempt, metrics, wall_seconds: 1.0, ..Completed::default() })).await;
    worker.acknowledged().await;
    let replicate = client.trial(&sweep.id, 0).await.replicates.remove(0);
    assert_eq!(replicate.attempts[0].failure, "bad_result");
    assert!(
        replicate.reason.ends_with("the sweep's metric val/loss is not among the final metrics; those are loss"),
        "{}",
        replicate.reason
    );

    let lease = worker.lease().await;
    let mut other = allowed(&running, "x").await;
    worker.send(failed(&lease, FailureKind::CannotStart, "no train.py")).await;
    assert_eq!(other.lease().await.attempt.unwrap().attempt, 2);
    running.stop().await;
}

#[tokio::test]
async fn programs_have_no_puzzles_and_models_do() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    assert_eq!(code_of(submit(&client, &yaml(1, 1)).await), Code::InvalidArgument);
    let dataset = client.dataset().await;
    assert_eq!(code_of(client.try_submit(SWEEP.into(), dataset).await), Code::InvalidArgument);
    let wrong = submit(&client, &SWEEP.replace("train.py", "train.sh")).await.unwrap_err();
    assert!(wrong.message().starts_with("sweep.yaml:1:10: `program` alone is run by Python"), "{}", wrong.message());
    // On a benchmark's board it stands beside the models.
    let on_board = submit(&client, &format!("benchmark: sudoku-4x4\n{}", SWEEP.replace("val/loss", "test/exact_accuracy"))).await.unwrap();
    let board = client.leaderboard(&on_board.sweep.unwrap().id).await;
    assert_eq!((board.benchmark.as_str(), board.goal.as_str()), ("sudoku-4x4", "maximize"));
    assert!(!board.rows.is_empty(), "published results of the benchmark");
    running.stop().await;
}
