//! When something happens. What is stored carries its time; the time and all randomness come from the [`machine`](crate::machine).

/// When something happens, and the random number that goes with it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// From ½ to 1.
    pub jitter: f64,
}
