//! Between messages and what the domain and the store understand.
//!
//! * `heard`: what peers say, checked and bounded.
//! * `told`: what they are told.

mod heard;
mod told;

pub use heard::{attempt_key, changes, checkpoint, completed, cost, failed, handed_back, hello, log_lines, progress, verb};
pub use told::{attempt_ref, checkpoint_message, replicate, running, sweep, trial, trial_state, worker};
