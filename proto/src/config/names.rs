//! What a user may call a hyper-parameter, and where its value goes.

use serde_json::Value;

use super::TrialConfig;

/// One hyper-parameter: its path in [`TrialConfig`] and the other names that it answers to.
#[derive(Debug)]
pub struct HyperParameter {
    /// Dotted path, as in `train.lr`.
    pub path: &'static str,
    /// Other names for the same thing.
    pub aliases: &'static [&'static str],
}

const fn named(path: &'static str, aliases: &'static [&'static str]) -> HyperParameter {
    HyperParameter { path, aliases }
}

/// Every hyper-parameter there is, in the order of the definition.
pub const HYPER_PARAMETERS: &[HyperParameter] = &[
    named("variant", &[]),
    named("hidden_size", &["width"]),
    named("num_heads", &["heads"]),
    named("head_width", &["head_dim"]),
    named("layers", &["L_layers"]),
    named("h_layers", &["H_layers"]),
    named("networks", &[]),
    named("states", &[]),
    named("latents", &["num_latents"]),
    named("h_cycles", &["H_cycles", "T"]),
    named("l_cycles", &["L_cycles", "n", "recursion_depth"]),
    named("gradient", &[]),
    named("halt_max_steps", &["supervision_steps", "N_sup"]),
    named("halt_rule", &[]),
    named("continue_loss", &[]),
    named("halt_exploration_prob", &[]),
    named("expansion", &[]),
    named("inner_multiple", &[]),
    named("puzzle_emb_len", &[]),
    named("puzzle_emb_ndim", &[]),
    named("pos_encodings", &[]),
    named("rope_theta", &[]),
    named("rms_norm_eps", &[]),
    named("loss", &["loss_type"]),
    named("augment", &[]),
    named("precision", &[]),
    named("train.steps", &["steps"]),
    named("train.batch_size", &["batch_size", "global_batch_size"]),
    named("train.optimizer", &["optimizer"]),
    named("train.lr", &["lr", "learning_rate"]),
    named("train.weight_decay", &["weight_decay"]),
    named("train.beta1", &["beta1"]),
    named("train.beta2", &["beta2"]),
    named("train.puzzle_emb_lr", &["puzzle_emb_lr"]),
    named("train.puzzle_emb_weight_decay", &["puzzle_emb_weight_decay"]),
    named("train.grad_clip", &["grad_clip", "clip_grad_norm"]),
    named("train.schedule", &["schedule", "lr_schedule"]),
    named("train.warmup_steps", &["warmup_steps", "lr_warmup_steps"]),
    named("train.lr_min_ratio", &["lr_min_ratio"]),
    named("train.ema_rate", &["ema_rate"]),
    named("evaluation.every", &[]),
    named("evaluation.examples", &[]),
    named("evaluation.subset_seed", &[]),
    named("evaluation.steps", &[]),
    named("evaluation.batch_size", &[]),
    named("evaluation.arc_accumulate_votes", &[]),
];

/// A name that no hyper-parameter has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown hyper-parameter `{name}`{}", suggestion.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
pub struct UnknownName {
    /// What was written.
    pub name: String,
    /// The known name that is nearest to it, if one is near.
    pub suggestion: Option<String>,
}

/// The path of the hyper-parameter that `name` (a path or an alias) means.
pub fn canonical_path(name: &str) -> Result<&'static str, UnknownName> {
    HYPER_PARAMETERS.iter().find(|known| known.path == name || known.aliases.contains(&name)).map(|known| known.path).ok_or_else(|| {
        UnknownName {
            name: name.to_owned(),
            suggestion: nearest(
                name,
                HYPER_PARAMETERS.iter().flat_map(|known| std::iter::once(known.path).chain(known.aliases.iter().copied())),
            ),
        }
    })
}

/// Of `known` the name most like `name`, if it is like it at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        // Of several that are equally near the first stands: a path comes before its aliases.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, candidate)| candidate.to_owned())
}

/// `config` with the field at the canonical `path` set to `value`.
///
/// # Errors
/// What is wrong with the value: its type, or a word that is none of the field's.
///
/// # Panics
/// When `path` is not one of [`HYPER_PARAMETERS`]; take it from [`canonical_path`].
pub fn assign(config: &TrialConfig, path: &str, value: &Value) -> Result<TrialConfig, String> {
    let mut tree = serde_json::to_value(config).expect("a struct of numbers and enums has a JSON form");
    let field = path.split('.').fold(&mut tree, |node, key| &mut node[key]);
    *field = integral(value);
    serde_json::from_value(tree).map_err(|error| error.to_string())
}

/// A float without a fraction is what YAML and samplers give for a count: `64.0` is `64`.
fn integral(value: &Value) -> Value {
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && (0.0..=9e15).contains(&number) => Value::from(number as u64),
        _ => value.clone(),
    }
}

/// Reads the JSON form of a configuration, as a coordinator sends it and a checkpoint keeps it.
///
/// # Errors
/// What is wrong with it; unknown fields are errors.
pub fn parse(json: &str) -> Result<TrialConfig, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn leaves(prefix: &str, value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, child)| {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                leaves(&path, child, out);
            }),
            _ => out.push(prefix.to_owned()),
        }
    }

    #[test]
    fn every_field_has_its_name_in_the_table() {
        let mut fields = Vec::new();
        leaves("", &serde_json::to_value(TrialConfig::default()).unwrap(), &mut fields);
        let named: Vec<_> = HYPER_PARAMETERS.iter().map(|known| known.path.to_owned()).collect();
        assert_eq!(fields, named);
    }

    #[test]
    fn no_name_means_two_things() {
        let mut names: Vec<_> =
            HYPER_PARAMETERS.iter().flat_map(|known| std::iter::once(known.path).chain(known.aliases.iter().copied())).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn aliases_and_misspellings() {
        assert_eq!(canonical_path("recursion_depth"), Ok("l_cycles"));
        assert_eq!(canonical_path("lr"), Ok("train.lr"));
        assert_eq!(canonical_path("hiden_size").unwrap_err().suggestion.as_deref(), Some("hidden_size"));
        assert_eq!(canonical_path("h_cycle").unwrap_err().suggestion.as_deref(), Some("h_cycles"));
        assert_eq!(canonical_path("qqq").unwrap_err().suggestion, None);
    }

    #[test]
    fn assignment_checks_types() {
        let config = TrialConfig::default();
        assert_eq!(assign(&config, "train.lr", &json!(1)).unwrap().train.lr, 1.0);
        assert_eq!(assign(&config, "hidden_size", &json!(64.0)).unwrap().hidden_size, 64);
        assert!(assign(&config, "hidden_size", &json!("wide")).unwrap_err().contains("invalid type"));
        assert!(assign(&config, "hidden_size", &json!(64.5)).is_err());
        assert!(assign(&config, "variant", &json!("conv")).unwrap_err().contains("expected `mlp` or `att`"));
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(parse(r#"{"hiden_size": 3}"#).unwrap_err().contains("hiden_size"));
    }
}
