//! What values a configuration may have.

use super::{GradientSpan, HaltRule, LrSchedule, Networks, PosEncodings, States, TrialConfig, Variant};

/// A value out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ConfigError {
    /// The canonical path of the value.
    pub path: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The most that a size may be: beyond any model of this family, and small enough that products of three fit in 64 bits.
const SIZE_LIMIT: usize = 1 << 20;

/// Everything that is wrong with `config`.
pub fn check(config: &TrialConfig) -> Vec<ConfigError> {
    let mut errors = check_ranges(config);
    check_structure(config, &mut errors);
    check_meaning(config, &mut errors);
    errors
}

/// What is out of range in `config`, whatever the other fields say.
pub fn check_ranges(config: &TrialConfig) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    check_counts(config, &mut errors);
    check_rates(config, &mut errors);
    errors
}

fn check_counts(config: &TrialConfig, errors: &mut Vec<ConfigError>) {
    let counts = [
        ("hidden_size", config.hidden_size, 1, SIZE_LIMIT),
        ("num_heads", config.num_heads, 1, SIZE_LIMIT),
        ("head_width", config.head_width.unwrap_or(1), 1, SIZE_LIMIT),
        ("layers", config.layers, 1, 1000),
        ("h_layers", config.h_layers.unwrap_or(1), 1, 1000),
        ("latents", config.latents, 1, 1000),
        ("h_cycles", config.h_cycles, 1, 1000),
        ("l_cycles", config.l_cycles, 1, 1000),
        ("halt_max_steps", config.halt_max_steps, 1, 10_000),
        ("inner_multiple", config.inner_multiple, 1, SIZE_LIMIT),
        ("puzzle_emb_len", config.puzzle_emb_len, 0, 10_000),
        ("puzzle_emb_ndim", config.puzzle_width(), 0, SIZE_LIMIT),
        ("train.steps", config.train.steps, 1, 1_000_000_000),
        ("train.batch_size", config.train.batch_size, 1, SIZE_LIMIT),
        ("train.warmup_steps", config.train.warmup_steps, 0, 1_000_000_000),
        ("evaluation.examples", config.evaluation.examples, 1, 1_000_000_000),
        ("evaluation.steps", config.evaluation.steps.unwrap_or(1), 1, 10_000),
        ("evaluation.batch_size", config.evaluation.batch_size, 1, SIZE_LIMIT),
    ];
    for (path, value, least, most) in counts {
        if !(least..=most).contains(&value) {
            errors.push(ConfigError { path, message: format!("is {value}; it must be from {least} to {most}") });
        }
    }
}

fn check_rates(config: &TrialConfig, errors: &mut Vec<ConfigError>) {
    let train = &config.train;
    let rates = [
        ("halt_exploration_prob", config.halt_exploration_prob, 0.0, 1.0),
        ("expansion", config.expansion, 0.01, 100.0),
        ("rope_theta", config.rope_theta, 1.0, 1e12),
        ("rms_norm_eps", config.rms_norm_eps, 0.0, 1.0),
        ("train.lr", train.lr, 0.0, 10.0),
        ("train.weight_decay", train.weight_decay, 0.0, 1000.0),
        ("train.beta1", train.beta1, 0.0, 0.999_999_9),
        ("train.beta2", train.beta2, 0.0, 0.999_999_9),
        ("train.puzzle_emb_lr", train.puzzle_emb_lr, 0.0, 10.0),
        ("train.puzzle_emb_weight_decay", train.puzzle_emb_weight_decay, 0.0, 1000.0),
        ("train.grad_clip", train.grad_clip, 0.0, 1e12),
        ("train.lr_min_ratio", train.lr_min_ratio, 0.0, 1.0),
        ("train.ema_rate", train.ema_rate, 0.0, 0.999_999_9),
    ];
    for (path, value, least, most) in rates {
        if !(least..=most).contains(&value) {
            errors.push(ConfigError { path, message: format!("is {value}; it must be a number from {least} to {most}") });
        }
    }
}

fn check_structure(config: &TrialConfig, errors: &mut Vec<ConfigError>) {
    let mut refuse = |path, message| errors.push(ConfigError { path, message });
    let (width, heads) = (config.hidden_size, config.num_heads);
    // Rotary positions turn pairs.
    let unit = if config.positions() == PosEncodings::Rope { 2 } else { 1 };
    if config.variant == Variant::Att && config.head_width.is_none() && heads > 0 && width % heads != 0 {
        let (near, alone) = (width.next_multiple_of(heads * unit), (width / heads).max(1).next_multiple_of(unit));
        refuse("hidden_size", format!("is {width}, which num_heads {heads} does not divide; {near} would do, or a head_width of {alone}"));
    } else if config.variant == Variant::Att && !config.head_width().is_multiple_of(unit) {
        let path = if config.head_width.is_some() { "head_width" } else { "num_heads" };
        refuse(path, format!("gives heads {} wide; rotary positions need an even width", config.head_width()));
    }
    if let Some(steps) = config.evaluation.steps.filter(|steps| *steps < config.halt_max_steps) {
        let least = config.halt_max_steps;
        refuse("evaluation.steps", format!("is {steps}; it must be at least halt_max_steps, {least}, after which the result is read"));
    }
    if config.variant == Variant::Mlp && config.pos_encodings == Some(PosEncodings::Rope) {
        refuse("pos_encodings", "rope turns queries and keys, which variant mlp has none of; use none or learned".into());
    }
    if config.puzzle_width() > config.prefix_len() * width {
        let (len, needed) = (config.puzzle_width(), config.puzzle_width().div_ceil(width.max(1)));
        refuse(
            "puzzle_emb_len",
            format!("{} positions of width {width} cannot hold a puzzle vector of {len}; use at least {needed}", config.prefix_len()),
        );
    }
}

