//! From puzzles to files: beside their place first, then renamed, and nothing is overwritten.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tinysweep_proto::dataset::{DataFile, Dataset, Format};
use tinysweep_worker::data::{
    Examples, PreparedData, Split, arc::Collection, arrays, copies::augmented, csv, decode, reference_format, sha256,
};

use crate::failure::Failure;

/// The most bytes of tokens that one part may have in the reference's format, all its copies written out.
const TOKENS_LIMIT: u64 = 8 << 30;

/// One file or folder that was written.
pub struct Written {
    /// `train`, `test`, or `train and test`.
    pub part: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Questions in it, every copy counted.
    pub examples: u64,
    /// The content hash that trials on it record.
    pub sha256: String,
    /// Where the puzzles come from.
    pub origin: String,
}

/// Writes `train.csv` and `test.csv` to `folder`, or for ARC `tasks.json`.
pub fn write_text(folder: &Path, data: &PreparedData) -> Result<Vec<Written>, Failure> {
    let set = &data.dataset;
    let written = |part, name: &str, file: &DataFile, text: &[u8], examples| Written {
        part,
        path: folder.join(name),
        examples,
        sha256: sha256(text),
        origin: file.origin.clone(),
    };
    if set.train.format == Format::Arc {
        let staging = Staging::new(folder, &["tasks.json"])?;
        staging.write("tasks.json", &data.train)?;
        staging.publish()?;
        return Ok(vec![written("train and test", "tasks.json", &set.train, &data.train, set.train.examples + set.test.examples)]);
    }
    let train = as_csv(&data.train, &set.train, set, Split::Train)?;
    let test = as_csv(&data.test, &set.test, set, Split::Test)?;
    let staging = Staging::new(folder, &["train.csv", "test.csv"])?;
    staging.write("train.csv", &train)?;
    staging.write("test.csv", &test)?;
    staging.publish()?;
    Ok(vec![
        written("train", "train.csv", &set.train, &train, set.train.examples),
        written("test", "test.csv", &set.test, &test, set.test.examples),
    ])
}

fn as_csv(content: &[u8], file: &DataFile, set: &Dataset, split: Split) -> Result<Vec<u8>, Failure> {
    if file.format == Format::Csv {
        return Ok(content.to_vec());
    }
    let examples = decode(content, file, set.task, split).map_err(Failure::bad_input)?;
    match examples.group_count() == examples.rows() {
        true => Ok(csv::write(&examples)),
        false => {
            Err(Failure::bad_input(format!("{}: has copies, for which CSV has no place; write --format reference instead", file.origin)))
        }
    }
}

/// Writes `train/`, `test/` and `identifiers.json` to `folder` in the reference's format, each training puzzle with so many copies.
pub fn write_reference(folder: &Path, data: &PreparedData, copies: usize, seed: u64) -> Result<Vec<Written>, Failure> {
    let set = &data.dataset;
    let staging = Staging::new(folder, &["train", "test", "identifiers.json"])?;
    let mut all = Vec::new();
    for (split, part, file, content) in [(Split::Train, "train", &set.train, &data.train), (Split::Test, "test", &set.test, &data.test)] {
        let mut examples = decode(content, file, set.task, split).map_err(Failure::bad_input)?;
        let copies = if split == Split::Train { copies } else { 0 };
        check_size(&examples, copies)?;
        let mut origin = file.origin.clone();
        if copies > 0 {
            if examples.group_count() != examples.rows() {
                return Err(Failure::bad_input(format!("{origin}: has copies already; leave out --copies")));
            }
            examples = augmented(&examples, copies, seed);
            origin += &format!("; {copies} copies of each, seed {seed}");
        }
        examples.puzzle_identifiers = set.puzzle_identifiers;
        reference_format::write_split(&staging.place(part), &examples).context("cannot write the arrays")?;
        // Of ARC's tasks the file of tasks is what trials know; of other puzzles what they make of this folder.
        let sha256 = if file.format == Format::Arc { file.sha256.clone() } else { sha256(&arrays::encode(&examples)) };
        all.push(Written { part, path: folder.join(part), examples: examples.len() as u64, sha256, origin });
    }
    reference_format::write_identifiers(&staging.place(""), &identifiers(data)?).context("cannot write the identifiers")?;
    staging.publish()?;
    Ok(all)
}

fn check_size(examples: &Examples, copies: usize) -> Result<(), Failure> {
    let rows = (examples.len() as u64).saturating_mul(copies as u64 + 1);
    let bytes = rows.saturating_mul(2 * examples.task.seq_len() as u64);
    if bytes <= TOKENS_LIMIT && i32::try_from(rows).is_ok() {
        return Ok(());
    }
    Err(Failure::bad_input(format!("{rows} puzzles would be {bytes} bytes of arrays; {TOKENS_LIMIT} are the most: use fewer --copies")))
}

/// What each row of the puzzle table is called.
fn identifiers(data: &PreparedData) -> Result<Vec<String>, Failure> {
    let mut names = vec!["<blank>".to_owned()];
    if data.dataset.train.format == Format::Arc {
        let collection = Collection::read(&data.train, &data.dataset.train.origin).map_err(Failure::bad_input)?;
        names.extend(collection.copies().into_iter().flat_map(|(task, views)| views.into_iter().map(move |view| view.name(&task.id))));
    }
    Ok(names)
}

/// A folder beside the places of some files, which come there all together at the end.
struct Staging<'a> {
    folder: &'a Path,
    names: &'a [&'a str],
    staged: tempfile::TempDir,
}

impl<'a> Staging<'a> {
    fn new(folder: &'a Path, names: &'a [&'a str]) -> Result<Self, Failure> {
        if let Some(there) = names.iter().map(|name| folder.join(name)).find(|path| path.exists()) {
            return Err(Failure::bad_input(format!("{} is there already; name another folder, or remove it", there.display())));
        }
        let made = fs::create_dir_all(folder).and_then(|()| tempfile::tempdir_in(folder));
        let staged = made.map_err(|error| Failure::bad_input(format!("{}: {error}", folder.display())))?;
        Ok(Self { folder, names, staged })
    }

    fn place(&self, name: &str) -> PathBuf {
        self.staged.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        Ok(fs::write(self.place(name), content).with_context(|| format!("cannot write {name} to {}", self.folder.display()))?)
    }

    fn publish(self) -> Result<(), Failure> {
        for name in self.names {
            fs::rename(self.place(name), self.folder.join(name)).with_context(|| format!("cannot move {name} to its place"))?;
        }
        Ok(())
    }
}
