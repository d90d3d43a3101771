//! Puzzles as arrays: what the reference's data sets consist of, checked, and in one file for the way to the workers.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tinysweep_proto::dataset::Task;

use super::arc::View;
use super::{DataError, Examples, Puzzle, Tags};

/// The arrays of a data set. The outer lists count from 0 and end with their total: puzzle p has the rows from `puzzle_indices[p]` up to
/// `puzzle_indices[p + 1]`, group g likewise the puzzles from `group_indices[g]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrays {
    /// Questions, `[rows, seq_len]`.
    pub inputs: Vec<u8>,
    /// Answers, `[rows, seq_len]`; 0 asks for nothing.
    pub labels: Vec<u8>,
    /// Each puzzle's row in the puzzle table.
    pub identifiers: Vec<u32>,
    /// Where the rows of each puzzle begin.
    pub puzzle_indices: Vec<u32>,
    /// Where the puzzles of each group begin.
    pub group_indices: Vec<u32>,
}

/// What is wrong with arrays. Numbers within an array count from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArraysProblem {
    /// An array is missing, or of another kind or shape.
    #[error("`{name}` must be {expected}, not {found}")]
    Shape {
        /// The array.
        name: &'static str,
        /// What is expected.
        expected: String,
        /// What is there.
        found: String,
    },
    /// There is not one puzzle.
    #[error("there are no examples; at least one is needed")]
    Empty,
    /// Places do not begin at 0.
    #[error("`{name}` must begin with 0, not {found}")]
    Start {
        /// The array.
        name: &'static str,
        /// Its first number.
        found: u32,
    },
    /// Places go back.
    #[error("`{name}` decreases at number {index}; places only grow")]
    Decreasing {
        /// The array.
        name: &'static str,
        /// Where.
        index: usize,
    },
    /// Places end elsewhere than the rows do.
    #[error("`{name}` ends with {found}, but there are {expected} {what}")]
    End {
        /// The array.
        name: &'static str,
        /// Its last number.
        found: u32,
        /// How many there are.
        expected: usize,
        /// Of what.
        what: &'static str,
    },
    /// A puzzle points beyond the puzzle table.
    #[error("puzzle {puzzle} has identifier {found}, but there are {count} identifiers")]
    Identifier {
        /// The puzzle.
        puzzle: usize,
        /// Its identifier.
        found: u32,
        /// How many there are.
        count: u32,
    },
    /// A token is none of the task's.
    #[error("`{name}` has token {found} at row {row}, position {position}; {} has tokens 0 to {}", task.name(), task.vocab_size() - 1)]
    Token {
        /// The array.
        name: &'static str,
        /// The row.
        row: usize,
        /// The place in the row.
        position: usize,
        /// The token.
        found: u8,
        /// The kind of puzzle.
        task: Task,
    },
}

impl Arrays {
    /// The arrays of `examples`, every view applied.
    pub fn of(examples: &Examples) -> Self {
        let seq_len = examples.task.seq_len();
        let (mut inputs, mut labels) = (vec![0; examples.len() * seq_len], vec![0; examples.len() * seq_len]);
        let rows = inputs.chunks_exact_mut(seq_len).zip(labels.chunks_exact_mut(seq_len));
        for (item, (input, label)) in examples.items().zip(rows) {
            examples.read(item, input, label);
        }
        let identifiers = examples.puzzles.iter().map(|puzzle| puzzle.identifier).collect();
        let mut end = 0;
        let ends = examples.puzzles.iter().map(|puzzle| {
            end += puzzle.count;
            end
        });
        let puzzle_indices = std::iter::once(0).chain(ends).collect();
        Self { inputs, labels, identifiers, puzzle_indices, group_indices: examples.groups.clone() }
    }

    /// The examples of `task` that the arrays hold, with a puzzle table of so many rows.
    ///
    /// # Errors
    /// The arrays contradict each other, or hold what the task has not.
    pub fn examples(self, task: Task, puzzle_identifiers: u32) -> Result<Examples, ArraysProblem> {
        let rows = self.inputs.len() / task.seq_len();
        let whole = |name, array: &[u8]| match array.len() == rows * task.seq_len() {
            true => Ok(()),
            false => {
                let expected = format!("{rows} rows of {}", task.seq_len());
                Err(ArraysProblem::Shape { name, expected, found: format!("{} tokens", array.len()) })
            }
        };
        whole("inputs", &self.inputs)?;
        whole("labels", &self.labels)?;
        check_tokens("inputs", &self.inputs, task)?;
        check_tokens("labels", &self.labels, task)?;
        check_places("puzzle_indices", &self.puzzle_indices, rows, "rows")?;
        let puzzles = self.identifiers.len();
        if self.puzzle_indices.len() != puzzles + 1 {
            let (expected, found) =
                (format!("{} places, one more than identifiers", puzzles + 1), format!("{}", self.puzzle_indices.len()));
            return Err(ArraysProblem::Shape { name: "puzzle_indices", expected, found });
        }
        check_places("group_indices", &self.group_indices, puzzles, "puzzles")?;
        if let Some(puzzle) = self.identifiers.iter().position(|identifier| *identifier >= puzzle_identifiers) {
            return Err(ArraysProblem::Identifier { puzzle, found: self.identifiers[puzzle], count: puzzle_identifiers });
        }
        if rows == 0 {
            return Err(ArraysProblem::Empty);
        }
        let spans = self.puzzle_indices.windows(2).zip(&self.identifiers);
        let puzzles = spans
            .map(|(span, identifier)| Puzzle { identifier: *identifier, first: span[0], count: span[1] - span[0], view: View::IDENTITY })
            .collect();
        let Self { inputs, labels, group_indices: groups, .. } = self;
        Ok(Examples { task, puzzle_identifiers, inputs, labels, puzzles, groups, tags: Tags::default() })
    }
}

