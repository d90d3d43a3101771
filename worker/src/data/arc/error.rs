//! What can be wrong with ARC's files.

use super::collection::{MAX_AUGMENTATIONS, MAX_COPIES};
use super::grid::GridProblem;
use super::tasks::{MAX_ID, MAX_PAIRS, MAX_TASKS, MAX_TEXT_BYTES};

/// Why tasks or answers cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ArcError {
    /// Larger than any file of tasks.
    #[error("{file}: {found} bytes; a file of ARC tasks has at most {MAX_TEXT_BYTES}")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size.
        found: usize,
    },
    /// No text.
    #[error("{file}: not UTF-8 text at byte {byte}; ARC tasks are JSON text, plain or in gzip")]
    NotUtf8 {
        /// The file.
        file: String,
        /// Where, from 1.
        byte: usize,
    },
    /// No JSON, or no object.
    #[error("{file}: {problem}; {expected}")]
    Json {
        /// The file.
        file: String,
        /// What the parser says, with line and column.
        problem: serde_json::Error,
        /// What the file should hold.
        expected: &'static str,
    },
    /// An object with keys of its own.
    #[error("{file}: no key {key:?}; {expected}")]
    MissingKey {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// What the file should hold.
        expected: &'static str,
    },
    /// A key that means nothing.
    #[error("{file}: unknown key {key:?}; {expected}")]
    UnknownKey {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// What the file should hold.
        expected: &'static str,
    },
    /// A number that is none, or out of range.
    #[error("{file}: {key:?} is {found}; it is a whole number from 0 to {limit}")]
    Number {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// What is there.
        found: String,
        /// The largest number.
        limit: u64,
    },
    /// There is nothing to do.
    #[error("{file}: no tasks; at least one is needed")]
    NoTasks {
        /// The file.
        file: String,
    },
    /// More than there are.
    #[error("{file}: {found} tasks; at most {MAX_TASKS} are read")]
    TooManyTasks {
        /// The file.
        file: String,
        /// How many there are.
        found: usize,
    },
    /// More copies than memory should be spent on.
    #[error(
        "{augmentations} augmentations of each task make {copies} tasks and copies; at most {MAX_AUGMENTATIONS} and {MAX_COPIES} are allowed"
    )]
    TooManyCopies {
        /// Copies of each task.
        augmentations: u32,
        /// Tasks and copies.
        copies: u64,
    },
    /// One task, or the answers to it, are wrong.
    #[error("{file}: task {task}: {problem}")]
    Task {
        /// The file.
        file: String,
        /// Name of the task.
        task: String,
        /// What is wrong with it.
        problem: Box<TaskProblem>,
    },
}

impl ArcError {
    /// `problem` of a task in a file.
    pub(super) fn task(file: &str, task: &str, problem: TaskProblem) -> Self {
        Self::Task { file: file.into(), task: task.into(), problem: Box::new(problem) }
    }
}

/// What is wrong with one task. Pairs and test inputs count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskProblem {
    /// A name that cannot be written into puzzle identifiers.
    #[error("its name must have 1 to {MAX_ID} characters, none of them `|` or invisible")]
    Name,
    /// In several files.
    #[error("also in {other}; a task is either trained on or tested, once")]
    Repeated {
        /// The other file.
        other: String,
    },
    /// Not written as a task.
    #[error("is {found}; {expected}")]
    Form {
        /// What is there.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// No examples.
    #[error("no {list:?} pairs; a task has 1 to {MAX_PAIRS}")]
    NoPairs {
        /// `train` or `test`.
        list: &'static str,
    },
    /// Too many examples.
    #[error("{found} {list:?} pairs; a task has 1 to {MAX_PAIRS}")]
    TooManyPairs {
        /// `train` or `test`.
        list: &'static str,
        /// How many.
        found: usize,
    },
    /// Nothing to learn from.
    #[error("{list} pair {pair} has no output; only test inputs of evaluation tasks may keep theirs hidden")]
    NoOutput {
        /// `train` or `test`.
        list: &'static str,
        /// Which one.
        pair: usize,
    },
    /// One pair is wrong.
    #[error("{list} pair {pair}: {problem}")]
    Pair {
        /// `train` or `test`.
        list: &'static str,
        /// Which one.
        pair: usize,
        /// What is wrong with it.
        problem: PairProblem,
    },
    /// One attempt is wrong.
    #[error("test input {input}: {problem}")]
    Attempt {
        /// Which one.
        input: usize,
        /// What is wrong.
        problem: PairProblem,
    },
    /// An answer is missing or too many.
    #[error("answers to {found} test inputs, but the task has {expected}")]
    Inputs {
        /// Answers in the submission.
        found: usize,
        /// Test inputs of the task.
        expected: usize,
    },
    /// Not in the submission.
    #[error("no answers to it in {submission}; where they are left out on purpose, --partial counts them as wrong")]
    Unanswered {
        /// The submission.
        submission: String,
    },
    /// Not in the file of tasks.
    #[error("not in {tasks}; was the submission made for other tasks?")]
    Unknown {
        /// The file of tasks.
        tasks: String,
    },
    /// Nothing to score against.
    #[error("test pair {pair} has no output, and nothing can be measured without")]
    Hidden {
        /// Which one.
        pair: usize,
    },
}

/// What is wrong with a pair of grids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairProblem {
    /// Not written as a pair.
    #[error("is {found}; {expected}")]
    Form {
        /// What is there.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A grid is wrong.
    #[error("{key}: {problem}")]
    Grid {
        /// `input`, `output`, `attempt_1` or `attempt_2`.
        key: &'static str,
        /// What is wrong with it.
        problem: GridProblem,
    },
}
