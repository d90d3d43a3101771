//! The fused operations on NVIDIA GPUs: the same formulas as on the CPU, as kernels of our own between products by cuBLAS.
//!
//! Inside of the recursion values lie position by position, `[positions, examples, width]`: so each product is a single one over the whole
//! batch, whichever axis it mixes, and nothing is transposed between. Between operations values are in f32; `Factors` say what products
//! are computed from. All work is given to the stream of Candle's device, in order, and nothing waits for it.
#![allow(unsafe_code)]

pub mod adam;
mod array;
mod attention_norm;
mod gpu;
mod graph;
mod half;
pub mod loss;
mod operations;
mod products;
mod recursion;
mod rows;
mod swiglu_norm;
mod workspace;

pub use array::upload;
pub use gpu::{Gpu, open};
pub use graph::Graph;
pub use recursion::run;
pub use rows::rows;
pub use workspace::Workspace;
