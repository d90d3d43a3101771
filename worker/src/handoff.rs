//! States of training on their way to and from the coordinator: cut into chunks that are named by their hash, so that what is there already
//! is not sent again, and a transfer that broke goes on where it was.

use sha2::{Digest, Sha256};
use tinysweep_proto::{
    CHECKPOINT_CHUNK_BYTES, CHUNK_BYTES,
    connect::Connection,
    hex, is_sha256,
    v1::{Checkpoint, GetArtifactRequest, PutArtifactRequest, StatArtifactsRequest, artifact_service_client::ArtifactServiceClient},
};
use tonic::{Code, Status};

/// The most bytes of a state that is handed on; a model with a larger puzzle table starts anew where its worker is lost.
pub const LIMIT_BYTES: u64 = 2 << 30;
/// Hashes in one question.
const STAT_AT_ONCE: usize = 1000;

/// Why a state could not be handed on.
#[derive(Debug, thiserror::Error)]
pub enum HandoffError {
    /// The coordinator did not take or give it.
    #[error("the coordinator says of the checkpoint: {}", .0.message())]
    Transfer(Box<Status>),
    /// It is larger than may be.
    #[error("a checkpoint of {bytes} bytes is more than the {LIMIT_BYTES} that are handed on")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// What came is not what was announced.
    #[error("the checkpoint came back damaged: {0}")]
    Damaged(String),
}

impl HandoffError {
    /// Whether the coordinator was not there, so that it may be there later.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Transfer(status) if is_away(status))
    }
}

/// Whether this is the status of a call that found nobody, or lost whom it had found.
pub fn is_away(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded)
}

impl From<Status> for HandoffError {
    fn from(status: Status) -> Self {
        Self::Transfer(Box::new(status))
    }
}

/// Puts the state after `step` steps into the artifact store, and says where it is.
///
/// # Errors
/// It is too large, or the coordinator cannot be reached or has no room.
pub async fn put(connection: &Connection, step: u64, bytes: &[u8]) -> Result<Checkpoint, HandoffError> {
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(HandoffError::TooLarge { bytes: bytes.len() as u64 });
    }
    let parts: Vec<(String, &[u8])> = bytes.chunks(CHECKPOINT_CHUNK_BYTES).map(|part| (hex(&Sha256::digest(part)), part)).collect();
    let mut client = ArtifactServiceClient::new(connection.clone());
    for asked in parts.chunks(STAT_AT_ONCE) {
        let sha256 = asked.iter().map(|(hash, _)| hash.clone()).collect();
        let present = client.stat_artifacts(StatArtifactsRequest { sha256 }).await?.into_inner().present;
        for (index, (hash, part)) in asked.iter().enumerate() {
            if present.get(index) != Some(&true) {
                put_one(&mut client, hash, part).await?;
            }
        }
    }
    Ok(Checkpoint { step, bytes: bytes.len() as u64, chunks: parts.into_iter().map(|(hash, _)| hash).collect() })
}

async fn put_one(client: &mut ArtifactServiceClient<Connection>, hash: &str, part: &[u8]) -> Result<(), Status> {
    let (sha256, bytes) = (hash.to_owned(), part.len() as u64);
    let message = move |chunk: &[u8]| PutArtifactRequest { sha256: sha256.clone(), bytes, chunk: chunk.to_vec() };
    let messages: Vec<_> = part.chunks(CHUNK_BYTES).map(message).collect();
    client.put_artifact(tokio_stream::iter(messages)).await?;
    Ok(())
}

/// Fetches a state.
///
/// # Errors
/// The coordinator does not have it, or it is not what `checkpoint` says.
pub async fn get(connection: &Connection, checkpoint: &Checkpoint) -> Result<Vec<u8>, HandoffError> {
    let Checkpoint { step: _, bytes, chunks } = checkpoint;
    if *bytes > LIMIT_BYTES {
        return Err(HandoffError::TooLarge { bytes: *bytes });
    }
    let mut client = ArtifactServiceClient::new(connection.clone());
    let mut content = Vec::new();
    for hash in chunks {
        get_one(&mut client, hash, &mut content).await?;
        if content.len() as u64 > *bytes {
            return Err(not_announced(*bytes, &content)); // without waiting for the rest, which may be without end
        }
    }
    if content.len() as u64 == *bytes { Ok(content) } else { Err(not_announced(*bytes, &content)) }
}

fn not_announced(bytes: u64, content: &[u8]) -> HandoffError {
    HandoffError::Damaged(format!("{bytes} bytes were announced, {} came", content.len()))
}

async fn get_one(client: &mut ArtifactServiceClient<Connection>, hash: &str, content: &mut Vec<u8>) -> Result<(), HandoffError> {
    if !is_sha256(hash) {
        return Err(HandoffError::Damaged("a chunk has no proper name".into()));
    }
    let start = content.len();
    let mut messages = client.get_artifact(GetArtifactRequest { sha256: hash.to_owned() }).await?.into_inner();
    while let Some(message) = messages.message().await? {
        content.extend_from_slice(&message.chunk);
        if content.len() - start > CHECKPOINT_CHUNK_BYTES {
            return Err(HandoffError::Damaged(format!("chunk {hash} has more than {CHECKPOINT_CHUNK_BYTES} bytes")));
        }
    }
    let got = hex(&Sha256::digest(&content[start..]));
    if got == hash { Ok(()) } else { Err(HandoffError::Damaged(format!("chunk {hash} has hash {got}"))) }
}
