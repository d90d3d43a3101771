//! The official evaluation sets, known by their content.

use sha2::{Digest, Sha256};

use super::tasks::ArcTask;

/// SHA-256 of evaluation sets, as [`digest`] makes it: by benchmark, for each revision that published results were measured on.
const OFFICIAL: [(&str, &str); 3] = [
    // fchollet/ARC-AGI @ 39903044, data/evaluation.
    ("arc-agi-1", "37ed9cb2176931b39ea4a66b332b8a269e8a425a4982b2e4eefeca36294ce38b"),
    // arcprize/ARC-AGI-2 @ f3283f72, data/evaluation.
    ("arc-agi-2", "48176c403887d104792bcf628ca3a8ebb6a7ae123e61574b1cf58581c43b2ef6"),
    // The earlier revision in SamsungSAILMontreal/TinyRecursiveModels @ e7b68717, which TRM's results are measured on.
    ("arc-agi-2", "1041590f19a9b9374c4e4aca2787f6fb2df98ad13627b808f249b85018c864ab"),
];

/// Whether `tasks` are the evaluation set of `benchmark`, in whatever order.
pub fn is_official(benchmark: &str, tasks: &[ArcTask]) -> bool {
    let found = digest(tasks);
    OFFICIAL.iter().any(|(name, digest)| *name == benchmark && *digest == found)
}

/// A hash of names and grids of `tasks`, whatever their order and however their files are laid out.
fn digest(tasks: &[ArcTask]) -> String {
    let mut tasks: Vec<&ArcTask> = tasks.iter().collect();
    tasks.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let mut hash = Sha256::new();
    for task in tasks {
        let text = serde_json::to_string(&(&task.id, task)).expect("names and lists of numbers serialise");
        hash.update(text);
    }
    tinysweep_proto::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::super::tasks;
    use super::*;

    #[test]
    fn order_and_layout_do_not_matter_but_grids_do() {
        let task = |color: u8| format!(r#"{{"train":[{{"input":[[1]],"output":[[{color}]]}}],"test":[{{"input":[[1]]}}]}}"#);
        let digest = |text: String| digest(&tasks::read(text.as_bytes(), "a.json").unwrap());
        let one = digest(format!("{{\"a\":{},\"b\":{}}}", task(1), task(2)));
        assert_eq!(digest(format!("{{ \"b\": {},\n\"a\": {}}}", task(2), task(1))), one);
        assert_ne!(digest(format!("{{\"a\":{},\"b\":{}}}", task(1), task(3))), one);
        assert!(!is_official("arc-agi-1", &[]));
    }
}
