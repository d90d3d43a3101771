//! Sudoku: rules, solver, generator.

mod generator;
pub mod grid;
mod solver;

pub use generator::{Givens, generate};
pub use solver::{count_solutions, random_grid};
