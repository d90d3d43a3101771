//! Benchmarks' own files, from the hub: downloaded once, verified, kept in the user's cache.
//!
//! Only commands that a user types come here. Training and workers never touch the network for data: they get them from the coordinator.

mod benchmark;
mod cache;
mod download;
mod manifest;
#[cfg(test)]
mod tests;

pub use benchmark::complete;

use std::{
    env, io,
    path::{Path, PathBuf},
};

use tinysweep_worker::data::csv;

use manifest::{Entry, Manifest};

/// Where data sets are unless the user names a mirror.
const DEFAULT_URL: &str = "https://huggingface.co";
/// A mirror to use instead.
const URL_VARIABLE: &str = "TINYSWEEP_HUB_URL";

/// The files that are known: data set, file, puzzles in it.
const FILES: [(&str, &str, usize); 4] = [
    ("sapientinc/sudoku-extreme", TRAIN, 3_831_994),
    ("sapientinc/sudoku-extreme", TEST, 422_786),
    ("sapientinc/maze-30x30-hard-1k", TRAIN, 1000),
    ("sapientinc/maze-30x30-hard-1k", TEST, 1000),
];
/// The file of training puzzles in each data set.
pub const TRAIN: &str = "train.csv";
/// The file of test puzzles.
pub const TEST: &str = "test.csv";

/// Why a file of the hub cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// No cache folder.
    #[error("there is no folder for downloads: set {} to one", cache::VARIABLE)]
    NoCache,
    /// The address of the mirror is none.
    #[error("{URL_VARIABLE} is `{0}`; it must begin with https:// or http://")]
    Url(String),
    /// The hub cannot be reached, or does not send the file.
    #[error("cannot download {url}: {reason}{}; try again, or fetch it by other means and put it at {}", resumed(*kept), path.display())]
    Download {
        /// The address.
        url: String,
        /// What went wrong.
        reason: String,
        /// Bytes that are kept for the next try.
        kept: u64,
        /// Where the file belongs.
        path: PathBuf,
    },
    /// It came, but is another file.
    #[error("{}: {what} is {found}, but {expected} is right{}", path.display(), remedy(*is_kept))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
        /// Whether the file is still there.
        is_kept: bool,
    },
    /// The cache cannot be read or written.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The manifest of the cache is damaged.
    #[error("{}: {problem}; remove it, and the files beside it are looked at anew", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

fn resumed(kept: u64) -> String {
    if kept == 0 { String::new() } else { format!(" ({kept} bytes are kept: the next try goes on from there)") }
}

const fn remedy(is_kept: bool) -> &'static str {
    if is_kept { "; remove the file, and it is downloaded anew" } else { "; it was not kept" }
}

/// The hub and its cache.
pub struct Hub {
    url: String,
    cache: PathBuf,
}

impl Hub {
    /// The hub, or the mirror that the environment names, and the user's cache folder.
    ///
    /// # Errors
    /// The environment names no address or no folder.
    pub fn from_environment() -> Result<Self, HubError> {
        let url = env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()).unwrap_or_else(|| DEFAULT_URL.into());
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(HubError::Url(url));
        }
        Ok(Self { url, cache: cache::folder().ok_or(HubError::NoCache)?.join("hub") })
    }

    /// Where a file belongs, whether it is there or not.
    pub fn place(&self, repository: &str, file: &str) -> PathBuf {
        self.cache.join(repository).join(file)
    }

    /// The address of a file.
    pub fn address(&self, repository: &str, file: &str) -> String {
        format!("{}/datasets/{repository}/resolve/main/{file}", self.url.trim_end_matches('/'))
    }

    /// A file of a data set: from the cache, else from the hub. A file that was put into the cache by hand is used if it has as many
    /// puzzles as the hub's.
    ///
    /// # Errors
    /// It cannot be downloaded or kept, or is not the right one.
    pub fn file(&self, repository: &str, file: &str) -> Result<PathBuf, HubError> {
        let path = self.place(repository, file);
        let mut manifest = Manifest::load(&self.cache.join(repository))?;
        let size = path.metadata().ok().map(|found| found.len());
        match (size, manifest.get(file)) {
            (Some(found), Some(known)) if found == known.bytes => return Ok(path),
            (Some(found), Some(known)) => {
                let (found, expected) = (format!("{found} bytes"), known.bytes.to_string());
                return Err(HubError::Wrong { path, what: "its size", found, expected, is_kept: true });
            }
            (Some(_), None) => manifest.insert(file, inspect(&path, repository, file, true)?)?,
            (None, known) => {
                let pinned = known.map(|known| known.sha256.clone());
                let part = download::fetch(&self.address(repository, file), &path, pinned.as_deref())?;
                let mut entry = inspect(&part, repository, file, false)?;
                entry.is_downloaded = true;
                std::fs::rename(&part, &path).map_err(|source| HubError::Disk { path: path.clone(), source })?;
                manifest.insert(file, entry)?;
            }
        }
        Ok(path)
    }

    /// What is known of a cached file: its hash, and whether it came from the hub.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub fn known(&self, repository: &str, file: &str) -> Result<Option<Entry>, HubError> {
        Ok(Manifest::load(&self.cache.join(repository))?.get(file).cloned())
    }

    /// The hashes of the files of a data set that came from the hub.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub fn official(&self, repository: &str) -> Result<Vec<String>, HubError> {
        let entries = [self.known(repository, TRAIN)?, self.known(repository, TEST)?];
        Ok(entries.into_iter().flatten().filter(|entry| entry.is_downloaded).map(|entry| entry.sha256).collect())
    }
}

/// Reads a file that is not known yet. One that has not the puzzles it should have is removed unless it `is_kept`.
fn inspect(path: &Path, repository: &str, file: &str, is_kept: bool) -> Result<Entry, HubError> {
    let content = std::fs::read(path).map_err(|source| HubError::Disk { path: path.into(), source })?;
    let expected = FILES.iter().find(|known| (known.0, known.1) == (repository, file)).map(|known| known.2);
    let found = csv::count_rows(&content);
    if expected.is_some_and(|expected| expected != found) {
        if !is_kept {
            _ = std::fs::remove_file(path);
        }
        let (found, expected) = (found.to_string(), expected.unwrap_or_default().to_string());
        return Err(HubError::Wrong { path: path.into(), what: "the number of its rows", found, expected, is_kept });
    }
    Ok(Entry { bytes: content.len() as u64, sha256: tinysweep_worker::data::sha256(&content), is_downloaded: false })
}
