//! ARC on real tasks and on the answers of a published model.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use tinysweep_proto::{
    config::{TrialConfig, Variant},
    dataset::{Format, benchmark},
    metric::TEST_METRICS,
};
use tinysweep_worker::{
    data::{
        ArcRequest, DataRequest, Split,
        arc::{ArcTask, Collection, Files, Submission, Unanswered, overlaps, read, score},
        decode, prepare,
        sudoku::Ratings,
    },
    device,
    report::{Directive, Report, Reporter},
    train::{Task, train},
};

const TRAINING: &str = include_str!("fixtures/arc/training.json");
const EVALUATION: &str = include_str!("fixtures/arc/evaluation.json");
const SUBMISSION: &str = include_str!("fixtures/arc/submission.json");

fn tasks(text: &str) -> Vec<ArcTask> {
    read(text.as_bytes(), "tasks.json").unwrap()
}

#[test]
fn published_answers_score_as_counted_by_hand() {
    let submission = Submission::read(SUBMISSION.as_bytes(), "submission.json").unwrap();
    let files = Files { submission: "submission.json", tasks: "evaluation.json" };
    let score = score(&submission, &tasks(EVALUATION), Unanswered::Error, files).unwrap();
    // First attempts solve 66e6c45b, ca8de6ea, e345f17b and half of b1fc8b8e; second ones c8b7cc0f, the rest of b1fc8b8e, and half of
    // 6ea4a07e and of 3b4c2228.
    assert_eq!((score.tasks, score.inputs, score.unanswered), (8, 12, 0));
    assert_eq!((score.pass_at_1, score.pass_at_2), (3.5 / 8.0, 6.0 / 8.0));
}

#[test]
fn tasks_of_few_looks_have_fewer_copies() {
    let (training, evaluation) = (("training.json".into(), tasks(TRAINING)), ("evaluation.json".into(), tasks(EVALUATION)));
    let collection = Collection::new(42, 1000, vec![training], evaluation).unwrap();
    let copies = collection.copies();
    assert_eq!(copies.len(), 11);
    let few: Vec<_> = copies.iter().filter(|(_, views)| views.len() < 1001).map(|(task, views)| (task.id.as_str(), views.len())).collect();
    // Eight turns, times 9 places for one colour or 9·8 for two.
    assert_eq!(few, [("c9e6f938", 72), ("be03b35f", 576), ("b1fc8b8e", 72)]);
    assert_eq!(overlaps(&collection), []);
}

/// A sweep's request for the fixtures, written to `folder`.
fn request(folder: &std::path::Path) -> DataRequest {
    let (training, evaluation) = (folder.join("training.json"), folder.join("evaluation.json"));
    std::fs::write(&training, TRAINING).unwrap();
    std::fs::write(&evaluation, EVALUATION).unwrap();
    let arc = ArcRequest { training: vec![training], evaluation, augmentations: 2, seed: 42, allow_overlap: false };
    DataRequest {
        benchmark: benchmark("arc-agi-1").unwrap(),
        train: None,
        test: None,
        seed: 0,
        givens: None,
        ratings: Ratings::ANY,
        official: Vec::new(),
        arc: Some(arc),
    }
}

#[test]
fn one_artifact_holds_both_splits() {
    let folder = tempfile::tempdir().unwrap();
    let data = prepare(&request(folder.path())).unwrap();
    let set = &data.dataset;
    assert_eq!((set.puzzle_identifiers, set.proxy, set.train.format), (1 + 11 * 3, true, Format::Arc));
    assert_eq!((&set.train.sha256, &data.train), (&set.test.sha256, &data.test));
    assert!(
        set.train.origin.ends_with("evaluation.json, 2 augmentations, seed 42; 0 of 12 test inputs are also trained on"),
        "{}",
        set.train.origin
    );
    let train = decode(&data.train, &set.train, set.task, Split::Train).unwrap();
    let test = decode(&data.test, &set.test, set.task, Split::Test).unwrap();
    assert_eq!((train.group_count(), test.group_count()), (11, 8));
    assert_eq!((test.rows(), test.len() as u64, set.test.examples), (12, 36, 36));
    assert_eq!((train.puzzle_identifiers, test.puzzle_identifiers), (34, 34));
}

