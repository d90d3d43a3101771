//! ARC on real tasks and on the answers of a published model.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tinysweep_worker::data::arc::{ArcTask, Collection, Files, Submission, Unanswered, overlaps, read, score};

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
    let (training, evaluation) = (("training.json", tasks(TRAINING)), ("evaluation.json", tasks(EVALUATION)));
    let collection = Collection::new(42, 1000, vec![training], evaluation).unwrap();
    let copies = collection.copies();
    assert_eq!(copies.len(), 11);
    let few: Vec<_> = copies.iter().filter(|(_, views)| views.len() < 1001).map(|(task, views)| (task.id.as_str(), views.len())).collect();
    // Eight turns, times 9 places for one colour or 9·8 for two.
    assert_eq!(few, [("c9e6f938", 72), ("be03b35f", 576), ("b1fc8b8e", 72)]);
    assert_eq!(overlaps(&collection), []);
}
