//! The coordinator's wall clock and its randomness; what is stored carries its time. Nothing below `domain` reads either.

use std::time::{SystemTime, UNIX_EPOCH};

/// When something happens, and the random number that goes with it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// From ½ to 1.
    pub jitter: f64,
}

/// This moment.
pub fn moment() -> Moment {
    Moment { now_ms: now_ms(), jitter: rand::random_range(0.5..1.0) }
}

/// Milliseconds since 1970; 0 on a machine whose clock is set before that.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
