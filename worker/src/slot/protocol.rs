//! What a worker and the process of one of its slots say to each other, over the standard input and output of the latter.
//!
//! A frame is a kind (one byte), the length of its content (eight bytes, the least significant first), and the content. Either side is of
//! the same program, but one that has gone wrong can write anything: nothing is believed, and no more memory is taken than has arrived.

use std::io::{self, Read};

use prost::Message;
use tinysweep_proto::{
    MESSAGE_LIMIT_BYTES,
    v1::{Lease, WorkerEvent, worker_event::Event},
};

use crate::{assignment::Said, handoff};

/// Bytes of a kind and a length.
pub const HEAD_BYTES: usize = 9;
/// Bytes of a step before the state after it.
const STEP_BYTES: usize = 8;

/// What a slot is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The state that the next start goes on from.
    Resume(Vec<u8>),
    /// To train what a lease says.
    Start(Box<Lease>),
    /// To give a state of what it trains, and end that.
    HandBack,
    /// To end what it trains.
    Stop,
}

/// Why bytes are no frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// They cannot be read.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// They end within a frame.
    #[error("the bytes end within a frame")]
    Torn,
    /// There is no such kind of frame, in this direction.
    #[error("there is no frame of kind {0}")]
    Kind(u8),
    /// A length is beyond what a frame of its kind may have.
    #[error("a frame of kind {kind} says that it has {bytes} bytes; {limit} is the most")]
    TooLong {
        /// The kind.
        kind: u8,
        /// The length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The content is not that of its kind.
    #[error("a frame of kind {kind} makes no sense: {problem}")]
    Content {
        /// The kind.
        kind: u8,
        /// What is wrong.
        problem: String,
    },
}

/// Kinds of frames; those of one direction mean nothing in the other.
mod kind {
    pub const EVENT: u8 = 1;
    pub const STATE: u8 = 2;
    pub const RESUME: u8 = 3;
    pub const START: u8 = 4;
    pub const HAND_BACK: u8 = 5;
    pub const STOP: u8 = 6;
}

/// Something that goes into a frame.
pub trait Framed: Sized {
    /// Appends itself to `bytes`, as a frame.
    fn put(&self, bytes: &mut Vec<u8>);

    /// The most bytes that a frame of that kind may have; none where the kind is of no such frame.
    fn limit(kind: u8) -> Option<u64>;

    /// From the content of a frame.
    ///
    /// # Errors
    /// It is none of that kind.
    fn parse(kind: u8, content: Vec<u8>) -> Result<Self, FrameError>;
}

impl Framed for Said {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Event(event) => {
                let message = WorkerEvent { seq: 0, event: Some(event.clone()) };
                put(bytes, kind::EVENT, &message.encode_to_vec());
            }
            Self::State { step, bytes: state } => {
                bytes.extend(state_head(*step, state.len()));
                bytes.extend(state);
            }
        }
    }

    fn limit(kind: u8) -> Option<u64> {
        match kind {
            kind::EVENT => Some(MESSAGE_LIMIT_BYTES as u64),
            // One byte more than can be handed on: whoever hands it on says so.
            kind::STATE => Some(handoff::LIMIT_BYTES + STEP_BYTES as u64 + 1),
            _ => None,
        }
    }

    fn parse(kind: u8, mut content: Vec<u8>) -> Result<Self, FrameError> {
        match kind {
            kind::EVENT => match WorkerEvent::decode(content.as_slice()).map_err(|error| senseless(kind, error))?.event {
                Some(event @ (Event::Progress(_) | Event::LogLines(_) | Event::Completed(_) | Event::Failed(_) | Event::HandedBack(_))) => {
                    Ok(Self::Event(event))
                }
                _ => Err(senseless(kind, "no event of an attempt")),
            },
            kind::STATE => {
                let step = content.first_chunk().copied().ok_or_else(|| senseless(kind, "no step"))?;
                Ok(Self::State { step: u64::from_le_bytes(step), bytes: content.split_off(STEP_BYTES) })
            }
            other => Err(FrameError::Kind(other)),
        }
    }
}

