//! Test pairs that are trained on after all, under another name, turned, or in other colours.

use std::collections::HashMap;

use super::collection::Collection;
use super::grid::{COLORS, Grid};
use super::tasks::{ArcTask, Pair};
use super::view::View;

/// A test pair that training shows with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The task that is measured.
    pub evaluation: String,
    /// Its test pair, from 1.
    pub pair: usize,
    /// The task that shows it.
    pub training: String,
}

/// The test pairs of evaluation tasks that are, up to turns and renamed colours, among the pairs of training tasks.
pub fn overlaps(collection: &Collection) -> Vec<Overlap> {
    let mut shown: HashMap<Vec<u8>, &str> = HashMap::new();
    for task in collection.training() {
        for form in task.pairs().filter_map(canonical) {
            shown.entry(form).or_insert(&task.id);
        }
    }
    let found = |task: &ArcTask, pair: &Pair, number| {
        let training = (*shown.get(&canonical(pair)?)?).to_owned();
        Some(Overlap { evaluation: task.id.clone(), pair: number, training })
    };
    let tests = collection.evaluation().iter().flat_map(|task| task.test.iter().zip(1..).map(move |(pair, number)| (task, pair, number)));
    tests.filter_map(|(task, pair, number)| found(task, pair, number)).collect()
}

/// A form that pairs share exactly if a view takes one to the other; nothing for a pair without output.
fn canonical(pair: &Pair) -> Option<Vec<u8>> {
    let output = pair.output.as_ref()?;
    (0..8).filter_map(View::from_number).map(|turn| renumbered(&turn.show(&pair.input), &turn.show(output))).min()
}

/// Both grids, with colours numbered in the order in which they appear; the background stays 0.
fn renumbered(input: &Grid, output: &Grid) -> Vec<u8> {
    let mut numbers = [0; COLORS as usize];
    let mut next = 1;
    let mut bytes = vec![input.rows() as u8, input.columns() as u8, output.rows() as u8];
    for color in input.cells().iter().chain(output.cells()) {
        let number = &mut numbers[usize::from(*color)];
        if *color != 0 && *number == 0 {
            *number = next;
            next += 1;
        }
        bytes.push(*number);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::tasks;
    use super::*;

    fn found(evaluation: &str) -> Vec<Overlap> {
        let task = |pair: &str| format!("{{\"train\":[{{\"input\":[[9]],\"output\":[[9]]}}],\"test\":[{pair}]}}");
        let read = |name: &str, pair: &str| tasks::read(format!("{{\"{name}\":{}}}", task(pair)).as_bytes(), "a.json").unwrap();
        let shown = read("old", r#"{"input":[[1,2,0],[3,3,3]],"output":[[2,1]]}"#);
        overlaps(&Collection::new(1, 1, vec![("t.json".into(), shown)], ("e.json".into(), read("new", evaluation))).unwrap())
    }

    #[test]
    fn the_same_pair_is_found_however_it_is_turned_and_colored() {
        let expected = [Overlap { evaluation: "new".into(), pair: 1, training: "old".into() }];
        assert_eq!(found(r#"{"input":[[1,2,0],[3,3,3]],"output":[[2,1]]}"#), expected);
        assert_eq!(found(r#"{"input":[[7,4],[7,5],[7,0]],"output":[[5],[4]]}"#), expected);
    }

    #[test]
    fn another_pair_is_not() {
        assert_eq!(found(r#"{"input":[[1,2,0],[3,3,3]],"output":[[1,2]]}"#), []);
        assert_eq!(found(r#"{"input":[[1,2,4],[3,3,3]],"output":[[2,1]]}"#), []);
        assert_eq!(found(r#"{"input":[[1,2,0],[3,3,3]]}"#), []);
    }
}
