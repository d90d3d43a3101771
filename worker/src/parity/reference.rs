//! The reference's configuration, in its own key names, and what it is in this program's terms.

use serde::Deserialize;
use tinysweep_proto::config::{
    EvaluationConfig, GradientSpan, HaltRule, LrSchedule, Networks, PosEncodings, States, TrainConfig, TrialConfig, Variant, check,
};

use super::trace::Trace;

/// Latents of `trm_hier6`.
const HIERARCHY: usize = 6;

/// The models that the reference has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Trm,
    /// `trm_singlez`.
    Single,
    /// `trm_hier6`.
    Hierarchy,
    Hrm,
    /// `transformers_baseline`.
    Transformer,
}

/// The keys of all the reference's models. Each model reads the ones that it knows and ignores the others, here as there; a key that
/// none of them has is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case, reason = "the reference's own key names")]
pub struct ReferenceConfig {
    /// Slots.
    pub batch_size: usize,
    /// Tokens of a puzzle.
    pub seq_len: usize,
    #[serde(default)]
    puzzle_emb_ndim: usize,
    /// Rows of the puzzle table.
    pub num_puzzle_identifiers: usize,
    /// Tokens that there are.
    pub vocab_size: usize,
    H_cycles: usize,
    L_cycles: Option<usize>,
    H_layers: Option<usize>,
    L_layers: Option<usize>,
    hidden_size: usize,
    expansion: f64,
    num_heads: usize,
    pos_encodings: PosEncodings,
    #[serde(default = "default_rms_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    halt_max_steps: usize,
    halt_exploration_prob: f64,
    #[serde(default = "default_forward_dtype")]
    forward_dtype: String,
    #[serde(default)]
    mlp_t: bool,
    #[serde(default = "default_puzzle_emb_len")]
    puzzle_emb_len: usize,
    #[serde(default = "default_true")]
    no_ACT_continue: bool,
    #[serde(default = "default_true")]
    act_enabled: bool,
    #[serde(default)]
    act_inference: bool,
    /// Given to every model, read by none.
    #[serde(default, rename = "causal")]
    _causal: bool,
}

fn default_rms_norm_eps() -> f64 {
    1e-5
}
fn default_rope_theta() -> f64 {
    10_000.0
}
fn default_forward_dtype() -> String {
    "bfloat16".to_owned()
}
fn default_puzzle_emb_len() -> usize {
    16
}
fn default_true() -> bool {
    true
}

/// The optimisers' keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceOptim {
    lr: f64,
    weight_decay: f64,
    betas: (f64, f64),
    puzzle_emb_lr: Option<f64>,
    puzzle_emb_weight_decay: Option<f64>,
    lr_warmup_steps: usize,
    total_steps: usize,
    #[serde(default = "default_lr_min_ratio")]
    lr_min_ratio: f64,
    ema_rate: Option<f64>,
}

fn default_lr_min_ratio() -> f64 {
    1.0
}

impl Family {
    /// The family of the model called `name`, as in `trm_att` and `transformers_baseline`.
    fn of(name: &str) -> Result<Self, String> {
        let lower = name.to_lowercase();
        let known = [
            ("singlez", Self::Single),
            ("hier6", Self::Hierarchy),
            ("transformer", Self::Transformer),
            ("hrm", Self::Hrm),
            ("trm", Self::Trm),
        ];
        known
            .iter()
            .find(|(part, _)| lower.contains(part))
            .map(|(_, family)| *family)
            .ok_or_else(|| format!("the model is `{name}`; what can be replayed has trm, singlez, hier6, hrm or transformer in its name"))
    }
}

/// The configuration of `trace` in this program's terms.
///
/// # Errors
/// What is missing, out of range, or makes the replay another run than the recording.
pub fn trial_config(trace: &Trace) -> Result<TrialConfig, String> {
    let config = model_config(Family::of(&trace.model)?, trace)?;
    check_replayable(trace)?;
    match check(&config).first() {
        Some(error) => Err(error.to_string()),
        None => Ok(config),
    }
}