impl Framed for Told {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Resume(state) => put(bytes, kind::RESUME, state),
            Self::Start(lease) => put(bytes, kind::START, &lease.encode_to_vec()),
            Self::HandBack => put(bytes, kind::HAND_BACK, &[]),
            Self::Stop => put(bytes, kind::STOP, &[]),
        }
    }

    fn limit(kind: u8) -> Option<u64> {
        match kind {
            kind::RESUME => Some(handoff::LIMIT_BYTES),
            kind::START => Some(MESSAGE_LIMIT_BYTES as u64),
            kind::HAND_BACK | kind::STOP => Some(0),
            _ => None,
        }
    }

    fn parse(kind: u8, content: Vec<u8>) -> Result<Self, FrameError> {
        match kind {
            kind::RESUME => Ok(Self::Resume(content)),
            kind::START => Lease::decode(content.as_slice()).map(|lease| Self::Start(lease.into())).map_err(|error| senseless(kind, error)),
            kind::HAND_BACK => Ok(Self::HandBack),
            kind::STOP => Ok(Self::Stop),
            other => Err(FrameError::Kind(other)),
        }
    }
}

fn put(bytes: &mut Vec<u8>, kind: u8, content: &[u8]) {
    bytes.extend(head(kind, content.len()));
    bytes.extend(content);
}

/// What comes before the content of a frame.
fn head(kind: u8, length: usize) -> Vec<u8> {
    [&[kind][..], &(length as u64).to_le_bytes()].concat()
}

/// What comes before a state of `length` bytes in its frame.
pub fn state_head(step: u64, length: usize) -> Vec<u8> {
    [head(kind::STATE, STEP_BYTES + length), step.to_le_bytes().to_vec()].concat()
}

fn senseless(kind: u8, problem: impl ToString) -> FrameError {
    FrameError::Content { kind, problem: problem.to_string() }
}

/// Reads the next frame; none at an end between two.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read<T: Framed>(reader: &mut impl Read) -> Result<Option<T>, FrameError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    reader.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let Some((kind, length)) = parse_head::<T>(&head)? else { return Ok(None) };
    let mut content = Vec::new();
    reader.take(length).read_to_end(&mut content)?;
    parse_whole(kind, length, content).map(Some)
}

/// Kind and length from the first [`HEAD_BYTES`]; none where there are none.
///
/// # Errors
/// They are not those of a frame that goes this way.
pub fn parse_head<T: Framed>(head: &[u8]) -> Result<Option<(u8, u64)>, FrameError> {
    let [kind, length @ ..] = head else { return Ok(None) };
    let limit = T::limit(*kind).ok_or(FrameError::Kind(*kind))?;
    let bytes = u64::from_le_bytes(length.try_into().map_err(|_| FrameError::Torn)?);
    if bytes > limit { Err(FrameError::TooLong { kind: *kind, bytes, limit }) } else { Ok(Some((*kind, bytes))) }
}

