//! What the names and shapes of tensors tell about the model that they are of.

use std::collections::{BTreeSet, HashMap};

use candle_core::Tensor;
use serde_json::json;
use tinysweep_proto::{
    config::{TrialConfig, inner_size},
    dataset::Task,
};

use super::settings::Setting;

/// The settings that `tensors` decide, as far as they are there.
pub fn settings(tensors: &HashMap<String, Tensor>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let width = size(tensors, "embed_tokens.embedding_weight", 1);
    settings.extend(width.map(|width| ("hidden_size", json!(width))));
    settings.extend(structure(tensors));
    let mixes_by_mlp = tensors.contains_key(MIXER);
    settings.push(("variant", json!(if mixes_by_mlp { "mlp" } else { "att" })));
    settings.push(("puzzle_emb_ndim", json!(size(tensors, PUZZLE_TABLE, 1).unwrap_or(0))));
    if tensors.contains_key(POSITIONS) {
        settings.push(("pos_encodings", json!("learned")));
    }
    settings.extend(rounding(tensors));
    settings
}

/// Networks, their layers and the states, by the names alone.
fn structure(tensors: &HashMap<String, Tensor>) -> Vec<Setting> {
    let layers = |level: &str| {
        let number = |name: &String| name.strip_prefix(level)?.strip_prefix(".layers.")?.split('.').next()?.parse::<usize>().ok();
        tensors.keys().filter_map(number).collect::<BTreeSet<_>>().len()
    };
    let (latent, answer) = (layers("L_level"), layers("H_level"));
    let mut settings = vec![("layers", json!(if latent > 0 { latent } else { answer }))];
    match (latent, answer) {
        (0, 1..) => settings.push(("states", json!("direct"))),
        (1.., 1..) => settings.extend([("networks", json!("separate")), ("h_layers", json!(answer))]),
        _ => {}
    }
    let latents = (1..).take_while(|number| tensors.contains_key(&format!("L{number}_init"))).count();
    if latent > 0 && latents > 1 {
        settings.push(("latents", json!(latents)));
    } else if latent > 0 && !tensors.contains_key("H_init") {
        settings.push(("states", json!("single")));
    }
    settings
}

/// The puzzle table.
pub const PUZZLE_TABLE: &str = "puzzle_emb.weights";
/// Learned positions.
const POSITIONS: &str = "embed_pos.embedding_weight";
/// What mixes positions where attention does not.
const MIXER: &str = "L_level.layers.0.mlp_t.gate_up_proj.weight";

/// What gives the inner widths: nothing if it is the published expansion with its rounding, else that with another rounding, else an
/// expansion without.
fn rounding(tensors: &HashMap<String, Tensor>) -> Vec<Setting> {
    let inner = |mixer: &str| {
        let [latent, answer] = ["L", "H"].map(|level| format!("{level}_level.layers.0.{mixer}.down_proj.weight"));
        let dims = tensors.get(&latent).or_else(|| tensors.get(&answer))?.dims();
        if let [outer, inner] = *dims { Some((outer, inner)) } else { None }
    };
    let widths: Vec<(usize, usize)> = ["mlp", "mlp_t"].into_iter().filter_map(inner).filter(|(outer, _)| *outer > 0).collect();
    let gives = |config: &TrialConfig| widths.iter().all(|(outer, inner)| inner_size(config, *outer) == *inner);
    let published = TrialConfig::default();
    let mut multiples =
        std::iter::successors(Some(published.inner_multiple), |multiple| Some(multiple / 2)).take_while(|multiple| *multiple > 0);
    match multiples.find(|multiple| gives(&TrialConfig { inner_multiple: *multiple, ..published.clone() })) {
        Some(multiple) if multiple == published.inner_multiple => Vec::new(),
        Some(multiple) => vec![("inner_multiple", json!(multiple))],
        None => widths.first().map_or_else(Vec::new, |(outer, inner)| {
            vec![("expansion", json!(*inner as f64 * 1.5 / *outer as f64)), ("inner_multiple", json!(1))]
        }),
    }
}

fn size(tensors: &HashMap<String, Tensor>, name: &str, axis: usize) -> Option<usize> {
    tensors.get(name)?.dims().get(axis).copied()
}

/// Rows of the puzzle table, where there is one.
pub fn table_rows(tensors: &HashMap<String, Tensor>) -> Option<usize> {
    size(tensors, PUZZLE_TABLE, 0)
}

/// Whether there is any block of a network.
pub fn has_network(tensors: &HashMap<String, Tensor>) -> bool {
    tensors.keys().any(|name| name.starts_with("L_level.layers.") || name.starts_with("H_level.layers."))
}

/// Positions of the model, prefix included, where a tensor tells.
pub fn positions(tensors: &HashMap<String, Tensor>) -> Option<usize> {
    size(tensors, MIXER, 1).or_else(|| size(tensors, POSITIONS, 0))
}

