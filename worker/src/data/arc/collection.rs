//! The ARC tasks of a sweep and how they are augmented: what a trial's data are built from, in one file with one hash.

use std::collections::HashMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use tinysweep_proto::dataset::Task;

use super::super::{Examples, Puzzle, Split, Tags};
use super::canvas;
use super::copies;
use super::error::{ArcError, TaskProblem};
use super::tasks::{ArcTask, Pair, entries, read_object, utf8};
use super::view::View;

/// The seed of the reference's builder.
pub const DEFAULT_SEED: u64 = 42;
/// The copies that the reference's builder makes of each task.
pub const DEFAULT_AUGMENTATIONS: u32 = 1000;
/// The most copies of a task.
pub const MAX_AUGMENTATIONS: u32 = 10_000;
/// The most tasks and copies together.
pub const MAX_COPIES: u64 = 20_000_000;

const FORM: &str = "a collection of ARC tasks has \"seed\", \"augmentations\", and tasks by name under \"training\" and \"evaluation\"";

/// Tasks and how they are augmented.
///
/// Every task is trained on. Of evaluation tasks only the demonstrations are, and their test inputs are what is measured; training tasks
/// give all their pairs. Each task, and each of its copies, has an identifier of its own: 0 is blank, then come the training tasks in the
/// order of their files and the evaluation tasks, each followed by its copies in the order in which they were drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    seed: u64,
    augmentations: u32,
    training: Vec<ArcTask>,
    evaluation: Vec<ArcTask>,
}

/// Tasks and the file that they come from.
pub type Named = (String, Vec<ArcTask>);

impl Collection {
    /// Puts together the tasks of several files.
    ///
    /// # Errors
    /// A name is there twice, a training task keeps an output secret, or there are too many copies.
    pub fn new(seed: u64, augmentations: u32, training: Vec<Named>, evaluation: Named) -> Result<Self, ArcError> {
        let copies = training.iter().map(|(_, tasks)| tasks.len()).sum::<usize>() as u64 + evaluation.1.len() as u64;
        let copies = copies * (u64::from(augmentations) + 1);
        if augmentations > MAX_AUGMENTATIONS || copies > MAX_COPIES {
            return Err(ArcError::TooManyCopies { augmentations, copies });
        }
        check_names(training.iter().chain([&evaluation]))?;
        for (file, task) in training.iter().flat_map(|(file, tasks)| tasks.iter().map(move |task| (file, task))) {
            if let Some(index) = task.test.iter().position(|pair| pair.output.is_none()) {
                let problem = TaskProblem::NoOutput { list: "test", pair: index + 1 };
                return Err(ArcError::task(file, &task.id, problem));
            }
        }
        let training = training.into_iter().flat_map(|(_, tasks)| tasks).collect();
        Ok(Self { seed, augmentations, training, evaluation: evaluation.1 })
    }

