//! `tinysweep backup`: a copy of a coordinator's store, also while it runs.

mod artifacts;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use tempfile::NamedTempFile;
use tinysweep_coordinator::backup;

use crate::{failure::Failure, output};

/// Arguments of `backup`.
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// Where the coordinator keeps its data; it may be running
    #[arg(long, env = "TINYSWEEP_DATA_DIR", default_value = "tinysweep-data")]
    data_dir: PathBuf,
    /// The file to write, which must not exist: every sweep, trial, result and metric point, and no token
    #[arg(long, env = "TINYSWEEP_BACKUP_TO")]
    to: PathBuf,
    /// Also copy the artifacts (data sets and checkpoints) that are not in this folder yet into it
    #[arg(long, env = "TINYSWEEP_BACKUP_ARTIFACTS")]
    artifacts: Option<PathBuf>,
}

/// Writes the copy beside its place, and puts it there when it is whole and on the disk.
pub async fn execute(args: BackupArgs) -> Result<(), Failure> {
    let to = std::path::absolute(&args.to)?;
    if to.symlink_metadata().is_ok() {
        return Err(exists(&to));
    }
    let folder = to.parent().ok_or_else(|| Failure::bad_input(format!("{} is no file", to.display())))?;
    let copy = tempfile::Builder::new().prefix(".tinysweep-backup-").tempfile_in(folder).map_err(|error| not_written(&to, &error))?;
    backup::copy(&args.data_dir, copy.path()).await.map_err(Failure::bad_input)?;
    let bytes = copy.as_file().metadata()?.len();
    keep(copy, &to, folder)?;
    let mut said = format!("wrote {} ({:.1} MiB)\n", to.display(), bytes as f64 / f64::from(1 << 20));
    // After the database: what it names is here by now.
    said += &match &args.artifacts {
        Some(folder) => artifacts::copy(&args.data_dir, folder)?,
        None => format!("copy {} too: it has the data sets and checkpoints\n", args.data_dir.join("artifacts").display()),
    };
    output::write(&said)
}

fn keep(copy: NamedTempFile, to: &Path, folder: &Path) -> Result<(), Failure> {
    copy.as_file().sync_all().map_err(|error| not_written(to, &error))?;
    copy.persist_noclobber(to).map_err(|refused| match refused.error.kind() {
        io::ErrorKind::AlreadyExists => exists(to),
        _ => not_written(to, &refused.error),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| not_written(to, &error))
}

fn exists(to: &Path) -> Failure {
    Failure::bad_input(format!("{} exists and was left as it is; write to another file", to.display()))
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::bad_input(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!("no room is left on the disk of {}", path.display()),
        _ => format!("cannot write {}: {error}", path.display()),
    })
}
