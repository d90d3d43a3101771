//! What is in a set of puzzles, counted.

use std::collections::HashSet;

use tinysweep_proto::dataset::Rules;

use super::{Examples, checks, maze, parallel};

/// What a set of puzzles holds. Rows count from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Questions with their answers, every copy counted.
    pub rows: usize,
    /// Original puzzles.
    pub groups: usize,
    /// Rows whose question an earlier row asks, too.
    pub repeated: Vec<usize>,
    /// Originals with several solutions; nothing for tasks other than Sudoku.
    pub ambiguous: Option<Vec<usize>>,
    /// Rows whose answer is, of all shortest paths, the one that Maze-Hard would mark; nothing for tasks other than mazes.
    pub same_path: Option<usize>,
    /// The least, the middle and the largest rating, where rows have one.
    pub ratings: Option<[f32; 3]>,
    /// The sources that rows name, and how many rows each has.
    pub sources: Vec<(String, usize)>,
}

impl Survey {
    /// Looks at every row.
    pub fn of(examples: &Examples) -> Self {
        let mut seen = HashSet::new();
        let repeated = (0..examples.rows()).filter(|row| !seen.insert(examples.question(*row))).collect();
        let is_sudoku = matches!(examples.task.rules(), Rules::Sudoku(_));
        Self {
            rows: examples.rows(),
            groups: examples.group_count(),
            repeated,
            ambiguous: is_sudoku.then(|| checks::ambiguous(examples)),
            same_path: same_path(examples),
            ratings: spread(&examples.tags.ratings),
            sources: sources(examples),
        }
    }
}

fn same_path(examples: &Examples) -> Option<usize> {
    let Rules::Maze(side) = examples.task.rules() else { return None };
    let rows: Vec<usize> = (0..examples.rows()).collect();
    let same = parallel::map(&rows, |row| maze::solve(side, examples.question(*row)).is_some_and(|path| path == examples.answer(*row)));
    Some(same.into_iter().filter(|same| *same).count())
}

fn spread(ratings: &[f32]) -> Option<[f32; 3]> {
    let mut sorted = ratings.to_vec();
    sorted.sort_by(f32::total_cmp);
    Some([*sorted.first()?, sorted[sorted.len() / 2], *sorted.last()?])
}

fn sources(examples: &Examples) -> Vec<(String, usize)> {
    let tags = &examples.tags;
    let mut counts = vec![0; tags.source_names.len()];
    tags.sources.iter().for_each(|source| counts[*source as usize] += 1);
    tags.source_names.iter().cloned().zip(counts).collect()
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::dataset::Task;

    use super::super::csv;
    use super::*;

    #[test]
    fn what_is_there_is_counted() {
        let text = "source,question,answer,rating\n\
                    a,..34..1.214..32.,1234341221434321,3\n\
                    b,..34..1.214..32.,1234341221434321,1\n\
                    a,................,1234341221434321,2.5\n";
        let survey = Survey::of(&csv::read(text.as_bytes(), "a.csv", Task::Sudoku4x4).unwrap());
        let expected = Survey {
            rows: 3,
            groups: 3,
            repeated: vec![1],
            ambiguous: Some(vec![2]),
            same_path: None,
            ratings: Some([1.0, 2.5, 3.0]),
            sources: vec![("a".into(), 2), ("b".into(), 1)],
        };
        assert_eq!(survey, expected);
    }

    #[test]
    fn other_shortest_paths_are_told_apart() {
        let (mut mazes, _) = maze::generate(Task::Maze10, 5, 1, 1).unwrap();
        assert_eq!(Survey::of(&mazes).same_path, Some(5));
        mazes.labels.copy_from_slice(&mazes.inputs.clone());
        let survey = Survey::of(&mazes);
        assert_eq!((survey.same_path, survey.ambiguous, survey.sources), (Some(0), None, vec![]));
    }
}
