//! Sudoku: rules, solver, generator, symmetries.

mod fill;
mod generator;
pub mod grid;
mod solver;
pub mod symmetry;

pub use fill::random_grid;
pub use generator::{Givens, Ratings, generate, generate_rated};
pub use solver::{count_solutions, guesses};
