//! ARC's vote: a test input is answered once for each augmented copy of its task, and the answers are counted.
//!
//! * A vote is the predicted grid, turned back and in its original colours. Equal grids are kept once, with their number.
//! * Candidates are ranked by votes, then by the mean halting probability of their votes, then by which came first, as in the reference.
//! * pass@K asks whether the answer is among the first K. A task counts as the share of its inputs that are solved.
//! * Votes are those of one checkpoint, unless [`Votes::absorb`] adds another's.

use std::{collections::HashMap, ops::Range, path::Path};

use crate::{
    checkpoint::CheckpointError,
    data::{
        Examples, Item,
        arc::{Attempts, Grid, Submission, canvas},
    },
};

/// The numbers of candidates that are measured, and their metrics.
const PASS_AT: [(usize, &str); 6] =
    [(1, "test/pass@1"), (2, "test/pass@2"), (5, "test/pass@5"), (10, "test/pass@10"), (100, "test/pass@100"), (1000, "test/pass@1000")];

/// Votes on the test inputs of some tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Votes {
    tasks: Vec<Poll>,
    /// By row of the examples.
    inputs: Vec<Input>,
}

/// A task: its name and its rows.
#[derive(Clone, Debug, PartialEq)]
struct Poll {
    name: String,
    rows: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Input {
    /// Nothing where it is secret.
    answer: Option<Grid>,
    candidates: HashMap<Grid, Candidate>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    votes: u32,
    /// Sum of the votes' halting probabilities.
    confidence: f64,
    /// How many other candidates came before.
    order: usize,
}

impl Votes {
    /// No votes yet on the test inputs in `examples`; nothing if they are not of ARC, or copies have rows of their own, so that nobody knows
    /// which belong together.
    pub fn new(examples: &Examples) -> Option<Self> {
        let mut votes = Self::default();
        for group in 0..examples.group_count() {
            let mut puzzles = examples.group(group).map(|puzzle| examples.puzzles[puzzle as usize]);
            let first = puzzles.next()?;
            let rows = first.first as usize..(first.first + first.count) as usize;
            if rows.start != votes.inputs.len() || puzzles.any(|puzzle| (puzzle.first, puzzle.count) != (first.first, first.count)) {
                return None;
            }
            for row in rows.clone() {
                let answer = canvas::crop(examples.answer(row));
                let answer = (!answer.cells().is_empty()).then_some(answer);
                votes.inputs.push(Input { answer, candidates: HashMap::new() });
            }
            let source = examples.tags.sources.get(rows.start).and_then(|source| examples.tags.source_names.get(*source as usize));
            votes.tasks.push(Poll { name: source.cloned().unwrap_or_else(|| group.to_string()), rows });
        }
        (examples.task == tinysweep_proto::dataset::Task::Arc).then_some(votes)
    }

    /// Counts what a model has predicted for `item` of `examples`: the most likely tokens, and the logit of its halting head.
    pub fn add(&mut self, examples: &Examples, item: Item, tokens: &[u8], q_halt: f32) {
        let view = examples.puzzles[item.puzzle as usize].view;
        let confidence = 1.0 / (1.0 + (-f64::from(q_halt)).exp());
        self.inputs[item.row as usize].vote(view.undo(&canvas::crop(tokens)), 1, confidence);
    }

    /// Adds the votes of another evaluation of the same examples.
    pub fn absorb(&mut self, later: Self) {
        for (input, later) in self.inputs.iter_mut().zip(later.inputs) {
            let mut candidates: Vec<_> = later.candidates.into_iter().collect();
            candidates.sort_unstable_by_key(|(_, candidate)| candidate.order);
            for (grid, candidate) in candidates {
                input.vote(grid, candidate.votes, candidate.confidence);
            }
        }
    }

    /// `test/pass@K` for K of 1, 2, 5, 10, 100 and 1000, over the test inputs that have an answer and a vote; nothing without those.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        let places: Vec<Vec<Option<usize>>> = self.tasks.iter().map(|task| self.places(task)).filter(|places| !places.is_empty()).collect();
        if places.is_empty() {
            return Vec::new();
        }
        let solved =
            |places: &Vec<Option<usize>>, k| places.iter().flatten().filter(|place| **place < k).count() as f64 / places.len() as f64;
        let mean = |k| places.iter().map(|places| solved(places, k)).sum::<f64>() / places.len() as f64;
        PASS_AT.into_iter().map(|(k, name)| (name, mean(k))).collect()
    }

