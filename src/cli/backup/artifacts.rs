//! Artifacts are copied one by one, also while a coordinator runs: a file of that name never changes.

use std::{
    fs::{self, DirEntry, File},
    io::{self, Read, Write},
    path::Path,
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tinysweep_proto::{hex, is_sha256};

use super::not_written;
use crate::failure::Failure;

/// Copies the artifacts of `data_dir` that `target` does not have; what was done, for people.
pub fn copy(data_dir: &Path, target: &Path) -> Result<String, Failure> {
    let (mut copied, mut present) = (0, 0);
    for folder in listed(&data_dir.join("artifacts"))? {
        for artifact in listed(&folder.path())? {
            let name = artifact.file_name().to_string_lossy().into_owned();
            // What is still coming in has another name, and counts only once it is whole.
            if !is_sha256(&name) {
                continue;
            }
            if copy_one(&artifact.path(), &target.join(folder.file_name()), &name)? {
                copied += 1;
            } else {
                present += 1;
            }
        }
    }
    Ok(format!("copied {copied} artifacts into {}; {present} were there\n", target.display()))
}

/// A folder's entries; none where it does not exist.
fn listed(folder: &Path) -> Result<Vec<DirEntry>, Failure> {
    let unreadable = |error: io::Error| Failure::bad_input(format!("cannot read {}: {error}", folder.display()));
    match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect).map_err(unreadable),
    }
}

/// Copies one artifact into `folder`; false where it is there already, or has been removed from the store meanwhile.
fn copy_one(from: &Path, folder: &Path, sha256: &str) -> Result<bool, Failure> {
    let to = folder.join(sha256);
    let mut source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    if to.metadata().is_ok_and(|there| source.metadata().is_ok_and(|here| there.len() == here.len())) {
        return Ok(false);
    }
    let failed = |error: io::Error| not_written(&to, &error);
    fs::create_dir_all(folder).map_err(failed)?;
    let mut copy = NamedTempFile::new_in(folder).map_err(failed)?;
    if hashed(&mut source, copy.as_file_mut()).map_err(failed)? != sha256 {
        return Err(Failure::bad_input(format!("{} is damaged: its content has another hash; it was not copied", from.display())));
    }
    copy.as_file().sync_all().map_err(failed)?;
    copy.persist(&to).map_err(|refused| failed(refused.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(true)
}

/// Copies all bytes; their hash.
fn hashed(source: &mut File, copy: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => {
                hash.update(&buffer[..read]);
                copy.write_all(&buffer[..read])?;
            }
        }
    }
}
