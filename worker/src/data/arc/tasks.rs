//! Files of ARC tasks, in the form of the official repositories: `{"train": [{"input": …, "output": …}], "test": […]}` for each task,
//! one task to a file or many in an object by name.

use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::error::{ArcError, PairProblem, TaskProblem};
use super::grid::{Grid, GridProblem};
use super::json;

/// Bytes of the largest file of tasks; the largest official one has 7 million.
pub const MAX_TEXT_BYTES: usize = 64 << 20;
/// Tasks of the largest collection.
pub const MAX_TASKS: usize = 10_000;
/// Pairs of the largest task, in each of its two lists; the largest official one has 10.
pub const MAX_PAIRS: usize = 100;
/// Characters of the longest task name.
pub const MAX_ID: usize = 100;

const FILE_FORM: &str = "a file of ARC tasks is one task, {\"train\": […], \"test\": […]}, or an object of tasks by name";
const TASK_FORM: &str = "a task is an object of two lists of pairs, \"train\" and \"test\"";
const PAIR_FORM: &str = "a pair is an object of two grids, \"input\" and \"output\"";

/// One task: pairs that show what to do, and inputs to do it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArcTask {
    /// Its name.
    pub id: String,
    /// Demonstrations. All have outputs.
    pub train: Vec<Pair>,
    /// Inputs to answer.
    pub test: Vec<Pair>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// What is given.
    pub input: Grid,
    /// What is wanted; nothing where it is kept secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Grid>,
}

impl ArcTask {
    /// All pairs, demonstrations first.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.train.iter().chain(&self.test)
    }
}

impl Serialize for ArcTask {
    /// As in the files, without the name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut task = serializer.serialize_map(Some(2))?;
        task.serialize_entry("train", &self.train)?;
        task.serialize_entry("test", &self.test)?;
        task.end()
    }
}

/// Reads the tasks in `text`, in its order. A file of one task gives it the file's name, without folder and extension.
///
/// # Errors
/// The text is no such file, or one of its tasks is wrong.
pub fn read(text: &[u8], file: &str) -> Result<Vec<ArcTask>, ArcError> {
    let text = utf8(text, file)?;
    let entries = entries(text, file, FILE_FORM)?;
    if !entries.is_empty() && entries.iter().all(|(key, _)| matches!(key.as_str(), "train" | "test")) {
        let id = Path::new(file).file_name().map_or("", |name| name.to_str().unwrap_or(""));
        let id = id.split_once('.').map_or(id, |(stem, _)| stem).to_owned();
        return Ok(vec![task(id.clone(), &entries).map_err(|problem| ArcError::task(file, &id, problem))?]);
    }
    if entries.is_empty() {
        return Err(ArcError::NoTasks { file: file.into() });
    }
    read_all(entries, file)
}

/// The tasks in the object in `value`, which may have none.
pub(super) fn read_object(value: &RawValue, file: &str) -> Result<Vec<ArcTask>, ArcError> {
    read_all(entries(value.get(), file, FILE_FORM)?, file)
}

/// `text`, if it is not too long and UTF-8.
pub(super) fn utf8<'a>(text: &'a [u8], file: &str) -> Result<&'a str, ArcError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ArcError::TooLarge { file: file.into(), found: text.len() });
    }
    std::str::from_utf8(text).map_err(|error| ArcError::NotUtf8 { file: file.into(), byte: error.valid_up_to() + 1 })
}

/// The entries of the object that is the whole of `text`.
pub(super) fn entries<'a>(text: &'a str, file: &str, expected: &'static str) -> Result<Vec<(String, &'a RawValue)>, ArcError> {
    json::entries(text).map_err(|problem| ArcError::Json { file: file.into(), problem, expected })
}