    /// Where, from 0, the answers to the inputs of `task` stand among their candidates.
    fn places(&self, task: &Poll) -> Vec<Option<usize>> {
        let asked = self.inputs[task.rows.clone()].iter().filter(|input| !input.candidates.is_empty());
        let place = |input: &Input| {
            let answer = input.answer.as_ref()?;
            Some(input.ranking().iter().position(|(grid, _)| *grid == answer))
        };
        asked.filter_map(place).collect()
    }

    /// The two best candidates for every test input; the one candidate twice, or an empty grid, where there are not so many.
    pub fn submission(&self) -> Submission {
        let attempts = |input: &Input| {
            let ranking = input.ranking();
            let grid = |place: usize| {
                ranking.get(place.min(ranking.len().saturating_sub(1))).map_or_else(Grid::default, |(grid, _)| (*grid).clone())
            };
            Attempts { attempt_1: grid(0), attempt_2: grid(1) }
        };
        let answers = |task: &Poll| (task.name.clone(), self.inputs[task.rows.clone()].iter().map(attempts).collect());
        Submission(self.tasks.iter().map(answers).collect())
    }

    /// Writes [`Self::submission`] as `submission.json` into `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        let path = folder.join("submission.json");
        let text = serde_json::to_vec(&self.submission()).expect("names and lists of numbers serialise");
        std::fs::write(&path, text).map_err(|source| CheckpointError::Write { path, source })
    }
}

impl Input {
    fn vote(&mut self, grid: Grid, votes: u32, confidence: f64) {
        let order = self.candidates.len();
        let candidate = self.candidates.entry(grid).or_insert(Candidate { votes: 0, confidence: 0.0, order });
        candidate.votes += votes;
        candidate.confidence += confidence;
    }

    /// The candidates, the best first.
    fn ranking(&self) -> Vec<(&Grid, Candidate)> {
        let mut ranking: Vec<(&Grid, Candidate)> = self.candidates.iter().map(|(grid, candidate)| (grid, *candidate)).collect();
        let mean = |candidate: &Candidate| candidate.confidence / f64::from(candidate.votes);
        ranking.sort_unstable_by(|(_, a), (_, b)| b.votes.cmp(&a.votes).then(mean(b).total_cmp(&mean(a))).then(a.order.cmp(&b.order)));
        ranking
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{
        Split,
        arc::{Collection, read},
    };

    const TASKS: &str = r#"{
        "a":{"train":[{"input":[[9]],"output":[[9]]}],"test":[{"input":[[1,2]],"output":[[1],[2]]},{"input":[[3,4]],"output":[[5,6]]}]},
        "b":{"train":[{"input":[[9]],"output":[[9]]}],"test":[{"input":[[1,2,3]],"output":[[7]]}]}}"#;

    fn examples(tasks: &str) -> Examples {
        let tasks = read(tasks.as_bytes(), "a.json").unwrap();
        Collection::new(42, 20, Vec::new(), ("a.json".into(), tasks)).unwrap().examples(Split::Test)
    }

    /// What a perfect model says to `item`.
    fn truth(examples: &Examples, item: Item) -> Vec<u8> {
        let (mut input, mut label) = (vec![0; canvas::CELLS], vec![0; canvas::CELLS]);
        examples.read(item, &mut input, &mut label);
        label
    }

    fn value(votes: &Votes, name: &str) -> f64 {
        votes.metrics().into_iter().find(|(found, _)| *found == name).unwrap().1
    }

