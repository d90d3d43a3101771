//! Operations that Candle does not have, or not with a backward pass, or slower.

pub mod math;
pub mod slices;
