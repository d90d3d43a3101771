//! Tasks of ARC: the test inputs are what is answered.

use tinysweep_worker::data::arc::{self, ArcTask, Collection, canvas};

use super::puzzle::Puzzle;
use crate::failure::Failure;

/// Reads the test inputs in `bytes`, at most `limit`: one task, tasks by name, or what `tinysweep data build` and sweeps make of such
/// files. Only the last kind tells which rows of the puzzle table are theirs.
///
/// # Errors
/// Names the task that is wrong.
pub fn read(bytes: &[u8], name: &str, limit: usize) -> Result<Vec<Puzzle>, Failure> {
    let mut puzzles = match Collection::read(bytes, name) {
        Ok(collection) => of_collection(&collection, name),
        Err(_) => arc::read(bytes, name).map_err(Failure::bad_input)?.iter().flat_map(|task| of_task(task, name, None)).collect(),
    };
    puzzles.truncate(limit);
    Ok(puzzles)
}

fn of_collection(collection: &Collection, name: &str) -> Vec<Puzzle> {
    let mut puzzles = Vec::new();
    // Row 0 is blank.
    let mut identifier = 1;
    for (index, (task, views)) in collection.copies().into_iter().enumerate() {
        if index >= collection.training().len() {
            puzzles.extend(of_task(task, name, Some(identifier)));
        }
        identifier += views.len() as u32;
    }
    puzzles
}

fn of_task(task: &ArcTask, name: &str, identifier: Option<u32>) -> Vec<Puzzle> {
    let puzzle = |(index, pair): (usize, &arc::Pair)| {
        let answer = pair.output.as_ref().map(canvas::encode);
        let origin = format!("{name}, task {}, test input {}", task.id, index + 1);
        Puzzle { identifier, ..Puzzle::new(origin, &canvas::encode(&pair.input), answer.as_ref().map(<[u8; canvas::CELLS]>::as_slice)) }
    };
    task.test.iter().enumerate().map(puzzle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = r#"{"train":[{"input":[[1]],"output":[[2]]}],"test":[{"input":[[3,4]],"output":[[5]]},{"input":[[6]]}]}"#;

    #[test]
    fn test_inputs_are_asked() {
        let puzzles = read(TASK.as_bytes(), "a/b.json", 10).unwrap();
        assert_eq!(puzzles.len(), 2);
        assert_eq!((puzzles[0].origin.as_str(), puzzles[0].identifier), ("a/b.json, task b, test input 1", None));
        assert_eq!((puzzles[0].tokens[..3].to_vec(), puzzles[0].answer.as_ref().unwrap()[0]), (vec![5, 6, 1], 7));
        assert_eq!(puzzles[1].answer, None);
        assert_eq!(read(TASK.as_bytes(), "b.json", 1).unwrap().len(), 1);
    }

    #[test]
    fn a_collection_knows_the_rows_of_the_puzzle_table() {
        let pair = r#"{"train":[{"input":[[1]],"output":[[2]]}],"test":[{"input":[[3]],"output":[[5]]}]}"#;
        let text = format!(r#"{{"seed":1,"augmentations":2,"training":{{"a":{pair}}},"evaluation":{{"b":{pair}}}}}"#);
        let puzzles = read(text.as_bytes(), "tasks.json", 10).unwrap();
        assert_eq!(puzzles.iter().map(|puzzle| puzzle.identifier).collect::<Vec<_>>(), [Some(4)]);
    }
}
