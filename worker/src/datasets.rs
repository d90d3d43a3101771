//! Data sets that a coordinator has: fetched once by content hash, verified, kept on disk and in memory.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tinysweep_proto::{
    ARTIFACT_LIMIT_BYTES,
    connect::Connection,
    dataset::{DataFile, Task},
    v1::{GetArtifactRequest, artifact_service_client::ArtifactServiceClient},
};
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    data::{self, DataError, Examples, Split},
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

/// The data sets that this worker has.
pub struct Datasets {
    directory: PathBuf,
    /// Decoded files by hash, and by split where a file has both. Trials of one sweep share them.
    decoded: Mutex<HashMap<(String, Split), Arc<Examples>>>,
    /// Held while fetching, so that slots that want the same file do not fetch it twice.
    fetching: AsyncMutex<()>,
}

impl Datasets {
    /// The data sets kept in `directory`, which is made when first needed.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, decoded: Mutex::default(), fetching: AsyncMutex::default() }
    }

    /// The puzzles of `split` in `file`: from memory, else from disk, else from the coordinator.
    ///
    /// # Errors
    /// The file cannot be fetched or kept, or is not the announced one.
    pub async fn get(&self, connection: &Connection, file: &DataFile, task: Task, split: Split) -> Result<Arc<Examples>, FetchError> {
        let _one_at_a_time = self.fetching.lock().await;
        let key = (file.sha256.clone(), split);
        if let Some(examples) = self.remembered(&key) {
            return Ok(examples);
        }
        let path = self.directory.join(&file.sha256);
        let examples = match fs::read(&path).ok().and_then(|text| data::decode(&text, file, task, split).ok()) {
            Some(examples) => examples,
            // Not there, or damaged: the coordinator's copy replaces it.
            None => {
                let text = fetch(connection, file).await?;
                let examples = data::decode(&text, file, task, split)?;
                keep(&path, &text).map_err(|source| FetchError::Disk { path, source })?;
                examples
            }
        };
        let examples = Arc::new(examples);
        self.decoded.lock().expect("no holder of this lock panics").insert(key, examples.clone());
        Ok(examples)
    }

    fn remembered(&self, key: &(String, Split)) -> Option<Arc<Examples>> {
        self.decoded.lock().expect("no holder of this lock panics").get(key).cloned()
    }
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
