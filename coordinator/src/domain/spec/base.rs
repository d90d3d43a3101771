//! `config:`, the part of the configuration that all trials share, and how settings are put onto a configuration.

use serde_json::Value;
use tinysweep_proto::config::{self, TrialConfig};

use super::error::Report;
use super::fields;
use super::settings::{self, Settings};
use super::yaml::{Entry, Node};

/// Reads `config:` onto the published configuration.
pub(crate) fn read(report: &mut Report, node: &Node, settings: &mut Settings) -> TrialConfig {
    let mut config = TrialConfig::default();
    let entries = fields::mapping(report, node, "`config`").unwrap_or_default();
    apply(report, entries, "config", settings, &mut config);
    config
}

/// Sets what `entries` of `block` say, on their own or below a group.
pub(crate) fn apply<'n>(
    report: &mut Report,
    entries: impl IntoIterator<Item = &'n Entry>,
    block: &'static str,
    settings: &mut Settings,
    config: &mut TrialConfig,
) {
    for entry in entries {
        if settings::is_group(&entry.key) {
            for inner in fields::mapping(report, &entry.value, &format!("`{}`", entry.key)).unwrap_or_default() {
                set(report, config, block, Some(&entry.key), inner, settings);
            }
        } else {
            set(report, config, block, None, entry, settings);
        }
    }
}

fn set(report: &mut Report, config: &mut TrialConfig, block: &'static str, group: Option<&str>, entry: &Entry, settings: &mut Settings) {
    let Some(path) = settings.claim(report, block, group, entry) else { return };
    if let Some(value) = settings::value(report, &path, &entry.value) {
        *config = with(config, &path, &value);
    }
}

/// `config` with a value that [`settings::value`] gave.
pub(crate) fn with(config: &TrialConfig, path: &str, value: &Value) -> TrialConfig {
    config::assign(config, path, value).expect("the value was taken from a configuration's own field")
}
