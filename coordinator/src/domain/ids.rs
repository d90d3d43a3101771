//! What sweeps, replicates, attempts and workers are called.

use std::{fmt, sync::Arc};

/// The most characters that a worker's id may have; workers draw sixteen.
const WORKER_ID_LIMIT: usize = 64;

/// Characters of a sweep's id: no vowels, so that no words come about, and none that are read as one another.
const SWEEP_ID_ALPHABET: &[u8; 24] = b"bcdfghjkmnpqrstvwxz23456";

/// Characters of a sweep's id.
const SWEEP_ID_LEN: u32 = 7;

/// A sweep: seven lower-case letters and digits, short enough to type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepId(String);

impl SweepId {
    /// The id that a random number stands for. 4.6·10⁹ ids exist; the store refuses one that is taken.
    pub fn from_random(number: u64) -> Self {
        let base = SWEEP_ID_ALPHABET.len() as u64;
        Self((0..SWEEP_ID_LEN).map(|place| SWEEP_ID_ALPHABET[(number / base.pow(place) % base) as usize] as char).collect())
    }

    /// An id as the store or a peer names it; it need not exist.
    pub fn named(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SweepId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A worker: drawn at random by itself when it starts, the same over its reconnects. Shared, since plans, leases and logs name it over and
/// over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(Arc<str>);

/// A text that cannot be a worker's id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker's id is 1 to {WORKER_ID_LIMIT} letters, digits, dashes or underscores, not {0:?}")]
pub struct BadWorkerId(String);

impl WorkerId {
    /// The id that a peer gives itself.
    ///
    /// # Errors
    /// It is empty, too long, or has characters that would not look the same in a log.
    pub fn parse(text: &str) -> Result<Self, BadWorkerId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > WORKER_ID_LIMIT || !text.bytes().all(plain) {
            return Err(BadWorkerId(text.chars().take(WORKER_ID_LIMIT).collect()));
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// One seed of one trial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicateKey {
    /// Its sweep.
    pub sweep: SweepId,
    /// Number of the trial, dense from 0 within the sweep.
    pub trial: u32,
    /// Index of the replicate, dense from 0 within the trial.
    pub replicate: u32,
}

impl fmt::Display for ReplicateKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}.{}", self.sweep, self.trial, self.replicate)
    }
}

/// The number of an attempt, from 1: of two attempts at a replicate the larger counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptNumber(pub u32);

impl fmt::Display for AttemptNumber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Drawn at random with a lease, and in the name of its attempts from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseToken(pub u64);

impl LeaseToken {
    /// The token that a random number stands for: 63 of its bits, since the store's numbers have a sign.
    pub const fn from_random(number: u64) -> Self {
        Self(number >> 1)
    }
}

/// Which attempt at a replicate, unmistakably. The number alone would not do: where a power cut has taken a lease that was sent, its number
/// is given again, and two workers run attempts of one number; the store knows the token of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// The attempt's number.
    pub number: AttemptNumber,
    /// Its lease's token.
    pub token: LeaseToken,
}

/// One try at running one replicate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// What is tried.
    pub replicate: ReplicateKey,
    /// Which try.
    pub fence: Fence,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}#{}", self.replicate, self.fence.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_ids_are_short_and_differ() {
        let ids: std::collections::HashSet<_> =
            (0..1000_u64).map(|n| SweepId::from_random(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.as_str().len() == 7));
    }

    #[test]
    fn worker_ids_of_peers_are_checked() {
        assert_eq!(WorkerId::parse("00ff-a_B").map(|id| id.to_string()), Ok("00ff-a_B".into()));
        for wrong in ["", "a b", "ä", "\n", &"x".repeat(65)] {
            assert!(WorkerId::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
