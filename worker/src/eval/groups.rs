//! Exact accuracy apart for each difficulty and each source of Sudoku puzzles.

use std::collections::BTreeMap;

use tinysweep_proto::dataset::Rules;

use crate::data::Examples;

/// The sources that are told apart; puzzles of further ones are counted together.
const SOURCES: usize = 24;
/// Bytes of a source's name in the name of a metric.
const NAME_LIMIT: usize = 60;
/// Where buckets of ratings begin. A rating is the number of guesses of a solver; what is hardest for networks is 3 to 10.
const RATINGS: [(f32, &str); 6] = [(0.0, "0"), (1.0, "1-2"), (3.0, "3-10"), (11.0, "11-30"), (31.0, "31-100"), (101.0, "101+")];

/// Counts of puzzles and of right answers, by group.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// The names of each row's groups.
    of_rows: Vec<Vec<String>>,
    counts: BTreeMap<String, (u64, u64)>,
}

impl Groups {
    /// The groups of `examples` by what their file says about rows; none for other tasks than Sudoku.
    pub fn of(examples: &Examples) -> Self {
        let Rules::Sudoku(_) = examples.task.rules() else { return Self::default() };
        let tags = &examples.tags;
        let sources = source_names(examples);
        let groups = |row: usize| {
            let rating = tags.ratings.get(row).map(|rating| format!("rating={}", bucket(*rating)));
            let source = tags.sources.get(row).and_then(|source| sources.get(*source as usize)).map(|name| format!("source={name}"));
            rating.into_iter().chain(source).collect()
        };
        Self { of_rows: (0..examples.rows()).map(groups).collect(), counts: BTreeMap::new() }
    }

    /// Counts the answer to a row.
    pub fn add(&mut self, row: usize, is_exact: bool) {
        for group in self.of_rows.get(row).into_iter().flatten() {
            let (puzzles, right) = self.counts.entry(group.clone()).or_default();
            *puzzles += 1;
            *right += u64::from(is_exact);
        }
    }

    /// `test/exact_accuracy[GROUP]`, and of how many: `test/puzzles[GROUP]`.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let of_group = |(group, (puzzles, right)): (&String, &(u64, u64))| {
            let accuracy = *right as f64 / *puzzles as f64;
            [(format!("test/exact_accuracy[{group}]"), accuracy), (format!("test/puzzles[{group}]"), *puzzles as f64)]
        };
        self.counts.iter().flat_map(of_group).collect()
    }
}

/// The bucket of a rating: the last that begins at or below it.
fn bucket(rating: f32) -> &'static str {
    RATINGS.iter().rev().find(|(first, _)| rating >= *first).map_or(RATINGS[0].1, |(_, name)| name)
}

/// What each source is called: its name where it is one of those with the most rows, else `other`.
fn source_names(examples: &Examples) -> Vec<String> {
    let tags = &examples.tags;
    let mut counts = vec![0_usize; tags.source_names.len()];
    for source in &tags.sources {
        if let Some(count) = counts.get_mut(*source as usize) {
            *count += 1;
        }
    }
    let mut largest: Vec<usize> = (0..counts.len()).collect();
    largest.sort_by_key(|source| std::cmp::Reverse(counts[*source]));
    let mut names = vec!["other".to_owned(); counts.len()];
    for source in largest.into_iter().take(SOURCES) {
        names[source] = shortened(&tags.source_names[source]);
    }
    names
}

/// A name that can be a part of a metric's.
fn shortened(name: &str) -> String {
    let end = (0..=NAME_LIMIT.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name[..end].chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::dataset::Task;

    use super::*;
    use crate::data::Tags;

    fn tagged(ratings: &[f32], sources: &[u32], names: &[&str]) -> Examples {
        let rows = ratings.len().max(sources.len());
        let tokens = vec![1; rows * 16];
        let source_names = names.iter().map(|name| (*name).to_owned()).collect();
        let tags = Tags { ratings: ratings.to_vec(), sources: sources.to_vec(), source_names };
        Examples { tags, ..Examples::plain(Task::Sudoku4x4, tokens.clone(), tokens) }
    }

    #[test]
    fn buckets_begin_where_they_say() {
        let buckets = [0.0, 0.5, 1.0, 2.9, 3.0, 10.0, 11.0, 100.0, 101.0, 1e9, -1.0].map(bucket);
        assert_eq!(buckets, ["0", "0", "1-2", "1-2", "3-10", "3-10", "11-30", "31-100", "101+", "101+", "0"]);
    }

    #[test]
    fn each_group_has_its_accuracy_and_its_size() {
        let mut groups = Groups::of(&tagged(&[0.0, 5.0, 7.0, 5.0], &[0, 1, 1, 1], &["easy", "hard"]));
        for (row, is_exact) in [true, true, false, false].into_iter().enumerate() {
            groups.add(row, is_exact);
        }
        let metrics: BTreeMap<_, _> = groups.metrics().into_iter().collect();
        assert_eq!(metrics.len(), 8);
        assert_eq!((metrics["test/exact_accuracy[rating=3-10]"], metrics["test/puzzles[rating=3-10]"]), (1.0 / 3.0, 3.0));
        assert_eq!((metrics["test/exact_accuracy[source=easy]"], metrics["test/puzzles[source=easy]"]), (1.0, 1.0));
    }

    #[test]
    fn without_tags_there_are_no_groups_and_many_sources_become_one() {
        let mut none = Groups::of(&tagged(&[], &[], &[]));
        none.add(0, true);
        assert!(none.metrics().is_empty());
        let names: Vec<String> = (0..30).map(|index| format!("{index}\n{}", "é".repeat(100))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut many = Groups::of(&tagged(&[], &(0..30).collect::<Vec<_>>(), &names));
        (0..30).for_each(|row| many.add(row, true));
        let metrics: BTreeMap<_, _> = many.metrics().into_iter().collect();
        assert_eq!(metrics.len(), 2 * (SOURCES + 1));
        assert_eq!(metrics["test/puzzles[source=other]"], 6.0);
        assert!(metrics.keys().all(|name| name.len() <= 128 && !name.contains('\n')));
    }
}
