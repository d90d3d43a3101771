//! The folder of one attempt at a program.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::error::StartError;

/// A folder for one attempt; gone when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one, empty but for the parameters.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn make(folder: PathBuf, parameters: &str) -> Result<Self, StartError> {
        folder.parent().map_or(Ok(()), make_folder)?;
        let wrong = |what| move |error| (what, error);
        let made = match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(("cannot clear", error)),
            _ => fs::create_dir(&folder).map_err(wrong("cannot make")),
        };
        made.map_err(|(what, error)| StartError::Folder { what, path: folder.clone(), error })?;
        let scratch = Self(folder);
        let path = scratch.parameters_path();
        fs::write(&path, parameters).map_err(|error| StartError::Folder { what: "cannot write", path, error })?;
        Ok(scratch)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file with the parameters.
    pub fn parameters_path(&self) -> PathBuf {
        self.0.join("parameters.json")
    }

    /// The file to which the program may append metrics.
    pub fn metrics_path(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// The file of metrics, empty, to be read while the program appends to it.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn open_metrics(&self) -> Result<File, StartError> {
        let path = self.metrics_path();
        let opened = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        opened.map_err(|error| StartError::Folder { what: "cannot make", path, error })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the folder of a program cannot be removed");
        }
    }
}

/// Makes a folder with those above it.
///
/// # Errors
/// The file system refuses.
pub fn make_folder(path: &Path) -> Result<(), StartError> {
    fs::create_dir_all(path).map_err(|error| StartError::Folder { what: "cannot make", path: path.to_owned(), error })
}
