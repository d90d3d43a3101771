//! Where a worker keeps what, below its folder.

use std::path::PathBuf;

use tinysweep_proto::{dataset::DataFile, v1::AttemptRef};

/// The folder of a worker.
#[derive(Clone, Debug)]
pub struct Folders(PathBuf);

impl Folders {
    /// Everything goes below `work_dir`.
    pub const fn below(work_dir: PathBuf) -> Self {
        Self(work_dir)
    }

    /// A file of puzzles, under its content's hash.
    pub fn data(&self, file: &DataFile) -> PathBuf {
        self.0.join("data").join(&file.sha256)
    }

    /// What a program has to itself while it runs.
    pub fn scratch(&self, attempt: &AttemptRef) -> PathBuf {
        self.0.join("programs").join(format!("{}-{}-{:x}", name(attempt), attempt.attempt, attempt.token))
    }

    /// The model that an attempt has trained, or what a program has left of its replicate.
    pub fn checkpoint(&self, attempt: &AttemptRef) -> PathBuf {
        self.0.join("checkpoints").join(name(attempt))
    }
}

/// A sweep's id is the coordinator's to choose: only letters, digits and dashes of it become part of a path.
fn name(attempt: &AttemptRef) -> String {
    let sweep: String = attempt.sweep.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("{sweep}-{}-{}", attempt.trial, attempt.replicate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_id_cannot_leave_the_checkpoint_folder() {
        let attempt = AttemptRef { sweep: "../../etc/x".into(), trial: 1, replicate: 2, attempt: 3, token: 4 };
        assert_eq!(Folders::below("w".into()).checkpoint(&attempt), PathBuf::from("w/checkpoints/etcx-1-2"));
    }
}
