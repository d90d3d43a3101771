//! ARC: grids of colours.

pub mod canvas;
mod collection;
mod contents;
mod copies;
mod error;
mod grid;
mod json;
mod official;
mod overlap;
mod submission;
mod tasks;
mod view;

pub use collection::{Collection, DEFAULT_AUGMENTATIONS, DEFAULT_SEED, Named};
pub use error::{ArcError, PairProblem, TaskProblem};
pub use grid::{Grid, GridProblem, MAX_SIDE};
pub use official::is_official;
pub use overlap::{Overlap, overlaps};
pub use submission::{Attempts, Files, Submission, SubmissionScore, Unanswered, score};
pub use tasks::{ArcTask, Pair, read};
pub use view::View;
