//! Operations that Candle does not have, or not with a backward pass, or slower. Each is tested against the plain graph, which
//! other devices than CPUs and NVIDIA GPUs run in its place.

mod adam;
mod attention_norm;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bf16;
mod buffer;
mod choice;
#[cfg(feature = "cuda")]
mod cuda;
mod factors;
mod gate;
mod half;
mod heads;
pub mod math;
mod matmul;
mod norm;
#[cfg(target_arch = "x86_64")]
mod panels;
pub mod peak;
mod plain;
mod recursion;
mod rotary;
mod rows;
mod runs;
pub mod slices;
mod softmax;
mod sum;
mod swiglu_norm;
mod tally;
mod vectorized;

pub use adam::{Adam, Coefficients, average};
pub use attention_norm::AttentionNorm;
pub use bf16::{Unit as Bf16Unit, UnitError as Bf16UnitError};
pub use buffer::release_memory;
#[cfg(feature = "cuda")]
pub(crate) use choice::is_fused;
pub use choice::plainly;
#[cfg(feature = "cuda")]
pub use cuda::{Gpu, Graph, Workspace, loss, open, upload};
pub use factors::Factors;
pub use half::Half;
pub use recursion::{Call, Recursion};
pub use rotary::Rotary;
pub use rows::rows;
pub use swiglu_norm::{Over, SwiGluNorm};
pub use vectorized::vectorized;
