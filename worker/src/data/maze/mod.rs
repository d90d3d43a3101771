//! Mazes: the alphabet, the path, the generator.

mod generator;
pub mod grid;
mod path;

pub use generator::{generate, least_steps};
pub use path::{is_optimal, shortest, solve};