fn check_tokens(name: &'static str, tokens: &[u8], task: Task) -> Result<(), ArraysProblem> {
    match tokens.iter().position(|token| usize::from(*token) >= task.vocab_size()) {
        None => Ok(()),
        Some(index) => {
            let (row, position) = (index / task.seq_len(), index % task.seq_len());
            Err(ArraysProblem::Token { name, row, position, found: tokens[index], task })
        }
    }
}

/// Checks that places begin at 0, never go back, and end at `end`, the number of `what`.
fn check_places(name: &'static str, places: &[u32], end: usize, what: &'static str) -> Result<(), ArraysProblem> {
    let (first, last) = match places {
        [] => return Err(ArraysProblem::Shape { name, expected: "at least one place".into(), found: "empty".into() }),
        [only] => (*only, *only),
        [first, .., last] => (*first, *last),
    };
    if first != 0 {
        return Err(ArraysProblem::Start { name, found: first });
    }
    if let Some(index) = places.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(ArraysProblem::Decreasing { name, index: index + 1 });
    }
    if last as usize != end {
        return Err(ArraysProblem::End { name, found: last, expected: end, what });
    }
    Ok(())
}

/// The content of one safetensors file with the arrays of `examples`. The same examples give the same bytes.
pub fn encode(examples: &Examples) -> Vec<u8> {
    let arrays = Arrays::of(examples);
    let seq_len = examples.task.seq_len();
    let rows = arrays.inputs.len() / seq_len;
    let bytes = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let [identifiers, puzzles, groups] = [&arrays.identifiers, &arrays.puzzle_indices, &arrays.group_indices].map(|numbers| bytes(numbers));
    let table = bytes(&[examples.puzzle_identifiers]);
    let view = |dtype, shape, data| TensorView::new(dtype, shape, data).expect("the shape is made from the data");
    let tensors = [
        ("inputs", view(Dtype::U8, vec![rows, seq_len], &arrays.inputs)),
        ("labels", view(Dtype::U8, vec![rows, seq_len], &arrays.labels)),
        ("identifiers", view(Dtype::U32, vec![arrays.identifiers.len()], &identifiers)),
        ("puzzle_indices", view(Dtype::U32, vec![arrays.puzzle_indices.len()], &puzzles)),
        ("group_indices", view(Dtype::U32, vec![arrays.group_indices.len()], &groups)),
        ("puzzle_identifiers", view(Dtype::U32, vec![1], &table)),
    ];
    safetensors::serialize(tensors, None).expect("memory takes every tensor")
}

/// The puzzles in `content`, which [`encode`] has written or something hostile has.
///
/// # Errors
/// It is no such file, or its arrays contradict each other.
pub fn decode(content: &[u8], file: &str, task: Task) -> Result<Examples, DataError> {
    let failed = |problem| DataError::Arrays { file: file.into(), problem };
    let tensors =
        SafeTensors::deserialize(content).map_err(|problem| DataError::Safetensors { file: file.into(), problem: problem.to_string() })?;
    let take = |name, dtype, width: Option<usize>| take(&tensors, name, dtype, width).map_err(failed);
    let numbers = |name| take(name, Dtype::U32, None).map(|data| numbers(&data));
    let arrays = Arrays {
        inputs: take("inputs", Dtype::U8, Some(task.seq_len()))?,
        labels: take("labels", Dtype::U8, Some(task.seq_len()))?,
        identifiers: numbers("identifiers")?,
        puzzle_indices: numbers("puzzle_indices")?,
        group_indices: numbers("group_indices")?,
    };
    let table = numbers("puzzle_identifiers")?;
    let [table] = table[..] else {
        let (expected, found) = ("one number".into(), format!("{} numbers", table.len()));
        return Err(failed(ArraysProblem::Shape { name: "puzzle_identifiers", expected, found }));
    };
    arrays.examples(task, table).map_err(failed)
}