/// The task of this vocabulary and, where a tensor tells it, this length.
///
/// # Errors
/// Which tasks it could be, if it is not one alone.
pub fn task(tensors: &HashMap<String, Tensor>, prefix: usize) -> Result<Task, String> {
    let vocabulary = size(tensors, "lm_head.weight", 0).ok_or("tensor `lm_head.weight` is missing, which tells the vocabulary")?;
    let fits =
        |task: &Task| task.vocab_size() == vocabulary && positions(tensors).is_none_or(|positions| positions == prefix + task.seq_len());
    let tasks: Vec<_> = Task::ALL.into_iter().filter(fits).collect();
    match tasks.as_slice() {
        [task] => Ok(*task),
        [] => {
            let length =
                positions(tensors).map_or_else(String::new, |positions| format!(" and {positions} positions, {prefix} of them prefix"));
            Err(format!("no task has a vocabulary of {vocabulary} tokens{length}; if the prefix has another length, say puzzle_emb_len"))
        }
        several => {
            let names: Vec<_> = several.iter().map(|task| task.name()).collect();
            Err(format!("a vocabulary of {vocabulary} tokens is that of {}; say which task it is", names.join(" and ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use tinysweep_proto::config::{Networks, PosEncodings, States, Variant};

    use super::*;
    use crate::{
        model::{Model, Parameters},
        random::{Stream, generator},
    };

    fn tensors(shapes: &[(&str, &[usize])]) -> HashMap<String, Tensor> {
        shapes.iter().map(|(name, shape)| ((*name).to_owned(), Tensor::zeros(*shape, DType::F32, &Device::Cpu).unwrap())).collect()
    }

    #[test]
    fn inner_widths_are_found_whatever_their_rounding() {
        let of = |inner| {
            let tensors = tensors(&[("L_level.layers.0.mlp.down_proj.weight", &[64, inner])]);
            let config = super::super::settings::apply(TrialConfig::default(), &settings(&tensors)).unwrap();
            (config.inner_multiple, inner_size(&config, 64))
        };
        assert_eq!(of(256), (256, 256));
        assert_eq!(of(176), (16, 176));
        assert_eq!(of(171), (1, 171));
        assert_eq!(of(17), (1, 17));
    }

    #[test]
    fn each_kind_of_model_is_known_by_its_tensors() {
        let small =
            TrialConfig { hidden_size: 16, num_heads: 2, layers: 1, inner_multiple: 8, puzzle_emb_len: 2, ..TrialConfig::default() };
        let shape = Task::Sudoku4x4.shape(1);
        for config in [
            TrialConfig { variant: Variant::Mlp, ..small.clone() },
            TrialConfig { variant: Variant::Att, puzzle_emb_ndim: Some(0), ..small.clone() },
            TrialConfig { pos_encodings: Some(PosEncodings::Learned), layers: 3, ..small.clone() },
            TrialConfig { states: States::Single, ..small.clone() },
            TrialConfig { latents: 3, ..small.clone() },
            TrialConfig { networks: Networks::Separate, h_layers: Some(2), ..small.clone() },
            TrialConfig { states: States::Direct, variant: Variant::Att, layers: 2, ..small },
        ] {
            let model = Model::init(&config, shape, &mut generator(1, Stream::Weights)).unwrap();
            let tensors: HashMap<_, _> =
                model.parameters().entries().iter().map(|entry| (entry.name.clone(), entry.var.as_tensor().clone())).collect();
            let mut settings = settings(&tensors);
            settings.extend([("puzzle_emb_len", json!(2)), ("num_heads", json!(2))]);
            let found = super::super::settings::apply(TrialConfig::default(), &settings).unwrap();
            assert_eq!((found.states, found.latents, found.networks), (config.states, config.latents, config.networks));
            let names = |parameters: &Parameters| parameters.entries().iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
            let read = Parameters::from_tensors(&found, &shape, tensors).unwrap();
            assert_eq!(names(&read), names(model.parameters()));
        }
    }

    #[test]
    fn the_task_follows_from_vocabulary_and_length() {
        let head = |tokens| tensors(&[("lm_head.weight", &[tokens, 4])]);
        assert_eq!(task(&head(8), 16), Ok(Task::Sudoku6x6));
        assert!(task(&head(99), 16).unwrap_err().starts_with("no task has a vocabulary of 99 tokens;"));
        assert!(task(&HashMap::new(), 16).unwrap_err().contains("`lm_head.weight` is missing"));
        let mixer = |positions| tensors(&[("lm_head.weight", &[8, 4]), (MIXER, &[2, positions])]);
        assert_eq!(task(&mixer(52), 16), Ok(Task::Sudoku6x6));
        assert!(task(&mixer(52), 0).unwrap_err().contains("8 tokens and 52 positions, 0 of them prefix"));
    }
}