    /// Reads what [`Self::write`] has written.
    ///
    /// # Errors
    /// The text is no collection, or one of its tasks is wrong.
    pub fn read(text: &[u8], file: &str) -> Result<Self, ArcError> {
        let entries = entries(utf8(text, file)?, file, FORM)?;
        if let Some((key, _)) = entries.iter().find(|(key, _)| !["seed", "augmentations", "training", "evaluation"].contains(&key.as_str()))
        {
            return Err(ArcError::UnknownKey { file: file.into(), key: key.clone(), expected: FORM });
        }
        let value = |key: &'static str| {
            let missing = || ArcError::MissingKey { file: file.into(), key, expected: FORM };
            entries.iter().find(|(name, _)| name == key).map(|(_, value)| *value).ok_or_else(missing)
        };
        let number = |key: &'static str, limit: u64| {
            let value: &RawValue = value(key)?;
            let wrong = || ArcError::Number { file: file.into(), key, found: super::json::shown(value), limit };
            value.get().parse().ok().filter(|number| *number <= limit).ok_or_else(wrong)
        };
        let (training, evaluation) = (read_object(value("training")?, file)?, read_object(value("evaluation")?, file)?);
        if evaluation.is_empty() {
            return Err(ArcError::NoTasks { file: file.into() });
        }
        let augmentations = number("augmentations", MAX_AUGMENTATIONS.into())? as u32;
        Self::new(number("seed", u64::MAX)?, augmentations, vec![(file.into(), training)], (file.into(), evaluation))
    }

    /// The text of the file: the same for the same collection.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has no maps but those by name, and nothing fails to serialise")
    }

    /// Says which evaluation task keeps an answer secret; `file` is where it comes from.
    ///
    /// # Errors
    /// The first one that does.
    pub fn check_answers(&self, file: &str) -> Result<(), ArcError> {
        for task in &self.evaluation {
            if let Some(index) = task.test.iter().position(|pair| pair.output.is_none()) {
                return Err(ArcError::task(file, &task.id, TaskProblem::Hidden { pair: index + 1 }));
            }
        }
        Ok(())
    }

    /// The tasks whose test inputs are measured.
    pub fn evaluation(&self) -> &[ArcTask] {
        &self.evaluation
    }

    /// The tasks that are only trained on.
    pub fn training(&self) -> &[ArcTask] {
        &self.training
    }

    /// What a model is trained on, or tested on. A group is a task, its puzzles are the original and the copies, and each puzzle's examples
    /// are the same rows under another view. The names of tasks are the sources of the rows.
    pub fn examples(&self, split: Split) -> Examples {
        let mut built = Examples::plain(Task::Arc, Vec::new(), Vec::new());
        for (index, (task, views)) in self.copies().into_iter().enumerate() {
            let is_test = index >= self.training.len();
            let (demonstrations, tests): (&[Pair], &[Pair]) = match (split, is_test) {
                (Split::Train, true) => (&task.train, &[]),
                (Split::Train, false) => (&task.train, &task.test),
                (Split::Test, true) => (&[], &task.test),
                (Split::Test, false) => (&[], &[]),
            };
            push_group(&mut built, &task.id, demonstrations.iter().chain(tests), &views);
        }
        built
    }

    /// Every task in the order of identifiers, with the views of its copies; the first view is the original's.
    pub fn copies(&self) -> Vec<(&ArcTask, Vec<View>)> {
        let draw = |(index, task)| (task, copies::draw(task, index, self.augmentations as usize, self.seed));
        self.training.iter().chain(&self.evaluation).enumerate().map(draw).collect()
    }
}

/// Adds the `pairs` of a task, if there are any, and counts its identifiers, one for each of `views`.
fn push_group<'a>(built: &mut Examples, name: &str, pairs: impl Iterator<Item = &'a Pair>, views: &[View]) {
    let (first, identifier) = (built.rows() as u32, built.puzzle_identifiers);
    built.puzzle_identifiers += views.len() as u32;
    let Tags { sources, source_names, .. } = &mut built.tags;
    for pair in pairs {
        built.inputs.extend(canvas::encode(&pair.input));
        built.labels.extend(canvas::encode(pair.output.as_ref().unwrap_or(&Default::default())));
        sources.push(source_names.len() as u32);
    }
    let count = built.tags.sources.len() as u32 - first;
    if count > 0 {
        built.tags.source_names.push(name.to_owned());
        built.puzzles.extend(views.iter().zip(identifier..).map(|(view, identifier)| Puzzle { identifier, first, count, view: *view }));
        built.groups.push(built.puzzles.len() as u32);
    }
}

impl Serialize for Collection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut collection = serializer.serialize_map(Some(4))?;
        collection.serialize_entry("seed", &self.seed)?;
        collection.serialize_entry("augmentations", &self.augmentations)?;
        collection.serialize_entry("training", &ByName(&self.training))?;
        collection.serialize_entry("evaluation", &ByName(&self.evaluation))?;
        collection.end()
    }
}

/// Tasks as an object.
struct ByName<'a>(&'a [ArcTask]);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|task| (&task.id, task)))
    }
}