fn take(tensors: &SafeTensors, name: &'static str, dtype: Dtype, width: Option<usize>) -> Result<Vec<u8>, ArraysProblem> {
    let wrong = |found| {
        let shape = width.map_or("[any]".into(), |width| format!("[any, {width}]"));
        ArraysProblem::Shape { name, expected: format!("{dtype:?} of shape {shape}"), found }
    };
    let tensor = tensors.tensor(name).map_err(|_| wrong("missing".into()))?;
    let fits = match (tensor.shape(), width) {
        ([_], None) => true,
        ([_, found], Some(width)) => *found == width,
        _ => false,
    };
    match fits && tensor.dtype() == dtype {
        true => Ok(tensor.data().to_vec()),
        false => Err(wrong(format!("{:?} of shape {:?}", tensor.dtype(), tensor.shape()))),
    }
}

fn numbers(data: &[u8]) -> Vec<u32> {
    data.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tinysweep_proto::dataset::Sudoku;

    use super::super::sudoku::{Givens, generate};
    use super::*;

    const TASK: Task = Task::Sudoku4x4;

    /// Two groups: one of two puzzles, the second of which has two rows, and one of one puzzle.
    fn arrays() -> Arrays {
        let (train, _) = generate(Sudoku::Grid4x4, 4, 1, Givens::aim(8), 1).unwrap();
        Arrays {
            inputs: train.inputs,
            labels: train.labels,
            identifiers: vec![1, 2, 0],
            puzzle_indices: vec![0, 1, 3, 4],
            group_indices: vec![0, 2, 3],
        }
    }

    #[test]
    fn groups_puzzles_and_rows_come_back() {
        let examples = arrays().examples(TASK, 3).unwrap();
        assert_eq!((examples.group_count(), examples.puzzles.len(), examples.rows()), (2, 3, 4));
        assert_eq!(examples.items_of(1).map(|item| item.row).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(Arrays::of(&examples), arrays());
        let content = encode(&examples);
        assert_eq!(decode(&content, "a", TASK).unwrap(), examples);
        assert_eq!(encode(&examples), content);
    }

    #[test]
    fn arrays_that_contradict_each_other_are_refused() {
        let problem = |change: fn(&mut Arrays)| {
            let mut arrays = arrays();
            change(&mut arrays);
            arrays.examples(TASK, 3).unwrap_err().to_string()
        };
        let cases = [
            (problem(|arrays| arrays.inputs[17] = 6), "`inputs` has token 6 at row 1, position 1; sudoku-4x4 has tokens 0 to 5"),
            (problem(|arrays| _ = arrays.labels.pop()), "`labels` must be 4 rows of 16, not 63 tokens"),
            (problem(|arrays| arrays.puzzle_indices[0] = 1), "`puzzle_indices` must begin with 0, not 1"),
            (problem(|arrays| arrays.puzzle_indices[1] = 4), "`puzzle_indices` decreases at number 2; places only grow"),
            (problem(|arrays| arrays.puzzle_indices[3] = 9), "`puzzle_indices` ends with 9, but there are 4 rows"),
            (problem(|arrays| arrays.group_indices.push(7)), "`group_indices` ends with 7, but there are 3 puzzles"),
            (problem(|arrays| arrays.group_indices.clear()), "`group_indices` must be at least one place, not empty"),
            (problem(|arrays| arrays.identifiers[1] = 3), "puzzle 1 has identifier 3, but there are 3 identifiers"),
            (problem(|arrays| _ = arrays.identifiers.pop()), "`puzzle_indices` must be 3 places, one more than identifiers, not 4"),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
        let empty = Arrays { inputs: vec![], labels: vec![], identifiers: vec![], puzzle_indices: vec![0], group_indices: vec![0] };
        assert_eq!(empty.examples(TASK, 1).unwrap_err(), ArraysProblem::Empty);
    }

    #[test]
    fn other_tensors_are_refused() {
        let content = encode(&arrays().examples(TASK, 3).unwrap());
        let message = decode(&content, "a", Task::Sudoku6x6).unwrap_err().to_string();
        assert_eq!(message, "a: `inputs` must be U8 of shape [any, 36], not U8 of shape [4, 16]");
        let nothing = safetensors::serialize(std::iter::empty::<(&str, TensorView)>(), None).unwrap();
        let message = decode(&nothing, "a", TASK).unwrap_err().to_string();
        assert_eq!(message, "a: `inputs` must be U8 of shape [any, 16], not missing");
        assert!(decode(b"question,answer", "a", TASK).unwrap_err().to_string().starts_with("a: not a safetensors file: "));
    }

    proptest! {
        #[test]
        fn no_change_of_one_byte_makes_it_panic(place: prop::sample::Index, byte: u8, length: prop::sample::Index) {
            let mut content = encode(&arrays().examples(TASK, 3).unwrap());
            let place = place.index(content.len());
            content[place] = byte;
            let _ = decode(&content, "a", TASK);
            content.truncate(length.index(content.len()));
            prop_assert!(decode(&content, "a", TASK).is_err());
        }
    }
}
