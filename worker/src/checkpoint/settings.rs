//! What a file says about the configuration of a checkpoint that comes from elsewhere: the reference's `all_config.yaml`, or
//! hyper-parameters by name.

use std::path::Path;

use serde_json::{Map, Value, json};
use tinysweep_proto::config::{TrialConfig, assign, canonical_path};

use super::{CheckpointError, read_limited};

/// The most bytes that such a file may have.
const BYTE_LIMIT: u64 = 1 << 20;

/// Keys of `all_config.yaml` that say nothing about a model: where it was, which data it saw, how often it was measured.
const NOT_OF_THE_MODEL: [&str; 15] = [
    "data_paths",
    "data_paths_test",
    "evaluators",
    "epochs",
    "project_name",
    "run_name",
    "load_checkpoint",
    "checkpoint_path",
    "seed",
    "checkpoint_every_eval",
    "eval_interval",
    "min_eval_interval",
    "eval_save_outputs",
    "freeze_weights",
    "ema",
];

/// One hyper-parameter with its value.
pub type Setting = (&'static str, Value);

/// Reads the settings in the file at `path`.
///
/// # Errors
/// When it cannot be read; says which key is not known or has a value that is none.
pub fn read(path: &Path) -> Result<Vec<Setting>, CheckpointError> {
    let malformed = |message| CheckpointError::Malformed { path: path.to_owned(), message };
    let text = String::from_utf8(read_limited(path, BYTE_LIMIT)?).map_err(|_| malformed("is not UTF-8 text".into()))?;
    parse(&text).map_err(malformed)
}

/// Reads the settings in a YAML text.
///
/// # Errors
/// Which key is not known or has a value that is none.
pub fn parse(text: &str) -> Result<Vec<Setting>, String> {
    let value: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let Value::Object(mut keys) = value else { return Err("is not a mapping of names to values".into()) };
    match keys.remove("arch") {
        Some(Value::Object(arch)) => of_reference(&arch, &keys),
        Some(_) => Err("arch: is not a mapping".into()),
        None => by_name("", &keys),
    }
}

/// `config` with `settings`.
///
/// # Errors
/// Which value is none of its field's.
pub fn apply(config: TrialConfig, settings: &[Setting]) -> Result<TrialConfig, String> {
    settings.iter().try_fold(config, |config, (path, value)| assign(&config, path, value).map_err(|error| format!("{path}: {error}")))
}

/// Hyper-parameters by our names, also in groups (`train: {lr: 1e-4}`).
fn by_name(prefix: &str, keys: &Map<String, Value>) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    for (key, value) in keys {
        let name = format!("{prefix}{key}");
        match value {
            Value::Object(group) if prefix.is_empty() => settings.extend(by_name(&format!("{name}."), group)?),
            _ => settings.push((canonical_path(&name).map_err(|error| error.to_string())?, value.clone())),
        }
    }
    Ok(settings)
}

/// The reference's own keys. Most have a name that we know too.
fn of_reference(arch: &Map<String, Value>, run: &Map<String, Value>) -> Result<Vec<Setting>, String> {
    let family = Family::of(arch.get("name"))?;
    let mut settings = family.settings();
    for (key, value) in arch {
        match key.as_str() {
            "name" => {}
            "loss" => settings.extend(loss(value)?),
            "mlp_t" => settings.push(("variant", json!(if is_true("arch.mlp_t", value)? { "mlp" } else { "att" }))),
            "no_ACT_continue" if family == Family::Trm => settings.extend(halting(is_true("arch.no_ACT_continue", value)?)),
            // Without attention there is nothing to rotate; the reference then makes the tables and leaves them.
            "pos_encodings" if arch.get("mlp_t") == Some(&json!(true)) && value == "rope" => {
                settings.push(("pos_encodings", json!("none")))
            }
            "H_layers" if family == Family::Hrm => settings.push(("h_layers", value.clone())),
            "H_layers" if family == Family::Transformer => settings.push(("layers", value.clone())),
            "L_layers" | "L_cycles" if family == Family::Transformer => {}
            // The reference reads these and ignores them; the last is how it computes, not what the model is.
            "H_layers" | "no_ACT_continue" | "causal" | "forward_dtype" => {}
            _ => settings.push((canonical_path(key).map_err(|error| format!("arch: {error}"))?, value.clone())),
        }
    }
    settings.extend(head_width(arch));
    for (key, value) in run {
        match key.as_str() {
            "global_batch_size" => settings.push(("train.batch_size", value.clone())),
            "ema_rate" if run.get("ema") != Some(&json!(true)) => settings.push(("train.ema_rate", json!(0.0))),
            known if NOT_OF_THE_MODEL.contains(&known) => {}
            _ => settings.push((canonical_path(key).map_err(|error| error.to_string())?, value.clone())),
        }
    }
    Ok(settings)
}

/// The reference's models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// `trm`, and `trm_singlez` and `trm_hier6`, whose tensors tell them apart.
    Trm,
    Hrm,
    /// `transformers_baseline`.
    Transformer,
}

impl Family {
    /// Of `arch.name`, as in `recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1`.
    fn of(name: Option<&Value>) -> Result<Self, String> {
        let name = name.and_then(Value::as_str).ok_or("arch.name: is missing; it says which model it is")?;
        match name.split('@').next().and_then(|path| path.rsplit('.').next()) {
            Some("trm" | "trm_singlez" | "trm_hier6") => Ok(Self::Trm),
            Some("hrm" | "hrm_act_v1") => Ok(Self::Hrm),
            Some("transformers_baseline") => Ok(Self::Transformer),
            _ => Err(format!("arch.name: is `{name}`; it must be of trm, trm_singlez, trm_hier6, hrm or transformers_baseline")),
        }
    }