#[test]
fn test_inputs_that_are_trained_on_are_refused_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(folder.path());
    // The first evaluation task once more, under another name.
    let renamed = EVALUATION.replacen("66e6c45b", "renamed0", 1);
    let (name, _) = renamed.split_once("be03b35f").unwrap();
    let copy = folder.path().join("copy.json");
    std::fs::write(&copy, format!("{}}}", name.trim_end().trim_end_matches(['"', '\n', ','].as_slice()))).unwrap();
    request.arc.as_mut().unwrap().training.push(copy);
    assert_eq!(
        prepare(&request).unwrap_err().to_string(),
        "1 of the 12 test inputs are, perhaps turned or in other colours, trained on with their answers, such as test input 1 of task 66e6c45b \
         in task renamed0; leave those tasks out, or set `allow_overlap: true` if that is what you want to measure"
    );
    request.arc.as_mut().unwrap().allow_overlap = true;
    assert!(prepare(&request).unwrap().dataset.train.origin.ends_with("; 1 of 12 test inputs are also trained on"));
}

#[test]
fn what_is_asked_of_arc_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(folder.path());
    let secret = EVALUATION.replacen(",\"output\":[[2,0,0,3],[0,0,0,0],[0,0,0,0],[4,0,0,9]]", "", 1);
    let evaluation = &request.arc.as_ref().unwrap().evaluation;
    std::fs::write(evaluation, secret).unwrap();
    let message = prepare(&request).unwrap_err().to_string();
    let expected = format!("{}: task 66e6c45b: test pair 1 has no output, and nothing can be measured without", evaluation.display());
    assert_eq!(message, expected);
    request.arc = None;
    let message = prepare(&request).unwrap_err().to_string();
    assert!(message.starts_with("benchmark arc-agi-1 has no tasks of its own: `arc` must name files of them"), "{message}");
}

/// Keeps the metrics of each test evaluation.
#[derive(Default)]
struct Kept(Vec<BTreeMap<String, f64>>);

impl Reporter for Kept {
    fn report(&mut self, report: &Report) -> Directive {
        if report.points.iter().any(|(name, _)| name.starts_with("subset/")) {
            self.0.push(report.points.iter().cloned().collect());
        }
        Directive::Continue
    }
}

#[test]
fn a_model_that_trains_on_arc_reports_pass_at_k() {
    let folder = tempfile::tempdir().unwrap();
    let data = prepare(&request(folder.path())).unwrap();
    let [train_set, test_set] = [Split::Train, Split::Test].map(|split| {
        decode(&data.train, if split == Split::Train { &data.dataset.train } else { &data.dataset.test }, data.dataset.task, split).unwrap()
    });
    let mut config = TrialConfig { variant: Variant::Att, hidden_size: 16, num_heads: 1, layers: 1, ..TrialConfig::default() };
    (config.h_cycles, config.l_cycles, config.halt_max_steps) = (1, 1, 2);
    (config.train.steps, config.train.batch_size) = (2, 2);
    (config.evaluation.every, config.evaluation.examples, config.evaluation.batch_size) = (1, 12, 4);
    let mut kept = Kept::default();
    let device = device::from_environment().unwrap();
    let task = Task { config: &config, seed: 1, train: &train_set, test: &test_set, device: &device };
    let outcome = train(task, None, &mut kept).unwrap();
    for (metrics, split) in [(&kept.0[0], "subset"), (&outcome.metrics, "test")] {
        let of_arc = TEST_METRICS.iter().filter(|metric| metric.name != "test/optimal_path_accuracy");
        let value = |name: &str| metrics[&name.replacen("test", split, 1)];
        assert!(of_arc.into_iter().all(|metric| value(metric.name).is_finite()), "{metrics:?}");
        assert!(value("test/pass@1") <= value("test/pass@1000"));
    }
    outcome.votes.unwrap().save(folder.path()).unwrap();
    let submission = Submission::read(&std::fs::read(folder.path().join("submission.json")).unwrap(), "submission.json").unwrap();
    let files = Files { submission: "submission.json", tasks: "evaluation.json" };
    let score = score(&submission, &tasks(EVALUATION), Unanswered::Error, files).unwrap();
    assert_eq!((score.pass_at_1, score.pass_at_2), (outcome.metrics["test/pass@1"], outcome.metrics["test/pass@2"]));
}
