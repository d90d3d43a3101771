//! ARC: grids of colours.

pub mod canvas;
mod error;
mod grid;
mod json;
mod submission;
mod tasks;
mod view;

pub use error::{ArcError, PairProblem, TaskProblem};
pub use grid::{Grid, GridProblem};
pub use submission::{Attempts, Files, Submission, SubmissionScore, Unanswered, score};
pub use tasks::{ArcTask, Pair, read};
pub use view::View;