fn model_config(family: Family, trace: &Trace) -> Result<TrialConfig, String> {
    let reference = &trace.config;
    let needed = |key: &str, value: Option<usize>| value.ok_or_else(|| format!("config.{key} is missing; a {} has it", trace.model));
    let shared = shared_config(trace);
    let recursive = |config: TrialConfig| {
        Ok::<_, String>(TrialConfig {
            layers: needed("L_layers", reference.L_layers)?,
            l_cycles: needed("L_cycles", reference.L_cycles)?,
            ..config
        })
    };
    // The reference's TRM chooses the rule by the loss.
    let trm = || {
        let continue_loss = !reference.no_ACT_continue;
        let halt_rule = if continue_loss { HaltRule::OverContinue } else { HaltRule::Positive };
        recursive(TrialConfig {
            puzzle_emb_len: reference.puzzle_emb_len,
            continue_loss,
            halt_rule,
            ..with_mixer(shared.clone(), reference)
        })
    };
    match family {
        Family::Trm => trm(),
        Family::Single => Ok(TrialConfig { states: States::Single, ..trm()? }),
        Family::Hierarchy => match trm()? {
            config if config.l_cycles > HIERARCHY => Err(format!("L_cycles is {}; a hier6 has at most {HIERARCHY}", config.l_cycles)),
            config => Ok(TrialConfig { latents: HIERARCHY, ..config }),
        },
        Family::Hrm => recursive(TrialConfig {
            networks: Networks::Separate,
            h_layers: Some(needed("H_layers", reference.H_layers)?),
            gradient: GradientSpan::LastCalls,
            continue_loss: true,
            halt_rule: HaltRule::OverContinue,
            ..with_mixer(shared.clone(), reference)
        }),
        Family::Transformer => Ok(TrialConfig {
            states: States::Direct,
            layers: needed("H_layers", reference.H_layers)?,
            h_cycles: 1,
            halt_rule: if reference.act_enabled { HaltRule::OverContinue } else { HaltRule::Never },
            ..with_attention(shared, reference)
        }),
    }
}

/// What all families read alike.
fn shared_config(trace: &Trace) -> TrialConfig {
    let (reference, optim) = (&trace.config, &trace.optim);
    TrialConfig {
        hidden_size: reference.hidden_size,
        num_heads: reference.num_heads,
        h_cycles: reference.H_cycles,
        halt_max_steps: reference.halt_max_steps,
        halt_exploration_prob: reference.halt_exploration_prob,
        expansion: reference.expansion,
        inner_multiple: 256,
        puzzle_emb_len: 0,
        puzzle_emb_ndim: Some(reference.puzzle_emb_ndim),
        rope_theta: reference.rope_theta,
        rms_norm_eps: reference.rms_norm_eps,
        loss: trace.loss_type,
        train: TrainConfig {
            steps: optim.total_steps,
            batch_size: reference.batch_size,
            lr: optim.lr,
            weight_decay: optim.weight_decay,
            beta1: optim.betas.0,
            beta2: optim.betas.1,
            puzzle_emb_lr: optim.puzzle_emb_lr.unwrap_or(0.0),
            puzzle_emb_weight_decay: optim.puzzle_emb_weight_decay.unwrap_or(0.0),
            schedule: LrSchedule::Cosine,
            warmup_steps: optim.lr_warmup_steps,
            lr_min_ratio: optim.lr_min_ratio,
            ema_rate: optim.ema_rate.unwrap_or(0.0),
            ..TrainConfig::default()
        },
        evaluation: EvaluationConfig { batch_size: reference.batch_size, ..EvaluationConfig::default() },
        ..TrialConfig::default()
    }
}

/// The mixer that the configuration says.
fn with_mixer(config: TrialConfig, reference: &ReferenceConfig) -> TrialConfig {
    if !reference.mlp_t {
        return with_attention(config, reference);
    }
    // Without attention there is nothing to rotate; the reference then makes the tables and leaves them.
    let positions = if reference.pos_encodings == PosEncodings::Rope { PosEncodings::None } else { reference.pos_encodings };
    TrialConfig { variant: Variant::Mlp, pos_encodings: Some(positions), ..config }
}

/// Attention whose heads have a whole share of the width: what does not divide is left over, as in the reference.
fn with_attention(config: TrialConfig, reference: &ReferenceConfig) -> TrialConfig {
    TrialConfig {
        variant: Variant::Att,
        head_width: Some(reference.hidden_size / reference.num_heads.max(1)),
        pos_encodings: Some(reference.pos_encodings),
        ..config
    }
}

