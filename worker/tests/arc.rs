//! ARC on real tasks and on the answers of a published model.

use tinysweep_worker::data::arc::{ArcTask, Files, Submission, Unanswered, read, score};

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
