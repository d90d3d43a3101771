//! `tinysweep data list`: benchmarks and where their puzzles come from.

use clap::Args;
use serde_json::json;
use tinysweep_coordinator::domain::baselines::published;
use tinysweep_proto::dataset::{BENCHMARKS, Benchmark, Source};

use crate::{
    failure::Failure,
    hub::{Hub, TEST, TRAIN},
    output::{self, Format, Table},
};

/// Arguments of `data list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// How the benchmarks are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints every benchmark.
pub fn execute(args: &ListArgs) -> Result<(), Failure> {
    // Without a cache folder nothing is cached, which is no reason to list nothing.
    let hub = Hub::from_environment().ok();
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for benchmark in BENCHMARKS {
        let cached = cached(benchmark, hub.as_ref());
        let results = published().iter().filter(|figure| figure.benchmark == benchmark.name).count();
        rows.push(vec![
            benchmark.name.into(),
            benchmark.task.name().into(),
            source(benchmark.source),
            cached.as_ref().map_or("-".into(), |files| if files.is_empty() { "no".into() } else { files.join(", ") }),
            results.to_string(),
        ]);
        values.push(json!({
            "benchmark": benchmark.name,
            "task": benchmark.task.name(),
            "family": benchmark.family,
            "source": source(benchmark.source),
            "cached": cached,
            "published_results": results,
        }));
    }
    let table = Table { headers: vec!["benchmark", "task", "puzzles come from", "cached", ">published results"], rows };
    output::print(args.output, &table, &json!({ "benchmarks": values }))
}

fn source(source: Source) -> String {
    let count = |count: usize| if count == 0 { "all".into() } else { count.to_string() };
    match source {
        Source::Generated { train, test } => format!("generator: {train} training, {test} test"),
        Source::Hub { repository, train, test } => format!("hub {repository}: {} training, {} test", count(train), count(test)),
        Source::Arc => "files of tasks that you name".into(),
    }
}

/// The files of a benchmark on the hub that are here; none for other benchmarks.
fn cached(benchmark: &Benchmark, hub: Option<&Hub>) -> Option<Vec<&'static str>> {
    let Source::Hub { repository, .. } = benchmark.source else { return None };
    let is_here = |file: &&str| hub.is_some_and(|hub| hub.place(repository, file).is_file());
    Some([TRAIN, TEST].into_iter().filter(is_here).collect())
}
