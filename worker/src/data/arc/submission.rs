//! Answers to ARC tasks in the official form: for each task, a list with two attempts at each of its test inputs.

use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{ArcError, PairProblem, TaskProblem};
use super::grid::Grid;
use super::json;
use super::tasks::{ArcTask, MAX_PAIRS, MAX_TASKS, entries, grids, utf8};

const FILE_FORM: &str = "a submission is an object of lists by task, with an object of \"attempt_1\" and \"attempt_2\" for each test input";
const ATTEMPTS_FORM: &str = "the attempts at a test input are an object of two grids, \"attempt_1\" and \"attempt_2\"";

/// Answers to tasks, by name, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission(pub Vec<(String, Vec<Attempts>)>);

/// Two attempts at one test input. An empty grid is an attempt that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempts {
    /// The first.
    pub attempt_1: Grid,
    /// The second.
    pub attempt_2: Grid,
}

impl Serialize for Submission {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(task, attempts)| (task, attempts)))
    }
}

impl Submission {
    /// Reads the answers in `text`.
    ///
    /// # Errors
    /// The text is no submission.
    pub fn read(text: &[u8], file: &str) -> Result<Self, ArcError> {
        let entries = entries(utf8(text, file)?, file, FILE_FORM)?;
        if entries.len() > MAX_TASKS {
            return Err(ArcError::TooManyTasks { file: file.into(), found: entries.len() });
        }
        let read = |(task, value): (String, &RawValue)| match answers(value) {
            Ok(answers) => Ok((task, answers)),
            Err(problem) => Err(ArcError::task(file, &task, problem)),
        };
        entries.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

fn answers(value: &RawValue) -> Result<Vec<Attempts>, TaskProblem> {
    let form = || TaskProblem::Form { found: json::shown(value), expected: FILE_FORM };
    let (elements, found) = json::elements(value.get(), MAX_PAIRS).ok_or_else(form)?;
    if found > MAX_PAIRS {
        return Err(TaskProblem::TooManyPairs { list: "test", found });
    }
    let read = |(value, input)| attempts(value).map_err(|problem| TaskProblem::Attempt { input, problem });
    elements.into_iter().zip(1..).map(read).collect()
}

fn attempts(value: &RawValue) -> Result<Attempts, PairProblem> {
    match grids(value, ["attempt_1", "attempt_2"], ATTEMPTS_FORM)? {
        [Some(attempt_1), Some(attempt_2)] => Ok(Attempts { attempt_1, attempt_2 }),
        _ => Err(PairProblem::Form { found: json::shown(value), expected: ATTEMPTS_FORM }),
    }
}

/// How good a submission is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubmissionScore {
    /// Tasks that were scored.
    pub tasks: usize,
    /// Their test inputs.
    pub inputs: usize,
    /// Of those, the ones without attempts.
    pub unanswered: usize,
    /// Mean over tasks of the share of test inputs whose first attempt is right.
    pub pass_at_1: f64,
    /// The same for either attempt.
    pub pass_at_2: f64,
}

/// Scores `submission` against `tasks`, as ARC Prize does: a task counts as the share of its test inputs that have a right attempt. A task
/// without answers is an error, or counts as unsolved where that is `allowed`.
///
/// # Errors
/// Submission and tasks do not belong together, or an answer to score against is missing. `files` names both, for the message.
pub fn score(submission: &Submission, tasks: &[ArcTask], allowed: Unanswered, files: Files) -> Result<SubmissionScore, ArcError> {
    let known: std::collections::HashSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    if let Some((task, _)) = submission.0.iter().find(|(task, _)| !known.contains(task.as_str())) {
        return Err(ArcError::task(files.submission, task, TaskProblem::Unknown { tasks: files.tasks.into() }));
    }
    let answers: std::collections::HashMap<&str, &Vec<Attempts>> = submission.0.iter().map(|(task, list)| (task.as_str(), list)).collect();
    let mut score = SubmissionScore { tasks: tasks.len(), inputs: 0, unanswered: 0, pass_at_1: 0.0, pass_at_2: 0.0 };
    for task in tasks {
        let inputs = task.test.len();
        score.inputs += inputs;
        match answers.get(task.id.as_str()) {
            Some(attempts) => {
                let (first, either) = solved(task, attempts, files)?;
                score.pass_at_1 += first as f64 / inputs as f64;
                score.pass_at_2 += either as f64 / inputs as f64;
            }
            None if allowed == Unanswered::Unsolved => score.unanswered += inputs,
            None => {
                let problem = TaskProblem::Unanswered { submission: files.submission.into() };
                return Err(ArcError::task(files.tasks, &task.id, problem));
            }
        }
    }
    score.pass_at_1 /= tasks.len() as f64;
    score.pass_at_2 /= tasks.len() as f64;
    Ok(score)
}

/// What it means that a submission leaves a task out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It is not the submission that was meant.
    Error,
    /// The task is unsolved.
    Unsolved,
}