    /// What all models of the family have, whatever else the file says.
    fn settings(self) -> Vec<Setting> {
        match self {
            Self::Trm => Vec::new(),
            Self::Hrm => vec![
                ("gradient", json!("last_calls")),
                ("continue_loss", json!(true)),
                ("halt_rule", json!("over_continue")),
                ("puzzle_emb_len", json!(0)),
            ],
            Self::Transformer => vec![("halt_rule", json!("over_continue")), ("puzzle_emb_len", json!(0))],
        }
    }
}

/// TRM chooses when to halt by its loss.
fn halting(by_halt_alone: bool) -> [Setting; 2] {
    let rule = if by_halt_alone { "positive" } else { "over_continue" };
    [("continue_loss", json!(!by_halt_alone)), ("halt_rule", json!(rule))]
}

/// The reference's heads have a whole share of the width; what does not divide is left over.
fn head_width(arch: &Map<String, Value>) -> Option<Setting> {
    let count = |key: &str| arch.get(key).and_then(Value::as_u64).filter(|count| *count > 0);
    let (width, heads) = (count("hidden_size")?, count("num_heads")?);
    (width % heads != 0).then(|| ("head_width", json!(width / heads)))
}

fn loss(value: &Value) -> Result<Option<Setting>, String> {
    match value.get("loss_type").and_then(Value::as_str) {
        Some("stablemax_cross_entropy") => Ok(Some(("loss", json!("stablemax")))),
        Some("softmax_cross_entropy") => Ok(Some(("loss", json!("softmax")))),
        Some(other) => Err(format!("arch.loss.loss_type: is `{other}`; it must be stablemax_cross_entropy or softmax_cross_entropy")),
        None => Ok(None),
    }
}

fn is_true(key: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{key}: is `{value}`; it must be true or false"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinysweep_proto::config::{HaltRule, Loss, PosEncodings, Variant};

    fn config(text: &str) -> Result<TrialConfig, String> {
        apply(TrialConfig::default(), &parse(text)?)
    }

    #[test]
    fn the_references_file_is_understood() {
        let text = include_str!("../../tests/fixtures/pytorch/model/all_config.yaml");
        let read = config(text).unwrap();
        assert_eq!((read.variant, read.hidden_size, read.num_heads, read.layers), (Variant::Att, 8, 2, 1));
        assert_eq!((read.h_cycles, read.l_cycles, read.halt_max_steps), (2, 3, 4));
        assert_eq!((read.puzzle_emb_len, read.puzzle_emb_ndim, read.loss), (2, Some(8), Loss::Stablemax));
        assert_eq!((read.train.batch_size, read.train.lr, read.train.warmup_steps, read.train.ema_rate), (32, 0.001, 5, 0.999));
        let mlp = config(&text.replace("mlp_t: false", "mlp_t: true").replace("ema: true", "ema: false")).unwrap();
        assert_eq!((mlp.variant, mlp.pos_encodings, mlp.train.ema_rate), (Variant::Mlp, Some(PosEncodings::None), 0.0));
    }

    #[test]
    fn the_references_other_models_are_understood() {
        let hrm = config("arch: {name: hrm.hrm_act_v1@H, H_layers: 4, L_layers: 4, L_cycles: 2}").unwrap();
        assert_eq!((hrm.h_layers, hrm.layers, hrm.halt_rule, hrm.prefix_len()), (Some(4), 4, HaltRule::OverContinue, 1));
        let text = "arch: {name: a.transformers_baseline@T, H_layers: 8, L_layers: 3, hidden_size: 512, num_heads: 12}";
        let direct = config(text).unwrap();
        assert_eq!((direct.layers, direct.head_width, direct.l_cycles), (8, Some(42), 6));
        let act = config("arch: {name: trm@A, no_ACT_continue: false}").unwrap();
        assert_eq!((act.continue_loss, act.halt_rule), (true, HaltRule::OverContinue));
    }

    #[test]
    fn names_of_ours_may_be_grouped() {
        let read = config("width: 64\nlayers: 3\ntrain: {lr: 0.5}\n").unwrap();
        assert_eq!((read.hidden_size, read.layers, read.train.lr), (64, 3, 0.5));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (text, message) in [
            ("- 1", "is not a mapping of names to values"),
            ("arch: 3", "arch: is not a mapping"),
            ("widht: 3", "unknown hyper-parameter `widht`; did you mean `width`?"),
            ("arch: {hidden_size: 3}", "arch.name: is missing; it says which model it is"),
            ("arch: {name: trm@A, hiden_size: 3}", "arch: unknown hyper-parameter `hiden_size`; did you mean `hidden_size`?"),
            ("arch: {name: trm@A}\nlrr: 1", "unknown hyper-parameter `lrr`"),
            ("arch: {name: a.gpt@B}", "arch.name: is `a.gpt@B`; it must be of trm, "),
            ("arch: {name: trm@A, loss: {loss_type: focal}}", "arch.loss.loss_type: is `focal`"),
            ("arch: {name: trm@A, mlp_t: 1}", "arch.mlp_t: is `1`; it must be true or false"),
            ("layers: many", "layers: invalid type"),
        ] {
            let error = config(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
        assert!(config("a: [").is_err());
    }
}
