//! Augmented copies, as the reference's builders store them.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tinysweep_proto::config::Augment;

use super::arc::View;
use super::augment::Symmetry;
use super::{Examples, Puzzle, Tags};

/// Each row of `examples` as a group of its own: the row, then `copies` of it under symmetries drawn by `seed`. As in the reference no
/// copy is compared with the others. Training draws its own symmetries, so this is for data sets that other programs read.
pub fn augmented(examples: &Examples, copies: usize, seed: u64) -> Examples {
    let task = examples.task;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let total = examples.rows() * (copies + 1) * task.seq_len();
    let (mut inputs, mut labels) = (Vec::with_capacity(total), Vec::with_capacity(total));
    let (mut input, mut label) = (vec![0; task.seq_len()], vec![0; task.seq_len()]);
    for row in 0..examples.rows() {
        let (question, answer) = (examples.question(row), examples.answer(row));
        inputs.extend(question);
        labels.extend(answer);
        for _ in 0..copies {
            let symmetry = Symmetry::draw(task, Augment::Full, question, answer, &mut rng);
            symmetry.apply(question, &mut input);
            symmetry.apply(answer, &mut label);
            inputs.extend(&input);
            labels.extend(&label);
        }
    }
    let rows = (examples.rows() * (copies + 1)) as u32;
    let puzzles = (0..rows).map(|row| Puzzle { identifier: 0, first: row, count: 1, view: View::IDENTITY }).collect();
    let groups = (0..=rows).step_by(copies + 1).collect();
    Examples { task, puzzle_identifiers: 1, inputs, labels, puzzles, groups, tags: Tags::default() }
}