/// Refuses what another field has made meaningless: a value that would silently do nothing.
fn check_meaning(config: &TrialConfig, errors: &mut Vec<ConfigError>) {
    let default = TrialConfig::default();
    let mut refuse = |path, message: &str| errors.push(ConfigError { path, message: message.into() });
    if config.variant == Variant::Mlp && config.head_width.is_some() {
        refuse("head_width", "is of attention heads, which variant mlp has none of; leave it out");
    }
    if config.networks == Networks::Shared && config.h_layers.is_some() {
        refuse("h_layers", "is of the answer's own network, which there is with `networks: separate`; leave it out, or use that");
    }
    if config.states != States::Pair && config.latents != default.latents {
        refuse("latents", "are beside an answer, as with `states: pair`; leave it out, or use that");
    }
    if config.states == States::Direct {
        let message = "there is no latent with `states: direct`; leave it out, or use pair or single";
        if config.networks != default.networks {
            refuse("networks", message);
        }
        if config.l_cycles != default.l_cycles {
            refuse("l_cycles", message);
        }
        if config.gradient == GradientSpan::LastCalls {
            refuse("gradient", "a cycle is one call with `states: direct`, so last_cycle is last_calls; leave it out");
        }
    }
    if config.halt_rule == HaltRule::Never
        && config.halt_exploration_prob != 0.0
        && config.halt_exploration_prob != default.halt_exploration_prob
    {
        refuse("halt_exploration_prob", "postpones early halts, which `halt_rule: never` has none of; leave it out, or use another rule");
    }
    if config.train.schedule == LrSchedule::Constant && config.train.lr_min_ratio != default.train.lr_min_ratio {
        refuse("train.lr_min_ratio", "is where a falling rate ends; leave it out, or use schedule cosine or linear");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(config: &TrialConfig) -> Vec<&'static str> {
        check(config).into_iter().map(|error| error.path).collect()
    }

    #[test]
    fn the_published_configuration_is_right() {
        assert_eq!(check(&TrialConfig::default()), vec![]);
    }

    #[test]
    fn each_range_is_kept() {
        let mut config = TrialConfig { hidden_size: 0, h_cycles: 0, ..TrialConfig::default() };
        config.train.lr = f64::NAN;
        config.train.ema_rate = 1.0;
        config.train.weight_decay = -0.1;
        assert_eq!(paths(&config), ["hidden_size", "h_cycles", "train.lr", "train.weight_decay", "train.ema_rate"]);
    }

    #[test]
    fn heads_must_divide_the_width_where_there_are_heads() {
        let att = TrialConfig { variant: Variant::Att, hidden_size: 100, num_heads: 8, ..TrialConfig::default() };
        let refused = |att: &TrialConfig| check(att)[0].to_string();
        assert_eq!(refused(&att), "hidden_size: is 100, which num_heads 8 does not divide; 112 would do, or a head_width of 12");
        let odd = TrialConfig { hidden_size: 30, num_heads: 4, ..att.clone() };
        assert_eq!(refused(&odd), "hidden_size: is 30, which num_heads 4 does not divide; 32 would do, or a head_width of 8");
        let advised = [TrialConfig { hidden_size: 112, ..att.clone() }, TrialConfig { head_width: Some(8), ..odd }];
        assert!(advised.iter().all(|config| check(config).is_empty()), "what is advised is not refused");
        assert_eq!(check(&TrialConfig { variant: Variant::Mlp, ..att }), vec![]);
    }

    #[test]
    fn heads_may_have_a_width_of_their_own() {
        let att = TrialConfig { variant: Variant::Att, num_heads: 12, head_width: Some(42), ..TrialConfig::default() };
        assert_eq!(check(&att), vec![]);
        assert_eq!(check(&TrialConfig { head_width: Some(43), ..att })[0].path, "head_width");
    }

    #[test]
    fn what_another_field_makes_meaningless_is_refused() {
        let refused = |yaml: serde_json::Value| {
            let config: TrialConfig = serde_json::from_value(yaml).unwrap();
            paths(&config)
        };
        assert_eq!(refused(json!({"head_width": 64})), ["head_width"]);
        assert_eq!(refused(json!({"h_layers": 2})), ["h_layers"]);
        assert_eq!(refused(json!({"states": "single", "latents": 2})), ["latents"]);
        assert_eq!(refused(json!({"states": "direct", "networks": "separate", "l_cycles": 2})), ["networks", "l_cycles"]);
        assert_eq!(refused(json!({"states": "direct", "gradient": "last_calls"})), ["gradient"]);
        assert_eq!(refused(json!({"halt_rule": "never", "halt_exploration_prob": 0.2})), ["halt_exploration_prob"]);
        assert_eq!(refused(json!({"train": {"schedule": "constant", "lr_min_ratio": 0.1}})), ["train.lr_min_ratio"]);
    }
}