/// A frame of that kind and length from its content.
///
/// # Errors
/// It is none, or not whole.
pub fn parse_whole<T: Framed>(kind: u8, length: u64, content: Vec<u8>) -> Result<T, FrameError> {
    if (content.len() as u64) < length { Err(FrameError::Torn) } else { T::parse(kind, content) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tinysweep_proto::v1::{AttemptRef, Heartbeat, MetricPoint, Progress};

    use super::*;

    fn frame<T: Framed>(message: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.put(&mut bytes);
        bytes
    }

    fn head(kind: u8, length: u64) -> Vec<u8> {
        super::head(kind, length as usize)
    }

    fn attempt() -> Option<AttemptRef> {
        Some(AttemptRef { sweep: "s".into(), trial: 1, replicate: 0, attempt: 2, token: u64::MAX })
    }

    fn said() -> [Said; 3] {
        let point = MetricPoint { name: "train/lm_loss".into(), step: 3, value: f64::from_bits(0x3fb9_9999_9999_999b) };
        let progress = Progress { attempt: attempt(), step: 3, points: vec![point], ..Progress::default() };
        let failed = crate::assignment::failed(&attempt().unwrap(), tinysweep_proto::v1::FailureKind::Data, "ü".into());
        [Said::Event(Event::Progress(progress)), Said::State { step: u64::MAX, bytes: vec![7; 70_000] }, Said::Event(failed)]
    }

    fn told() -> [Told; 4] {
        let lease = Lease { attempt: attempt(), config_json: "{}".into(), seed: 9, ..Lease::default() };
        [Told::Resume(vec![1, 2, 3]), Told::Start(lease.into()), Told::HandBack, Told::Stop]
    }

    #[test]
    fn frames_come_back_one_after_the_other() {
        let bytes: Vec<u8> = said().iter().flat_map(frame).collect();
        let mut reader = bytes.as_slice();
        for expected in said() {
            assert_eq!(read::<Said>(&mut reader).unwrap(), Some(expected));
        }
        assert_eq!(read::<Said>(&mut reader).unwrap(), None);

        let bytes: Vec<u8> = told().iter().flat_map(frame).collect();
        let mut reader = bytes.as_slice();
        for expected in told() {
            assert_eq!(read::<Told>(&mut reader).unwrap(), Some(expected));
        }
    }

    #[test]
    fn wrong_frames_are_refused_with_a_reason() {
        let heartbeat = WorkerEvent { seq: 0, event: Some(Event::Heartbeat(Heartbeat {})) }.encode_to_vec();
        let cases = [
            (head(0, 0), "there is no frame of kind 0"),
            (head(kind::START, 0), "there is no frame of kind 4"),
            (head(kind::EVENT, 1 << 40), "a frame of kind 1 says that it has 1099511627776 bytes; 4194304 is the most"),
            (head(kind::STATE, u64::MAX), "a frame of kind 2 says that it has 18446744073709551615 bytes; 2147483657 is the most"),
            (head(kind::EVENT, 9), "the bytes end within a frame"),
            (head(kind::EVENT, 9)[..5].to_vec(), "the bytes end within a frame"),
            (head(kind::EVENT, 0), "a frame of kind 1 makes no sense: no event of an attempt"),
            ([head(kind::EVENT, heartbeat.len() as u64), heartbeat].concat(), "a frame of kind 1 makes no sense: no event of an attempt"),
            ([head(kind::STATE, 3), vec![0; 3]].concat(), "a frame of kind 2 makes no sense: no step"),
        ];
        for (bytes, reason) in cases {
            assert_eq!(read::<Said>(&mut bytes.as_slice()).unwrap_err().to_string(), reason);
        }
        assert_eq!(read::<Told>(&mut head(kind::STOP, 1).as_slice()).unwrap_err().to_string(), {
            "a frame of kind 6 says that it has 1 bytes; 0 is the most"
        });
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 0_u8..8, length in 0_u64..64) {
            let bytes = [head(kind, length), bytes].concat();
            let _ = read::<Said>(&mut bytes.as_slice());
            let _ = read::<Told>(&mut bytes.as_slice());
        }

        #[test]
        fn a_torn_frame_is_never_taken_for_a_whole_one(cut in 0_usize..70_000) {
            for message in said() {
                let bytes = frame(&message);
                let cut = cut % bytes.len();
                let read = read::<Said>(&mut &bytes[..cut]);
                let is_right = if cut == 0 { matches!(read, Ok(None)) } else { matches!(read, Err(FrameError::Torn)) };
                prop_assert!(is_right, "{cut} bytes: {read:?}");
            }
        }
    }
}
