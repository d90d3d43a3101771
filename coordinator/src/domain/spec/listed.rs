//! `trials:` and `baselines:`, configurations that a sweep lists by name instead of deriving them from `parameters`.

use serde_json::Value;
use tinysweep_proto::config::{PRESETS, TrialConfig, preset};

use super::error::{Position, Report};
use super::fields::{self, unknown};
use super::settings::Settings;
use super::yaml::{Content, Entry, Node};
use super::{NAME_LIMIT, base, settings};

/// A configuration with a name.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What tables call it; empty for the one configuration of a sweep that lists none.
    pub name: String,
    /// The configuration, into which the sweep's `parameters` are still to be put.
    pub config: TrialConfig,
    /// Where it is written.
    pub(super) at: Position,
    /// What it sets itself.
    pub(super) settings: Settings,
}

impl Listed {
    /// The one configuration of a sweep that lists none.
    pub(super) fn unnamed(config: &TrialConfig) -> Self {
        Self { name: String::new(), config: config.clone(), at: Position::START, settings: Settings::default() }
    }

    /// Canonical path and value of each hyper-parameter that it sets itself.
    pub(super) fn overrides(&self) -> impl Iterator<Item = (String, Value)> + '_ {
        self.settings.paths().map(|path| (path.to_owned(), settings::field(&self.config, path)))
    }
}

/// What a list is read onto.
pub(super) struct Shared<'a> {
    /// `config`, which each item starts from.
    pub base: &'a TrialConfig,
    /// What `config` and `parameters` set.
    pub settings: &'a Settings,
}

/// Reads `trials:`, mappings of a `name`, perhaps a `preset`, and hyper-parameters that replace those of `config`.
pub(super) fn read_trials(report: &mut Report, node: &Node, shared: &Shared) -> Option<Vec<Listed>> {
    let listed = read(report, node, "trials", |report, item| {
        let entries = fields::mapping(report, item, "a trial")?;
        if !entries.iter().any(|entry| entry.key == "name") {
            return report.error(item.at, "this trial lacks `name`, which tables call it by");
        }
        let trial = read_item(report, item.at, entries, "trials", shared)?;
        refuse_what_varies(report, &trial, shared)?;
        Some(trial)
    })?;
    refuse_equals(report, &listed)?;
    Some(listed)
}

/// Reads `baselines:`, names of presets, or mappings of a `preset`, perhaps a `name`, and hyper-parameters.
pub(super) fn read_baselines(report: &mut Report, node: &Node, shared: &Shared) -> Option<Vec<Listed>> {
    read(report, node, "baselines", |report, item| match &item.content {
        Content::Map(entries) if !entries.iter().any(|entry| entry.key == "preset") => {
            report.error(item.at, format!("this baseline lacks `preset`, which is one of {}", presets().join(", ")))
        }
        Content::Map(entries) => read_item(report, item.at, entries, "baselines", shared),
        Content::Text { text, .. } => {
            let config = read_preset(report, item, shared.base)?;
            Some(Listed { name: text.clone(), config, at: item.at, settings: Settings::default() })
        }
        _ => report.error(
            item.at,
            format!("a baseline must be the name of a preset, one of {}, not {}", presets().join(", "), item.description()),
        ),
    })
}

/// Reads the items of a list, which must have different names.
fn read(
    report: &mut Report,
    node: &Node,
    block: &str,
    mut read_one: impl FnMut(&mut Report, &Node) -> Option<Listed>,
) -> Option<Vec<Listed>> {
    let items = fields::list(report, node, &format!("`{block}`"))?;
    let mut right = Some(());
    let mut listed: Vec<Listed> = Vec::new();
    for item in items {
        match read_one(report, item) {
            Some(new) => match listed.iter().find(|known| known.name == new.name) {
                Some(known) => {
                    let message = format!("`{}` is already the name of an item on line {}; give each its own", new.name, known.at.line);
                    right = report.error(item.at, message);
                }
                None => listed.push(new),
            },
            None => right = None,
        }
    }
    right.map(|()| listed)
}

fn read_item(report: &mut Report, at: Position, entries: &[Entry], block: &'static str, shared: &Shared) -> Option<Listed> {
    let find = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    let start = match find("preset") {
        Some(node) => read_preset(report, node, shared.base),
        None => Some(shared.base.clone()),
    };
    let named = find("name").or_else(|| find("preset"));
    let name = named.and_then(|node| fields::text(report, node, "`name`", NAME_LIMIT));
    let mut config = start.clone().unwrap_or_default();
    let mut settings = Settings::default();
    let own = entries.iter().filter(|entry| !matches!(entry.key.as_str(), "name" | "preset"));
    base::apply(report, own, block, &mut settings, &mut config);
    start?;
    Some(Listed { name: name?.to_owned(), config, at, settings })
}

/// The preset that `node` names, trained, measured and augmented as the sweep's other trials are; one that was published without a
/// moving average of the weights stays without.
fn read_preset(report: &mut Report, node: &Node, base: &TrialConfig) -> Option<TrialConfig> {
    let name = fields::text(report, node, "`preset`", NAME_LIMIT)?;
    let Ok(found) = preset(name) else { return report.error(node.at, unknown("preset", name, &presets())) };
    let found = found.config();
    let mut train = base.train.clone();
    if found.train.ema_rate == 0.0 {
        train.ema_rate = 0.0;
    }
    Some(TrialConfig { augment: base.augment, precision: base.precision, train, evaluation: base.evaluation.clone(), ..found })
}

fn presets() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

/// What the sweep varies, no trial of its list can set.
fn refuse_what_varies(report: &mut Report, trial: &Listed, shared: &Shared) -> Option<()> {
    let mut right = Some(());
    for path in trial.settings.paths() {
        if let (Some(varies), Some(at)) = (shared.settings.position_in("parameters", path), trial.settings.position(path)) {
            let message = format!("`{path}` varies in `parameters` on line {}; set it in one of the two", varies.line);
            right = report.error(at, message);
        }
    }
    right
}

/// Two names for one configuration are a slip: the results would be the same to the last digit.
fn refuse_equals(report: &mut Report, listed: &[Listed]) -> Option<()> {
    let mut right = Some(());
    for (index, trial) in listed.iter().enumerate() {
        if let Some(same) = listed[..index].iter().find(|earlier| earlier.config == trial.config) {
            let message =
                format!("`{}` is the same configuration as `{}` on line {}; change or remove one", trial.name, same.name, same.at.line);
            right = report.error(trial.at, message);
        }
    }
    right
}
