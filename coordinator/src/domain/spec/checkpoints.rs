//! `checkpoints`: how often a state of training is put into the coordinator's store, and which stay there.

use super::SweepSpec;
use super::error::Report;
use super::fields::{self, Fields};
use super::yaml::{Content, Node};
use crate::domain::policy::Policy;
use crate::domain::retention::Retention;

/// The longest pause between two states.
const PAUSE_LIMIT_SECS: i64 = 3600;
/// The most states of a replicate that can be asked for.
const STATES_LIMIT: i64 = 1000;
/// The most trials whose final states can be asked for by number.
const TRIALS_LIMIT: i64 = 1_000_000;

/// What a sweep file says of checkpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checkpoints {
    /// How often; 0 for never.
    pub every_secs: u32,
    /// Which stay.
    pub retention: Retention,
}

/// Reads what `keys`, the sweep file's, say about it.
pub(super) fn read(report: &mut Report, keys: &Fields) -> Option<Checkpoints> {
    let usual = Policy::default();
    let block = match keys.get("checkpoints") {
        Some(node) => {
            Some(Fields::read(report, node, "`checkpoints`", &["every_secs", "keep_last", "keep_best", "keep_final"], elsewhere)?)
        }
        None => None,
    };
    let entry = |key| block.as_ref().and_then(|block| block.entry(key));
    let (every, short) = (entry("every_secs"), keys.entry("checkpoint_secs"));
    if let (Some(every), Some(short)) = (every, short) {
        return report.error(
            short.at,
            format!("`checkpoint_secs` is `every_secs` of `checkpoints`, which line {} sets; keep one of the two", every.at.line),
        );
    }
    let mut whole = |entry: Option<&super::yaml::Entry>, range, usual: u32| match entry {
        Some(entry) => fields::whole(report, &entry.value, &format!("`{}`", entry.key), range).map(|number| number as u32),
        None => Some(usual),
    };
    let every_secs = whole(every.or(short), 0..=PAUSE_LIMIT_SECS, usual.checkpoint_secs);
    let keep_last = whole(entry("keep_last"), 1..=STATES_LIMIT, usual.retention.keep_last);
    let keep_best = whole(entry("keep_best"), 0..=STATES_LIMIT, usual.retention.keep_best);
    let keep_final = entry("keep_final").map_or(Some(usual.retention.keep_final), |entry| read_keep_final(report, &entry.value));
    Some(Checkpoints {
        every_secs: every_secs?,
        retention: Retention { keep_last: keep_last?, keep_best: keep_best?, keep_final: keep_final? },
    })
}

/// A number of trials, or `all`, which is none.
fn read_keep_final(report: &mut Report, node: &Node) -> Option<Option<u32>> {
    match &node.content {
        Content::Text { text, .. } if text == "all" => Some(None),
        Content::Int(_) | Content::Float(_) => {
            fields::whole(report, node, "`keep_final`", 0..=TRIALS_LIMIT).map(|number| Some(number as u32))
        }
        _ => report.error(node.at, format!("`keep_final` must be a number of trials or `all`, not {}", node.description())),
    }
}

/// Words for what other tools call these.
fn elsewhere(key: &str) -> Option<String> {
    let ours = match key {
        "save_top_k" | "save_trial_best" => "keep_best",
        "save_last" | "save_trial_latest" | "save_total_limit" | "max_to_keep" | "num_to_keep" => "keep_last",
        "save_experiment_best" => "keep_final",
        "keep_rungs" => return Some("`keep_rungs` is not supported yet: trials have no rungs; remove it".to_owned()),
        _ => return None,
    };
    Some(format!("`{key}` is called `{ours}` here"))
}

/// The best by evaluation can only be kept where something is evaluated while it trains.
pub(super) fn check(report: &mut Report, keys: &Fields, spec: &SweepSpec) -> Option<()> {
    let Some(models) = spec.models() else { return Some(()) }; // of a program, the block was refused
    let evaluates = models.listed.iter().chain(&models.baselines).any(|listed| listed.config.evaluation.every > 0)
        || spec.space.parameters.iter().any(|parameter| parameter.path == "evaluation.every");
    if spec.running.policy.retention.keep_best == 0 || evaluates {
        return Some(());
    }
    let entries = keys.get("checkpoints").map_or(&[][..], |node| fields::mapping(report, node, "`checkpoints`").unwrap_or_default());
    let at = entries.iter().find(|entry| entry.key == "keep_best").map_or(keys.at, |entry| entry.at);
    report.error(at, "`keep_best` needs evaluations during training; set `evaluation: {every: STEPS}` in `config`, or remove it")
}