fn check_names<'a>(files: impl Iterator<Item = &'a Named>) -> Result<(), ArcError> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for (file, task) in files.flat_map(|(file, tasks)| tasks.iter().map(move |task| (file.as_str(), task))) {
        if let Some(other) = seen.insert(&task.id, file) {
            return Err(ArcError::task(file, &task.id, TaskProblem::Repeated { other: other.into() }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tasks;
    use super::*;

    const FILES: [&str; 2] = [
        r#"{"a":{"train":[{"input":[[1,2]],"output":[[2]]}],"test":[{"input":[[3]],"output":[[4]]}]}}"#,
        r#"{"b":{"train":[{"input":[[5,6]],"output":[[7]]}],"test":[{"input":[[8]]}]}}"#,
    ];

    fn build(training: &str, evaluation: &str) -> Result<Collection, ArcError> {
        let read = |text: &str, file| tasks::read(text.as_bytes(), file);
        Collection::new(42, 10, vec![("t.json".into(), read(training, "t.json")?)], ("e.json".into(), read(evaluation, "e.json")?))
    }

    #[test]
    fn a_collection_is_written_as_it_is_read() {
        let collection = build(FILES[0], FILES[1]).unwrap();
        let text = collection.write();
        let expected = format!("{{\"seed\":42,\"augmentations\":10,\"training\":{},\"evaluation\":{}}}", FILES[0], FILES[1]);
        assert_eq!(String::from_utf8(text.clone()).unwrap(), expected);
        assert_eq!(Collection::read(&text, "c.json").unwrap(), collection);
        assert!(Collection::read(expected.replace(FILES[0], "{}").as_bytes(), "c.json").unwrap().training().is_empty());
    }

    #[test]
    fn examples_share_rows_and_identifiers() {
        let collection = build(FILES[0], FILES[1]).unwrap();
        let [train, test] = [Split::Train, Split::Test].map(|split| collection.examples(split));
        assert_eq!((train.rows(), train.group_count(), train.len(), train.puzzle_identifiers), (3, 2, 33, 23));
        assert_eq!((test.rows(), test.group_count(), test.len(), test.puzzle_identifiers), (1, 1, 11, 23));
        assert_eq!(train.puzzles.iter().map(|puzzle| puzzle.identifier).collect::<Vec<_>>(), (1..23).collect::<Vec<_>>());
        // The copies of the evaluation task are the same ones in both.
        assert_eq!(
            train.puzzles[11..].iter().map(|puzzle| (puzzle.identifier, puzzle.view)).collect::<Vec<_>>(),
            test.puzzles.iter().map(|puzzle| (puzzle.identifier, puzzle.view)).collect::<Vec<_>>()
        );
        assert_eq!(
            (train.tags.source_names.as_slice(), train.tags.sources.as_slice()),
            (["a".to_owned(), "b".to_owned()].as_slice(), [0, 0, 1].as_slice())
        );
        // The answer to `b` is secret.
        assert!(test.labels.iter().all(|token| *token == 0));
        assert_eq!(test.question(0), canvas::encode(&collection.evaluation()[0].test[0].input));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let problem = |result: Result<Collection, ArcError>| result.unwrap_err().to_string();
        assert_eq!(problem(build(FILES[0], FILES[0])), "e.json: task a: also in t.json; a task is either trained on or tested, once");
        assert!(problem(build(FILES[1], FILES[0])).starts_with("t.json: task b: test pair 1 has no output; only test inputs"));
        let read = |from: &str, to: &str| {
            let text = String::from_utf8(build(FILES[0], FILES[1]).unwrap().write()).unwrap();
            problem(Collection::read(text.replace(from, to).as_bytes(), "c.json"))
        };
        assert_eq!(read(":10,", ":10001,"), "c.json: \"augmentations\" is 10001; it is a whole number from 0 to 10000");
        assert_eq!(read(":42,", ":-1,"), "c.json: \"seed\" is -1; it is a whole number from 0 to 18446744073709551615");
        assert!(read("\"seed\":42,", "").starts_with("c.json: no key \"seed\"; a collection of ARC tasks has"));
        assert!(read("\"seed\"", "\"seeds\"").starts_with("c.json: unknown key \"seeds\"; a collection"));
        assert_eq!(read(FILES[1], "{}"), "c.json: no tasks; at least one is needed");
    }
}
