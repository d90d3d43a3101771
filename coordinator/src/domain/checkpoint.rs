//! The state of training that an attempt can go on from, as its worker describes it.

use serde::{Deserialize, Serialize};
use tinysweep_proto::{CHECKPOINT_CHUNK_BYTES, is_sha256};

/// The most bytes of a checkpoint.
pub const CHECKPOINT_LIMIT_BYTES: u64 = 16 << 30;

/// The state of training after a step; its chunks are artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Steps done.
    pub step: u64,
    /// Size of all chunks together.
    pub bytes: u64,
    /// SHA-256 of each chunk, in order.
    pub chunks: Vec<String>,
}

impl Checkpoint {
    /// Whether this can be a checkpoint.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check(&self) -> Result<(), String> {
        if self.bytes == 0 || self.bytes > CHECKPOINT_LIMIT_BYTES {
            return Err(format!("a checkpoint has 1 to {CHECKPOINT_LIMIT_BYTES} bytes, not {}", self.bytes));
        }
        let wanted = self.bytes.div_ceil(CHECKPOINT_CHUNK_BYTES as u64);
        if self.chunks.len() as u64 != wanted {
            return Err(format!("{} bytes are {wanted} chunks, not {}", self.bytes, self.chunks.len()));
        }
        match self.chunks.iter().find(|chunk| !is_sha256(chunk)) {
            Some(_) => Err("a chunk is named by its SHA-256, 64 lower-case hex digits".into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_a_checkpoint() {
        let chunk = "0".repeat(64);
        let check = |bytes, chunks: Vec<String>| Checkpoint { step: 3, bytes, chunks }.check();
        let one = CHECKPOINT_CHUNK_BYTES as u64;
        assert_eq!(check(one, vec![chunk.clone()]), Ok(()));
        assert_eq!(check(one + 1, vec![chunk.clone(); 2]), Ok(()));
        assert_eq!(check(one + 1, vec![chunk.clone()]).unwrap_err(), "1048577 bytes are 2 chunks, not 1");
        assert!(check(0, vec![]).is_err());
        assert!(check(u64::MAX, vec![chunk]).is_err());
        assert!(check(1, vec!["../../etc/passwd".into()]).unwrap_err().contains("SHA-256"));
    }
}
