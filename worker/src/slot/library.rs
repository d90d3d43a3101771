//! The puzzles that a slot has in memory.

use std::{fs, sync::Arc};

use tinysweep_proto::dataset::{DataFile, Task};

use crate::{
    data::{DataError, Examples, Split, decode},
    folders::Folders,
};

/// Files that stay in memory when others are asked for: those of two sweeps that take turns.
const RESIDENT: usize = 4;

/// Decoded files, so that trials of one sweep share them.
pub struct Library {
    folders: Folders,
    /// Each by its hash, and by split where a file has both; the last used last.
    resident: Vec<(String, Split, Arc<Examples>)>,
}

impl Library {
    /// Of the files in `folders`.
    pub const fn new(folders: Folders) -> Self {
        Self { folders, resident: Vec::new() }
    }

    /// The puzzles of `split` in `file`: from memory, else from the disk.
    ///
    /// # Errors
    /// The file cannot be read, or is not the announced one.
    pub fn get(&mut self, file: &DataFile, task: Task, split: Split) -> Result<Arc<Examples>, DataError> {
        let found = self.resident.iter().position(|(sha256, of, _)| *sha256 == file.sha256 && *of == split);
        let examples = match found {
            Some(index) => self.resident.remove(index).2,
            None => {
                let path = self.folders.data(file);
                let content = fs::read(&path).map_err(|source| DataError::Read { path, source })?;
                Arc::new(decode(&content, file, task, split)?)
            }
        };
        self.resident.push((file.sha256.clone(), split, examples.clone()));
        let excess = self.resident.len().saturating_sub(RESIDENT);
        self.resident.drain(..excess);
        Ok(examples)
    }
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::dataset::Format;

    use super::*;
    use crate::data::sha256;

    fn write(folders: &Folders, solution: &str) -> DataFile {
        let content = format!("question,answer\n.{},{solution}\n", &solution[1..]);
        let file = DataFile {
            origin: "a.csv".into(),
            format: Format::Csv,
            sha256: sha256(content.as_bytes()),
            bytes: content.len() as u64,
            examples: 1,
        };
        let path = folders.data(&file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        file
    }

    #[test]
    fn the_last_used_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::below(folder.path().into());
        let grids = ["1234341221434321", "2143432112343412", "1342243131244213", "4321214334121234", "3412123421434321"];
        let files = grids.map(|grid| write(&folders, grid));
        let mut library = Library::new(folders.clone());
        let mut get = |file: &DataFile| library.get(file, Task::Sudoku4x4, Split::Train);
        let first = get(&files[0]).unwrap();
        files[1..4].iter().for_each(|file| drop(get(file).unwrap()));
        assert!(Arc::ptr_eq(&first, &get(&files[0]).unwrap()), "it is in memory");
        fs::remove_file(folders.data(&files[1])).unwrap();
        get(&files[1]).unwrap();
        get(&files[4]).unwrap();
        fs::remove_file(folders.data(&files[2])).unwrap();
        assert!(matches!(get(&files[2]), Err(DataError::Read { .. })), "of five, the one that was not used for longest is gone");
        fs::write(folders.data(&files[2]), "something else").unwrap();
        assert!(matches!(get(&files[2]), Err(DataError::OtherContent { .. })));
    }
}