    #[test]
    fn right_predictions_under_all_views_are_one_candidate() {
        let examples = examples(TASKS);
        let mut votes = Votes::new(&examples).unwrap();
        for item in examples.items() {
            votes.add(&examples, item, &truth(&examples, item), 0.0);
        }
        assert!(votes.inputs.iter().all(|input| input.candidates.len() == 1));
        assert_eq!(votes.inputs[0].ranking()[0].1, Candidate { votes: 21, confidence: 10.5, order: 0 });
        assert!(votes.metrics().iter().all(|(_, value)| *value == 1.0));
        let submission = serde_json::to_string(&votes.submission()).unwrap();
        assert!(submission.starts_with(r#"{"a":[{"attempt_1":[[1],[2]],"attempt_2":[[1],[2]]},{"attempt_1":[[5,6]]"#), "{submission}");
    }

    #[test]
    fn candidates_are_ranked_by_votes_then_confidence_then_arrival() {
        let examples = examples(TASKS);
        let mut votes = Votes::new(&examples).unwrap();
        let items: Vec<Item> = examples.items().filter(|item| item.row == 2).collect();
        let grid = |color: u8| -> Vec<u8> { (0..canvas::CELLS).map(|cell| if cell == 0 { 2 + color } else { 0 }).collect() };
        let mut vote = |color: u8, q_halt: f32| votes.add(&examples, items[0], &grid(color), q_halt);
        // Two votes beat one confident vote; among single votes the confident one leads; 4 and 8 are equal, and 8 came first.
        for (color, q_halt) in [(3, -9.0), (8, -2.0), (7, 5.0), (3, -9.0), (4, -2.0)] {
            vote(color, q_halt);
        }
        let ranking: Vec<u8> = votes.inputs[2].ranking().iter().map(|(grid, _)| grid.cells()[0]).collect();
        assert_eq!(ranking, [3, 7, 8, 4]);
        // Only this input was asked; its answer, 7, comes second.
        assert_eq!((value(&votes, "test/pass@1"), value(&votes, "test/pass@2")), (0.0, 1.0));
        let [_, (name, attempts)] = votes.submission().0.try_into().unwrap();
        assert_eq!((name.as_str(), attempts[0].attempt_1.cells(), attempts[0].attempt_2.cells()), ("b", [3].as_slice(), [7].as_slice()));
    }

    #[test]
    fn a_task_counts_as_the_share_of_its_inputs() {
        let examples = examples(TASKS);
        let mut votes = Votes::new(&examples).unwrap();
        for item in examples.items() {
            let wrong = vec![1; canvas::CELLS];
            let tokens = if item.row == 1 { truth(&examples, item) } else { wrong };
            votes.add(&examples, item, &tokens, 0.0);
        }
        // Half of task a, nothing of task b.
        assert_eq!(value(&votes, "test/pass@1000"), 0.25);
        assert_eq!(votes.submission().0[1].1[0].attempt_1, Grid::default());
    }

    #[test]
    fn votes_of_several_checkpoints_add_up_only_on_request() {
        let examples = examples(TASKS);
        let item = examples.items().next().unwrap();
        let mut votes = Votes::new(&examples).unwrap();
        let mut later = votes.clone();
        votes.add(&examples, item, &[0; canvas::CELLS], 9.0);
        later.add(&examples, item, &truth(&examples, item), 0.0);
        later.add(&examples, item, &truth(&examples, item), 0.0);
        assert_eq!(value(&later, "test/pass@1"), 1.0);
        votes.absorb(later);
        assert_eq!(votes.inputs[0].candidates.len(), 2);
        assert_eq!(value(&votes, "test/pass@1"), 1.0);
    }

    #[test]
    fn secret_answers_give_a_submission_and_no_metrics() {
        let examples = examples(r#"{"a":{"train":[{"input":[[9]],"output":[[9]]}],"test":[{"input":[[1,2]]}]}}"#);
        let mut votes = Votes::new(&examples).unwrap();
        votes.add(&examples, examples.items().next().unwrap(), &[5; canvas::CELLS], 0.0);
        assert_eq!(votes.metrics(), []);
        assert_eq!(votes.submission().0[0].1[0].attempt_1.cells(), [3; canvas::CELLS]);
    }

    #[test]
    fn puzzles_of_other_tasks_are_not_voted_on() {
        let plain = Examples::plain(tinysweep_proto::dataset::Task::Sudoku4x4, vec![1; 16], vec![2; 16]);
        assert_eq!(Votes::new(&plain), None);
    }
}