/// Refuses what would make the replay another run than the recording, and data that are none.
fn check_replayable(trace: &Trace) -> Result<(), String> {
    let config = &trace.config;
    let counts = [("seq_len", config.seq_len), ("vocab_size", config.vocab_size), ("the number of steps in trace", trace.trace.len())];
    if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return Err(format!("{name} is 0; it must be at least 1"));
    }
    if config.halt_exploration_prob != 0.0 {
        return Err(format!("halt_exploration_prob is {}; only 0 can be replayed, since the rest is random", config.halt_exploration_prob));
    }
    if config.forward_dtype != "float32" {
        return Err(format!("forward_dtype is {}; only float32 can be replayed", config.forward_dtype));
    }
    if config.act_inference {
        return Err("act_inference is true; only evaluation with all supervision steps can be replayed".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A recording of `model` whose configuration is changed by `changes`.
    fn read(model: &str, changes: Value) -> Result<TrialConfig, String> {
        let mut config = json!({
            "batch_size": 4, "seq_len": 9, "num_puzzle_identifiers": 2, "vocab_size": 5, "puzzle_emb_ndim": 32, "H_cycles": 2, "L_cycles": 3,
            "H_layers": 5, "L_layers": 2, "hidden_size": 32, "expansion": 4, "num_heads": 4, "pos_encodings": "rope", "halt_max_steps": 3,
            "halt_exploration_prob": 0.0, "forward_dtype": "float32",
        });
        for (key, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => config.as_object_mut().unwrap().remove(key),
                value => config.as_object_mut().unwrap().insert(key.clone(), value.clone()),
            };
        }
        let row = json!({"lr": 0.1, "halted": [], "carry_steps": [], "loss_sum": 0.0, "lm_loss": 0.0, "q_halt_loss": 0.0, "count": 0.0,
            "accuracy": 0.0, "exact_accuracy": 0.0, "q_halt_accuracy": 0.0, "steps": 0.0});
        let trace = json!({
            "model": model, "config": config, "loss_type": "softmax_cross_entropy", "trainable_parameters": 1, "trace": [row],
            "optim": {"lr": 1e-3, "weight_decay": 0.1, "betas": [0.9, 0.95], "puzzle_emb_lr": null, "lr_warmup_steps": 2, "total_steps": 8},
        });
        trial_config(&serde_json::from_value(trace).map_err(|error| error.to_string())?)
    }

    #[test]
    fn each_model_reads_its_own_keys() {
        let trm = read("trm_att", json!({})).unwrap();
        assert_eq!((trm.variant, trm.layers, trm.prefix_len(), trm.halt_rule), (Variant::Att, 2, 16, HaltRule::Positive));
        assert_eq!((trm.train.ema_rate, trm.train.lr_min_ratio), (0.0, 1.0));
        let mlp = read("trm", json!({"mlp_t": true, "puzzle_emb_len": 0, "no_ACT_continue": false})).unwrap();
        assert_eq!((mlp.variant, mlp.positions(), mlp.prefix_len()), (Variant::Mlp, PosEncodings::None, 1));
        assert_eq!((mlp.continue_loss, mlp.halt_rule), (true, HaltRule::OverContinue));
        assert_eq!(read("trm_singlez", json!({})).unwrap().states, States::Single);
        assert_eq!(read("trm_hier6_mlp", json!({})).unwrap().latents, 6);
        let hrm = read("hrm", json!({"puzzle_emb_len": 16})).unwrap();
        assert_eq!((hrm.layers, hrm.h_layers, hrm.prefix_len(), hrm.gradient), (2, Some(5), 1, GradientSpan::LastCalls));
        let transformer = read("transformers_baseline", json!({"L_layers": null, "L_cycles": null, "mlp_t": true})).unwrap();
        assert_eq!((transformer.variant, transformer.layers, transformer.effective_depth()), (Variant::Att, 5, 5));
        assert_eq!(read("transformer", json!({"act_enabled": false})).unwrap().halt_rule, HaltRule::Never);
        assert_eq!(read("trm", json!({"num_heads": 5, "pos_encodings": "none"})).unwrap().head_width(), 6);
    }

    #[test]
    fn what_cannot_be_replayed_is_named() {
        for (model, changes, message) in [
            ("lstm", json!({}), "the model is `lstm`; what can be replayed has trm"),
            ("trm", json!({"L_layers": null}), "config.L_layers is missing"),
            ("trm", json!({"dropout": 0.1}), "unknown field `dropout`"),
            ("trm", json!({"forward_dtype": null}), "forward_dtype is bfloat16"),
            ("trm", json!({"halt_exploration_prob": 0.1}), "only 0 can be replayed"),
            ("trm", json!({"pos_encodings": "alibi"}), "unknown variant `alibi`"),
            ("trm", json!({"num_heads": 0}), "num_heads: is 0"),
            ("trm", json!({"batch_size": 0}), "train.batch_size: is 0"),
            ("trm_hier6", json!({"L_cycles": 7}), "a hier6 has at most 6"),
            ("transformer", json!({"act_inference": true}), "act_inference is true"),
            ("hrm", json!({"seq_len": 0}), "seq_len is 0"),
        ] {
            let error = read(model, changes).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
