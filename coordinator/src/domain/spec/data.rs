//! `data:`, the puzzles of a sweep.

use tinysweep_proto::dataset::{Benchmark, Rules, Source};

use super::TEXT_LIMIT;
use super::error::{Position, Report};
use super::fields::{self, Fields};
use super::yaml::{Content, Node};

/// The most puzzles that may be generated for one part of a data set.
const COUNT_LIMIT: i64 = 10_000_000;

/// The most copies of an ARC task.
const AUGMENTATIONS_LIMIT: i64 = 10_000;

/// Which puzzles trials are trained and measured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSpec {
    /// Training puzzles; none takes as many as the benchmark generates.
    pub train: Option<PartSpec>,
    /// Test puzzles; none takes as many as the benchmark generates.
    pub test: Option<PartSpec>,
    /// Seed of generated puzzles, and of rows that are drawn from the benchmark's own.
    pub seed: u64,
    /// Cells that generated puzzles give away; none leaves it to the generator.
    pub givens: Option<usize>,
    /// How hard generated puzzles are: the least and the largest number of guesses.
    pub rating: Option<(u32, u32)>,
    /// The tasks of a benchmark of ARC, which has none of the above.
    pub arc: Option<ArcSpec>,
}

/// Files of ARC tasks, as the sweep file names them, and how the tasks are augmented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArcSpec {
    /// Tasks that are trained on with all their pairs.
    pub training: Vec<String>,
    /// Tasks whose demonstrations are trained on and whose test inputs are measured.
    pub evaluation: String,
    /// Copies of each task.
    pub augmentations: u32,
    /// Seed of the copies.
    pub seed: u64,
    /// Whether test inputs may be trained on.
    pub allow_overlap: bool,
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
    let mut data = DataSpec { train: None, test: None, seed: 0, givens: None, rating: None, arc: None };
    if benchmark.source == Source::Arc {
        data.arc = Some(read_arc(report, node, benchmark, root)?);
        return Some(data);
    }
    if let Some(node) = node {
        let explain =
            |key: &str| (key == "arc").then(|| format!("`arc` is for benchmarks of ARC; the puzzles of `{}` are none", benchmark.name));
        let keys = Fields::read(report, node, "`data`", &["train", "test", "seed", "givens", "rating"], explain)?;
        let train = keys.get("train").map_or(Some(None), |node| read_part(report, node, "`train`").map(Some));
        let test = keys.get("test").map_or(Some(None), |node| read_part(report, node, "`test`").map(Some));
        let cells = benchmark.task.seq_len() as i64;
        let seed = keys.get("seed").map_or(Some(0), |node| fields::whole(report, node, "`seed` of `data`", 0..=i64::MAX));
        let givens = keys.get("givens").map_or(Some(None), |node| fields::whole(report, node, "`givens`", 1..=cells).map(Some));
        let rating = keys.get("rating").map_or(Some(None), |node| read_rating(report, node).map(Some));
        let givens = givens?.map(|givens| givens as usize);
        data = DataSpec { train: train?, test: test?, seed: seed? as u64, givens, rating: rating?, arc: None };
        refuse_unused_data_keys(report, &keys, &data, benchmark)?;
    }
    Some(data)
}

/// Reads `data: {arc: …}`.
fn read_arc(report: &mut Report, node: Option<&Node>, benchmark: &Benchmark, root: Position) -> Option<ArcSpec> {
    let missing = |what: &str| format!("{what}, as in `data: {{arc: {{training: [training.json.gz], evaluation: evaluation.json.gz}}}}`");
    let Some(node) = node else {
        return report.error(root, missing(&format!("the tasks of `{}` come from files; name them", benchmark.name)));
    };
    let explain = |key: &str| Some(missing(&format!("`{key}` does not apply to ARC; its files are named under `arc`")));
    let Some(node) = Fields::read(report, node, "`data`", &["arc"], explain)?.get("arc") else {
        return report.error(node.at, missing(&format!("the tasks of `{}` come from files; name them", benchmark.name)));
    };
    let known = ["training", "evaluation", "augmentations", "seed", "allow_overlap"];
    let keys = Fields::read(report, node, "`arc`", &known, |_| None)?;
    let training = match keys.get("training") {
        None => Some(Vec::new()),
        Some(Node { content: Content::List(items), .. }) => {
            items.iter().map(|item| read_path(report, item, "each of `training`")).collect()
        }
        Some(node) => read_path(report, node, "`training`").map(|path| vec![path]),
    };
    let evaluation = match keys.get("evaluation") {
        Some(node) => read_path(report, node, "`evaluation`"),
        None => report.error(node.at, missing("`evaluation` must name a file of tasks")),
    };
    let mut number = |key, default, limit| {
        keys.get(key).map_or(Some(default), |node| fields::whole(report, node, &format!("`{key}` of `arc`"), 0..=limit))
    };
    let (augmentations, seed) = (number("augmentations", 1000, AUGMENTATIONS_LIMIT), number("seed", 42, i64::MAX));
    let allow_overlap = match keys.get("allow_overlap") {
        None => Some(false),
        Some(Node { content: Content::Bool(allow), .. }) => Some(*allow),
        Some(node) => report.error(node.at, format!("`allow_overlap` must be true or false, not {}", node.description())),
    };
    Some(ArcSpec {
        training: training?,
        evaluation: evaluation?,
        augmentations: augmentations? as u32,
        seed: seed? as u64,
        allow_overlap: allow_overlap?,
    })
}

fn read_path(report: &mut Report, node: &Node, what: &str) -> Option<String> {
    fields::text(report, node, what, TEXT_LIMIT).map(str::to_owned)
}

/// Reads `rating: {min, max}`, one of which may be left out.
fn read_rating(report: &mut Report, node: &Node) -> Option<(u32, u32)> {
    let keys = Fields::read(report, node, "`rating`", &["min", "max"], |_| None)?;
    let mut end = |key, default: u32| match keys.get(key) {
        Some(node) => fields::whole(report, node, &format!("`{key}` of `rating`"), 0..=i64::from(u32::MAX)).map(|guesses| guesses as u32),
        None => Some(default),
    };
    let (least, most) = (end("min", 0), end("max", u32::MAX));
    match (least?, most?) {
        (least, most) if least <= most => Some((least, most)),
        (least, most) => report.error(node.at, format!("`rating` has min {least} above max {most}; exchange them")),
    }
}

/// Givens and rating are those of generated Sudoku puzzles, the seed also that of rows that are drawn; files have none of them.
fn refuse_unused_data_keys(report: &mut Report, keys: &Fields, data: &DataSpec, benchmark: &Benchmark) -> Option<()> {
    let parts = [&data.train, &data.test];
    let are_files = parts.iter().all(|part| matches!(part, Some(PartSpec::Path(_))));
    let is_generated = parts.iter().any(|part| match part {
        Some(PartSpec::Count(_)) => true,
        Some(PartSpec::Path(_)) => false,
        None => matches!(benchmark.source, Source::Generated { .. }),
    });
    let is_sudoku = matches!(benchmark.task.rules(), Rules::Sudoku(_));
    let mut right = Some(());
    for entry in ["seed", "givens", "rating"].into_iter().filter_map(|key| keys.entry(key)) {
        let why = match entry.key.as_str() {
            _ if are_files => "generated puzzles, and both parts are files",
            "seed" => continue,
            _ if !is_sudoku => "Sudoku",
            _ if !is_generated => "generated puzzles, and the benchmark's own come from the hub",
            _ => continue,
        };
        right = report.error(entry.at, format!("`{}` is about {why}; remove it", entry.key));
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
