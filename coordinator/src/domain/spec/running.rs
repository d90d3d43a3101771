//! How a sweep's trials are to be run: `priority`, `share`, `max_parallel`, `resources`, `retry`, `timeout_secs`, and `checkpoints`, which has its own
//! file.

use std::collections::BTreeMap;

use super::checkpoints;
use super::error::Report;
use super::fields::{self, Fields};
use super::yaml::Node;
use crate::domain::failure::{FailureKind, Reaction, RetryPolicy};
use crate::domain::policy::{Needs, Policy};

/// The most slots of a trial, as of a worker.
const SLOTS_LIMIT: i64 = 1024;
/// The most memory that can be asked for.
const MEMORY_LIMIT_GIB: f64 = 65_536.0;
/// The most labels that can be asked for.
const LABELS_LIMIT: usize = 64;
/// Characters of a label's name, and of its value.
const LABEL_LIMIT: usize = 128;
/// The longest pause between attempts.
const PAUSE_LIMIT_SECS: i64 = 3600;
/// The longest time that an attempt may be given.
const TIMEOUT_LIMIT_SECS: i64 = 365 * 24 * 3600;

/// The keys of a sweep file that are read here.
pub(super) const KEYS: [&str; 8] =
    ["priority", "share", "max_parallel", "resources", "retry", "timeout_secs", "checkpoint_secs", "checkpoints"];

/// How the trials of a sweep are to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Sweeps of higher priority go first.
    pub priority: i32,
    /// Sweeps of one priority have slots in proportion to it.
    pub share: u32,
    /// The most replicates that run at once.
    pub max_parallel: Option<u32>,
    /// What they need, and what follows when one fails.
    pub policy: Policy,
}

impl Default for Running {
    fn default() -> Self {
        Self { priority: 0, share: 1, max_parallel: None, policy: Policy::default() }
    }
}

/// Reads what `keys`, the sweep file's, say about it. A program needs a worker whose owner allows it.
pub(super) fn read(report: &mut Report, keys: &Fields, is_program: bool) -> Option<Running> {
    let usual = Running::default();
    let mut whole = |key: &str, range| match keys.get(key) {
        Some(node) => fields::whole(report, node, &format!("`{key}`"), range).map(Some),
        None => Some(None),
    };
    let priority = whole("priority", -1_000_000..=1_000_000);
    let share = whole("share", 1..=1_000_000);
    let max_parallel = whole("max_parallel", 1..=1_000_000);
    let timeout_secs = whole("timeout_secs", 1..=TIMEOUT_LIMIT_SECS);
    let checkpoints = checkpoints::read(report, keys);
    let needs = keys.get("resources").map_or(Some(Needs::default()), |node| read_needs(report, node));
    let retry = keys.get("retry").map_or(Some(RetryPolicy::default()), |node| read_retry(report, node));
    Some(Running {
        priority: priority?.map_or(usual.priority, |priority| priority as i32),
        share: share?.map_or(usual.share, |share| share as u32),
        max_parallel: max_parallel?.map(|most| most as u32),
        policy: Policy {
            needs: Needs { commands: is_program, ..needs? },
            retry: retry?,
            timeout_secs: timeout_secs?.map_or(usual.policy.timeout_secs, |secs| secs as u64),
            checkpoint_secs: checkpoints.as_ref()?.every_secs,
            retention: checkpoints?.retention,
        },
    })
}

fn read_needs(report: &mut Report, node: &Node) -> Option<Needs> {
    let keys = Fields::read(report, node, "`resources`", &["slots", "device", "memory_gib", "labels"], |_| None)?;
    let slots = keys.get("slots").map_or(Some(1), |node| fields::whole(report, node, "`slots`", 1..=SLOTS_LIMIT));
    let devices = ["cpu", "cuda"].map(|name| (name, name));
    let device = keys.get("device").map_or(Some(None), |node| fields::word(report, node, "`device`", &devices).map(Some));
    let memory = keys.get("memory_gib").map_or(Some(0.0), |node| read_memory(report, node));
    let labels = keys.get("labels").map_or(Some(BTreeMap::new()), |node| read_labels(report, node));
    let memory_mib = (memory? * 1024.0).ceil() as u64;
    Some(Needs { slots: slots? as u32, device: device?.map(str::to_owned), memory_mib, labels: labels?, commands: false })
}

fn read_memory(report: &mut Report, node: &Node) -> Option<f64> {
    let gib = fields::number(report, node, "`memory_gib`")?;
    if gib > 0.0 && gib <= MEMORY_LIMIT_GIB {
        return Some(gib);
    }
    report.error(node.at, format!("`memory_gib` must be above 0 and at most {MEMORY_LIMIT_GIB}, not {}", node.description()))
}

fn read_labels(report: &mut Report, node: &Node) -> Option<BTreeMap<String, String>> {
    let entries = fields::mapping(report, node, "`labels`")?;
    if entries.len() > LABELS_LIMIT {
        return report.error(node.at, format!("`labels` are {}, of {LABELS_LIMIT} at the most", entries.len()));
    }
    entries
        .iter()
        .map(|entry| Some((entry.key.clone(), fields::text(report, &entry.value, "the value of a label", LABEL_LIMIT)?.to_owned())))
        .collect()
}

fn read_retry(report: &mut Report, node: &Node) -> Option<RetryPolicy> {
    let usual = RetryPolicy::default();
    let keys = Fields::read(report, node, "`retry`", &["max_attempts", "backoff_secs", "max_backoff_secs", "on"], |_| None)?;
    let mut whole = |key: &str, least, most, usual: u32| match keys.get(key) {
        Some(node) => fields::whole(report, node, &format!("`{key}`"), least..=most).map(|number| number as u32),
        None => Some(usual),
    };
    let max_attempts = whole("max_attempts", 1, 1000, usual.max_attempts);
    let backoff_secs = whole("backoff_secs", 0, PAUSE_LIMIT_SECS, usual.backoff_secs);
    let max_backoff_secs = whole("max_backoff_secs", 0, PAUSE_LIMIT_SECS, usual.max_backoff_secs);
    let on = keys.get("on").map_or(Some(BTreeMap::new()), |node| read_reactions(report, node));
    Some(RetryPolicy { max_attempts: max_attempts?, backoff_secs: backoff_secs?, max_backoff_secs: max_backoff_secs?, on: on? })
}

fn read_reactions(report: &mut Report, node: &Node) -> Option<BTreeMap<FailureKind, Reaction>> {
    let known = FailureKind::NAMES.map(|(name, _)| name);
    let mut reactions = BTreeMap::new();
    let mut right = Some(());
    for entry in fields::mapping(report, node, "`on`")? {
        let kind = FailureKind::NAMES.iter().find(|(name, _)| *name == entry.key);
        let reaction = fields::word(report, &entry.value, &format!("`{}`", entry.key), &Reaction::WORDS);
        match (kind, reaction) {
            (Some((_, kind)), Some(reaction)) => _ = reactions.insert(*kind, reaction),
            (None, _) => right = report.error(entry.at, fields::unknown("kind of failure", &entry.key, &known)),
            _ => right = None,
        }
    }
    right.map(|()| reactions)
}
