//! What is known of the cached files of a data set: `manifest.json` beside them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::HubError;

/// A cached file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its size.
    pub bytes: u64,
    /// Its hash, in hex: a later download must have it, too.
    pub sha256: String,
    /// Whether it came from the hub; else somebody has put it there.
    pub is_downloaded: bool,
}

/// The entries of a data set, by file name.
pub struct Manifest {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Manifest {
    /// Reads the manifest in `folder`; an empty one if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn load(folder: &Path) -> Result<Self, HubError> {
        let path = folder.join("manifest.json");
        let entries = match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|problem| HubError::Manifest { path: path.clone(), problem: problem.to_string() })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(HubError::Disk { path, source }),
        };
        Ok(Self { path, entries })
    }

    /// What is known of a file.
    pub fn get(&self, file: &str) -> Option<&Entry> {
        self.entries.get(file)
    }

    /// Notes a file, and writes the manifest: beside its place first, then renamed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn insert(&mut self, file: &str, entry: Entry) -> Result<(), HubError> {
        self.entries.insert(file.into(), entry);
        let write = || {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut text = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut text, &self.entries)?;
            text.persist(&self.path)?;
            Ok(())
        };
        write().map_err(|source| HubError::Disk { path: self.path.clone(), source })
    }
}