fn read_all(entries: Vec<(String, &RawValue)>, file: &str) -> Result<Vec<ArcTask>, ArcError> {
    if entries.len() > MAX_TASKS {
        return Err(ArcError::TooManyTasks { file: file.into(), found: entries.len() });
    }
    let read = |(id, value): (String, &RawValue)| {
        let form = |_| TaskProblem::Form { found: json::shown(value), expected: TASK_FORM };
        let parts = json::entries(value.get()).map_err(form);
        parts.and_then(|parts| task(id.clone(), &parts)).map_err(|problem| ArcError::task(file, &id, problem))
    };
    entries.into_iter().map(read).collect()
}

fn task(id: String, parts: &[(String, &RawValue)]) -> Result<ArcTask, TaskProblem> {
    if id.is_empty() || id.chars().count() > MAX_ID || id.contains(|letter: char| letter == '|' || letter.is_control()) {
        return Err(TaskProblem::Name);
    }
    let [train, test] = values(parts, ["train", "test"]).ok_or_else(|| TaskProblem::Form { found: keys(parts), expected: TASK_FORM })?;
    let [Some(train), Some(test)] = [train, test] else {
        return Err(TaskProblem::Form { found: keys(parts), expected: TASK_FORM });
    };
    let (train, test) = (pairs(train, "train")?, pairs(test, "test")?);
    if let Some(index) = train.iter().position(|pair| pair.output.is_none()) {
        return Err(TaskProblem::NoOutput { list: "train", pair: index + 1 });
    }
    Ok(ArcTask { id, train, test })
}

fn pairs(value: &RawValue, list: &'static str) -> Result<Vec<Pair>, TaskProblem> {
    let form = || TaskProblem::Form { found: json::shown(value), expected: TASK_FORM };
    let (elements, found) = json::elements(value.get(), MAX_PAIRS).ok_or_else(form)?;
    match found {
        0 => Err(TaskProblem::NoPairs { list }),
        found if found > MAX_PAIRS => Err(TaskProblem::TooManyPairs { list, found }),
        _ => {
            let read = |(value, number)| pair(value).map_err(|problem| TaskProblem::Pair { list, pair: number, problem });
            elements.into_iter().zip(1..).map(read).collect()
        }
    }
}

fn pair(value: &RawValue) -> Result<Pair, PairProblem> {
    let [input, output] = grids(value, ["input", "output"], PAIR_FORM)?;
    let filled = |key, grid: Grid| match grid.cells() {
        [] => Err(PairProblem::Grid { key, problem: GridProblem::Empty }),
        _ => Ok(grid),
    };
    let Some(input) = input else { return Err(PairProblem::Form { found: json::shown(value), expected: PAIR_FORM }) };
    Ok(Pair { input: filled("input", input)?, output: output.map(|grid| filled("output", grid)).transpose()? })
}

/// The grids of an object that has no other keys than `keys`; a grid may be empty.
pub(super) fn grids(value: &RawValue, keys: [&'static str; 2], expected: &'static str) -> Result<[Option<Grid>; 2], PairProblem> {
    let form = || PairProblem::Form { found: json::shown(value), expected };
    let parts = json::entries(value.get()).map_err(|_| form())?;
    let [first, second] = values(&parts, keys).ok_or_else(form)?;
    let read = |key, value: Option<&RawValue>| value.map(json::grid).transpose().map_err(|problem| PairProblem::Grid { key, problem });
    Ok([read(keys[0], first)?, read(keys[1], second)?])
}

/// The values of `keys`; nothing if there are other keys.
fn values<'a>(parts: &[(String, &'a RawValue)], keys: [&str; 2]) -> Option<[Option<&'a RawValue>; 2]> {
    let known = parts.iter().all(|(key, _)| keys.contains(&key.as_str()));
    known.then(|| keys.map(|wanted| parts.iter().find(|(key, _)| key == wanted).map(|(_, value)| *value)))
}

