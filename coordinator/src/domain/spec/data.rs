//! `data:`, the puzzles of a sweep.

use tinysweep_proto::dataset::{Benchmark, Source};

use super::TEXT_LIMIT;
use super::error::{Position, Report};
use super::fields::{self, Fields};
use super::yaml::{Content, Node};

/// The most puzzles that may be generated for one part of a data set.
const COUNT_LIMIT: i64 = 10_000_000;

/// Which puzzles trials are trained and measured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSpec {
    /// Training puzzles; none takes as many as the benchmark generates.
    pub train: Option<PartSpec>,
    /// Test puzzles; none takes as many as the benchmark generates.
    pub test: Option<PartSpec>,
    /// Seed of generated puzzles.
    pub seed: u64,
    /// Cells that generated puzzles give away; none leaves it to the generator.
    pub givens: Option<usize>,
}

/// Where one part of the data comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartSpec {
    /// A file, as the sweep file names it.
    Path(String),
    /// This many generated puzzles.
    Count(u64),
}

/// Reads `data:`; `root` is where the file starts, for what is missing.
pub(crate) fn read(report: &mut Report, node: Option<&Node>, benchmark: &Benchmark, root: Position) -> Option<DataSpec> {
    let mut data = DataSpec { train: None, test: None, seed: 0, givens: None };
    if let Some(node) = node {
        let keys = Fields::read(report, node, "`data`", &["train", "test", "seed", "givens"], |_| None)?;
        let train = keys.get("train").map_or(Some(None), |node| read_part(report, node, "`train`").map(Some));
        let test = keys.get("test").map_or(Some(None), |node| read_part(report, node, "`test`").map(Some));
        let cells = benchmark.task.shape().seq_len as i64;
        let seed = keys.get("seed").map_or(Some(0), |node| fields::whole(report, node, "`seed` of `data`", 0..=i64::MAX));
        let givens = keys.get("givens").map_or(Some(None), |node| fields::whole(report, node, "`givens`", 1..=cells).map(Some));
        data = DataSpec { train: train?, test: test?, seed: seed? as u64, givens: givens?.map(|givens| givens as usize) };
        refuse_unused_data_keys(report, &keys, &data)?;
    }
    let lacks_a_part = data.train.is_none() || data.test.is_none();
    if benchmark.source == Source::Files && lacks_a_part {
        let name = benchmark.name;
        let message = format!("the puzzles of `{name}` come from files; name them, as in `data: {{train: train.csv, test: test.csv}}`");
        return report.error(node.map_or(root, |node| node.at), message);
    }
    Some(data)
}

/// The seed and the givens are those of generated puzzles; files have neither.
fn refuse_unused_data_keys(report: &mut Report, keys: &Fields, data: &DataSpec) -> Option<()> {
    let is_file = |part: &Option<PartSpec>| matches!(part, Some(PartSpec::Path(_)));
    if !(is_file(&data.train) && is_file(&data.test)) {
        return Some(());
    }
    let mut right = Some(());
    for entry in ["seed", "givens"].into_iter().filter_map(|key| keys.entry(key)) {
        right = report.error(entry.at, format!("`{}` is about generated puzzles, and both parts are files; remove it", entry.key));
    }
    right
}

fn read_part(report: &mut Report, node: &Node, what: &str) -> Option<PartSpec> {
    match &node.content {
        Content::Text { .. } => fields::text(report, node, what, TEXT_LIMIT).map(|path| PartSpec::Path(path.to_owned())),
        Content::Int(_) | Content::Float(_) => {
            fields::whole(report, node, what, 1..=COUNT_LIMIT).map(|count| PartSpec::Count(count as u64))
        }
        _ => report.error(node.at, format!("{what} must be the path of a file or a number of puzzles, not {}", node.description())),
    }
}
