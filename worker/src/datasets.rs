//! Data sets that a coordinator has: fetched once by content hash, verified, kept on disk.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use tinysweep_proto::{
    ARTIFACT_LIMIT_BYTES,
    connect::Connection,
    dataset::DataFile,
    v1::{GetArtifactRequest, artifact_service_client::ArtifactServiceClient},
};
use tokio::sync::Mutex;

use crate::{
    data::{DataError, sha256},
    folders::Folders,
    handoff,
};

/// Why a data file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The coordinator did not send it.
    #[error("the coordinator did not send data {sha256}: {}", status.message())]
    Transfer {
        /// Its content hash.
        sha256: String,
        /// What the coordinator said instead.
        status: Box<tonic::Status>,
    },
    /// More came than was announced.
    #[error("data {sha256} is longer than the {bytes} bytes that were announced")]
    TooLong {
        /// Its content hash.
        sha256: String,
        /// The announced size.
        bytes: u64,
    },
    /// It could not be kept.
    #[error("cannot write {}: {source}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl FetchError {
    /// Whether the coordinator was not there, so that it may be there later.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Transfer { status, .. } if handoff::is_away(status))
    }
}

/// The files of puzzles that this worker has.
pub struct Datasets {
    folders: Folders,
    /// How files looked, by hash, when their content was found to be what it should be. Held while fetching, so that slots that want the same
    /// file do not fetch it twice.
    verified: Mutex<HashMap<String, Looks>>,
}

/// What changes with a file's content, short of malice.
#[derive(PartialEq, Eq)]
struct Looks {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Datasets {
    /// The files in `folders`, which are made when first needed.
    pub fn new(folders: Folders) -> Self {
        Self { folders, verified: Mutex::default() }
    }

    /// Sees to it that `file` is on the disk, whole: if it is not, the coordinator's copy replaces what is there.
    ///
    /// # Errors
    /// The file cannot be fetched or kept, or is not the announced one.
    pub async fn ensure(&self, connection: &Connection, file: &DataFile) -> Result<(), FetchError> {
        let mut verified = self.verified.lock().await;
        let path = self.folders.data(file);
        let looks = looks(&path);
        if looks.is_some() && looks.as_ref() == verified.get(&file.sha256) {
            return Ok(());
        }
        let is_whole = fs::read(&path).is_ok_and(|content| sha256(&content) == file.sha256);
        if !is_whole {
            let content = fetch(connection, file).await?;
            let found = sha256(&content);
            if found != file.sha256 {
                return Err(DataError::OtherContent { file: file.origin.clone(), expected: file.sha256.clone(), found }.into());
            }
            keep(&path, &content).map_err(|source| FetchError::Disk { path: path.clone(), source })?;
        }
        verified.extend(self::looks(&path).map(|looks| (file.sha256.clone(), looks)));
        Ok(())
    }
}

fn looks(path: &Path) -> Option<Looks> {
    let facts = fs::metadata(path).ok()?;
    Some(Looks { bytes: facts.len(), modified: facts.modified().ok() })
}

async fn fetch(connection: &Connection, file: &DataFile) -> Result<Vec<u8>, FetchError> {
    let transfer = |status: tonic::Status| FetchError::Transfer { sha256: file.sha256.clone(), status: Box::new(status) };
    let mut chunks = ArtifactServiceClient::new(connection.clone())
        .get_artifact(GetArtifactRequest { sha256: file.sha256.clone() })
        .await
        .map_err(transfer)?
        .into_inner();
    let mut text = Vec::new();
    while let Some(message) = chunks.message().await.map_err(transfer)? {
        text.extend_from_slice(&message.chunk);
        if text.len() as u64 > file.bytes.min(ARTIFACT_LIMIT_BYTES) {
            return Err(FetchError::TooLong { sha256: file.sha256.clone(), bytes: file.bytes });
        }
    }
    Ok(text)
}

/// Writes beside the target and renames, so that a crash leaves no half a file under a hash.
fn keep(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut file, text)?;
    file.persist(path)?;
    Ok(())
}