/// Names of the two files, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The answers.
    pub submission: &'a str,
    /// The tasks.
    pub tasks: &'a str,
}

/// How many test inputs of `task` the first attempts solve, and how many either attempt does.
fn solved(task: &ArcTask, attempts: &[Attempts], files: Files) -> Result<(usize, usize), ArcError> {
    let failed = |file, problem| Err(ArcError::task(file, &task.id, problem));
    if attempts.len() != task.test.len() {
        return failed(files.submission, TaskProblem::Inputs { found: attempts.len(), expected: task.test.len() });
    }
    let (mut first, mut either) = (0, 0);
    for ((attempts, pair), number) in attempts.iter().zip(&task.test).zip(1..) {
        let Some(answer) = &pair.output else { return failed(files.tasks, TaskProblem::Hidden { pair: number }) };
        first += usize::from(attempts.attempt_1 == *answer);
        either += usize::from(attempts.attempt_1 == *answer || attempts.attempt_2 == *answer);
    }
    Ok((first, either))
}

#[cfg(test)]
mod tests {
    use super::super::tasks;
    use super::*;

    const TASKS: &str = r#"{
        "a": {"train": [{"input": [[0]], "output": [[0]]}], "test": [{"input": [[1]], "output": [[2]]}, {"input": [[3]], "output": [[4]]}]},
        "b": {"train": [{"input": [[0]], "output": [[0]]}], "test": [{"input": [[1]], "output": [[5, 6]]}]}
    }"#;
    const FILES: Files = Files { submission: "s.json", tasks: "t.json" };

    fn scored(submission: &str, allowed: Unanswered) -> Result<SubmissionScore, ArcError> {
        score(&Submission::read(submission.as_bytes(), "s.json")?, &tasks::read(TASKS.as_bytes(), "t.json")?, allowed, FILES)
    }

    fn problem(submission: &str) -> String {
        scored(submission, Unanswered::Error).unwrap_err().to_string()
    }

    #[test]
    fn a_task_counts_as_the_share_of_its_inputs() {
        let submission = r#"{"b":[{"attempt_1":[[6,5]],"attempt_2":[[5,6]]}],
            "a":[{"attempt_1":[[2]],"attempt_2":[]},{"attempt_1":[[0]],"attempt_2":[[0]]}]}"#;
        let score = scored(submission, Unanswered::Error).unwrap();
        assert_eq!(score, SubmissionScore { tasks: 2, inputs: 3, unanswered: 0, pass_at_1: 0.25, pass_at_2: 0.75 });
    }

    #[test]
    fn a_task_that_is_left_out_is_an_error_unless_it_counts_as_unsolved() {
        let submission = r#"{"b":[{"attempt_1":[[5,6]],"attempt_2":[[5],[6]]}]}"#;
        let score = scored(submission, Unanswered::Unsolved).unwrap();
        assert_eq!(score, SubmissionScore { tasks: 2, inputs: 3, unanswered: 2, pass_at_1: 0.5, pass_at_2: 0.5 });
        let expected = "t.json: task a: no answers to it in s.json; where they are left out on purpose, --partial counts them as wrong";
        assert_eq!(problem(submission), expected);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(problem(r#"{"b":[],"a":[]}"#), "s.json: task a: answers to 0 test inputs, but the task has 2");
        assert_eq!(problem(r#"{"c":[]}"#), "s.json: task c: not in t.json; was the submission made for other tasks?");
        assert_eq!(
            problem(r#"{"b":[{"attempt_1":[[5,16]],"attempt_2":[[5]]}]}"#),
            "s.json: task b: test input 1: attempt_1: row 1, column 2 is 16; a colour is a number from 0 to 9"
        );
        assert!(
            problem(r#"{"b":[{"attempt_1":[[5]]}]}"#).starts_with("s.json: task b: test input 1: is {\"attempt_1\":[[5]]}; the attempts")
        );
        assert!(problem(r#"{"b":3}"#).starts_with("s.json: task b: is 3; a submission is"));
        assert!(problem("[").starts_with("s.json: invalid type: sequence"));
    }

    #[test]
    fn a_submission_is_written_as_it_is_read() {
        let text = r#"{"b":[{"attempt_1":[[5,6]],"attempt_2":[]}]}"#;
        let submission = Submission::read(text.as_bytes(), "s.json").unwrap();
        assert_eq!(serde_json::to_string(&submission).unwrap(), text);
    }
}
