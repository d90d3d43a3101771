//! `config:`, the part of the configuration that all trials share.

use serde_json::Value;
use tinysweep_proto::config::{self, TrialConfig};

use super::error::Report;
use super::fields;
use super::settings::{self, Settings};
use super::yaml::{Entry, Node};

/// Reads `config:` onto the published configuration.
pub(crate) fn read(report: &mut Report, node: &Node, settings: &mut Settings) -> TrialConfig {
    let mut config = TrialConfig::default();
    for entry in fields::mapping(report, node, "`config`").unwrap_or_default() {
        if settings::is_group(&entry.key) {
            for inner in fields::mapping(report, &entry.value, &format!("`{}`", entry.key)).unwrap_or_default() {
                set(report, &mut config, Some(&entry.key), inner, settings);
            }
        } else {
            set(report, &mut config, None, entry, settings);
        }
    }
    config
}

fn set(report: &mut Report, config: &mut TrialConfig, group: Option<&str>, entry: &Entry, settings: &mut Settings) {
    let Some(path) = settings.claim(report, "config", group, entry) else { return };
    if let Some(value) = settings::value(report, path, &entry.value) {
        *config = with(config, path, &value);
    }
}

/// `config` with a value that [`settings::value`] gave.
pub(crate) fn with(config: &TrialConfig, path: &str, value: &Value) -> TrialConfig {
    config::assign(config, path, value).expect("the value was taken from a configuration's own field")
}
