//! Named configurations: the published models that others are compared with.

use super::{GradientSpan, HaltRule, Networks, States, TrainConfig, TrialConfig, Variant, nearest};

/// A configuration with a name.
#[derive(Debug)]
pub struct Preset {
    /// What it is called in `baselines:`.
    pub name: &'static str,
    /// What it is, in one line.
    pub description: &'static str,
    config: fn() -> TrialConfig,
}

impl Preset {
    /// The configuration.
    pub fn config(&self) -> TrialConfig {
        (self.config)()
    }
}

/// Every preset. Their training is that of the published Sudoku runs, but for the moving average, which is TRM's own.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "trm-mlp",
        description: "TRM with an MLP over positions: 5M parameters on Sudoku (arXiv 2510.04871)",
        config: TrialConfig::default,
    },
    Preset { name: "trm-att", description: "TRM with self-attention: 7M parameters (arXiv 2510.04871)", config: trm_att },
    Preset {
        name: "hrm-27m",
        description: "HRM: two networks of 4 layers, 1-step gradient, continue loss; 27M parameters (arXiv 2506.21734)",
        config: hrm,
    },
    Preset {
        name: "transformer-27m",
        description: "Transformer of 8 layers with deep supervision and no recursion within a step: 27M parameters",
        config: transformer,
    },
    Preset {
        name: "transformer-27m-1",
        description: "The same Transformer in one pass, without deep supervision: HRM's and TRM's `direct prediction`",
        config: || TrialConfig { halt_max_steps: 1, ..transformer() },
    },
];

/// The preset of that name.
///
/// # Errors
/// When there is none; the nearest name is suggested.
pub fn preset(name: &str) -> Result<&'static Preset, UnknownPreset> {
    PRESETS
        .iter()
        .find(|preset| preset.name == name)
        .ok_or_else(|| UnknownPreset { name: name.to_owned(), suggestion: nearest(name, PRESETS.iter().map(|preset| preset.name)) })
}

/// A name that no preset has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown preset `{name}`{}; there are {}",
    suggestion.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default(),
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", "))]
pub struct UnknownPreset {
    /// What was written.
    pub name: String,
    /// The known name that is nearest to it, if one is near.
    pub suggestion: Option<String>,
}

fn trm_att() -> TrialConfig {
    TrialConfig { variant: Variant::Att, ..TrialConfig::default() }
}

/// What both baselines of 27M parameters share: a prefix that just holds the puzzle vector, HRM's halting rule, no moving average.
fn of_hrms_making() -> TrialConfig {
    TrialConfig {
        variant: Variant::Att,
        puzzle_emb_len: 0,
        halt_rule: HaltRule::OverContinue,
        train: TrainConfig { ema_rate: 0.0, ..TrainConfig::default() },
        ..TrialConfig::default()
    }
}

fn hrm() -> TrialConfig {
    TrialConfig {
        networks: Networks::Separate,
        layers: 4,
        h_cycles: 2,
        l_cycles: 2,
        gradient: GradientSpan::LastCalls,
        continue_loss: true,
        ..of_hrms_making()
    }
}

/// As the reference builds it: 12 heads take 504 of 512 features, and `q_continue` is read but never trained.
fn transformer() -> TrialConfig {
    TrialConfig { states: States::Direct, layers: 8, h_cycles: 1, num_heads: 12, head_width: Some(42), ..of_hrms_making() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check;

    #[test]
    fn presets_are_right_and_have_names_of_their_own() {
        for (index, preset) in PRESETS.iter().enumerate() {
            assert_eq!(check(&preset.config()), vec![], "{}", preset.name);
            assert!(PRESETS[..index].iter().all(|other| other.name != preset.name && other.config() != preset.config()));
        }
    }

    #[test]
    fn an_unknown_preset_says_what_there_is() {
        let message = preset("hrm-27").unwrap_err().to_string();
        assert!(message.contains("did you mean `hrm-27m`?") && message.contains("trm-mlp"), "{message}");
    }
}