/// What an object has, for messages.
fn keys(parts: &[(String, &RawValue)]) -> String {
    let shown: Vec<String> = parts.iter().take(4).map(|(key, _)| format!("{:?}", key.chars().take(20).collect::<String>())).collect();
    if shown.is_empty() { "an empty object".into() } else { format!("an object of {}", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TASK: &str = r#"{"train":[{"input":[[1,2]],"output":[[2],[1]]}],"test":[{"input":[[3]]},{"input":[[4]],"output":[[5]]}]}"#;

    fn problem(text: &str) -> String {
        read(text.as_bytes(), "a.json").unwrap_err().to_string()
    }

    #[test]
    fn tasks_are_read_and_written_alike() {
        let tasks = read(format!("{{\"a1\":{TASK},\"b2\":{TASK}}}").as_bytes(), "a.json").unwrap();
        assert_eq!(tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["a1", "b2"]);
        assert_eq!(serde_json::to_string(&tasks[1]).unwrap(), TASK);
    }

    #[test]
    fn a_file_of_one_task_gives_it_its_name() {
        let tasks = read(TASK.as_bytes(), "folder/007bbfb7.json.gz").unwrap();
        assert_eq!((tasks.len(), tasks[0].id.as_str(), tasks[0].test.len()), (1, "007bbfb7", 2));
        assert_eq!(tasks[0].test[0].output, None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let with = |train: &str, test: &str| format!("{{\"x\":{{\"train\":{train},\"test\":{test}}}}}");
        let good = "[{\"input\":[[1]],\"output\":[[1]]}]";
        assert_eq!(
            problem(&with("[{\"input\":[[1]],\"output\":[[1]]},{\"input\":[[1]],\"output\":[[1,2],[1,12]]}]", good)),
            "a.json: task x: train pair 2: output: row 2, column 2 is 12; a colour is a number from 0 to 9"
        );
        assert_eq!(problem(&with("[]", good)), "a.json: task x: no \"train\" pairs; a task has 1 to 100");
        let many = format!("[{}]", vec!["1"; 1000].join(","));
        assert_eq!(problem(&with(good, &many)), "a.json: task x: 1000 \"test\" pairs; a task has 1 to 100");
        assert!(problem(&with("[{\"input\":[[1]]}]", good)).starts_with("a.json: task x: train pair 1 has no output; only test inputs"));
        assert_eq!(
            problem(&with(good, "[{\"input\":[],\"output\":[[1]]}]")),
            "a.json: task x: test pair 1: input: no cells; a grid has 1 to 30 rows and columns"
        );
        assert_eq!(
            problem(&with(good, "[{\"output\":[[1]]}]")),
            "a.json: task x: test pair 1: is {\"output\":[[1]]}; a pair is an object of two grids, \"input\" and \"output\""
        );
        assert_eq!(
            problem("{\"x\":{\"train\":[],\"tests\":[]}}"),
            "a.json: task x: is an object of \"train\", \"tests\"; a task is an object of two lists of pairs, \"train\" and \"test\""
        );
        assert!(problem("{\"a|b\":{\"train\":[],\"test\":[]}}").starts_with("a.json: task a|b: its name must have 1 to 100 characters"));
        assert_eq!(problem("{}"), "a.json: no tasks; at least one is needed");
        assert!(problem("[1, 2").starts_with("a.json: invalid type: sequence, expected an object at line 1 column 0; a file of ARC tasks"));
        assert!(read(b"{\"a\xff", "a.json").unwrap_err().to_string().starts_with("a.json: not UTF-8 text at byte 4;"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let deep = "[".repeat(200_000);
        assert!(read(deep.as_bytes(), "a.json").is_err());
        let task = format!("{{\"x\":{{\"train\":{}{},\"test\":[]}}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(task.as_bytes(), "a.json").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text: Vec<u8>, cut in 0..TASK.len(), byte: u8) {
            let _ = read(&text, "a.json");
            let mut torn = TASK.as_bytes().to_vec();
            torn[cut] = byte;
            let _ = read(&torn, "a.json");
            let _ = read(&TASK.as_bytes()[..cut], "a.json");
        }
    }
}
