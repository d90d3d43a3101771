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
    let layers: BTreeSet<_> =
        tensors.keys().filter_map(|name| name.strip_prefix("L_level.layers.")?.split('.').next()?.parse::<usize>().ok()).collect();
    settings.push(("layers", json!(layers.len())));
    let mixes_by_mlp = tensors.contains_key(MIXER);
    settings.push(("variant", json!(if mixes_by_mlp { "mlp" } else { "att" })));
    settings.push(("puzzle_emb_ndim", json!(size(tensors, PUZZLE_TABLE, 1).unwrap_or(0))));
    if tensors.contains_key(POSITIONS) {
        settings.push(("pos_encodings", json!("learned")));
    }
    if let (Some(width), Some(inner)) = (width, size(tensors, "L_level.layers.0.mlp.down_proj.weight", 1)) {
        settings.extend(expansion(width, inner));
    }
    settings
}

/// The puzzle table.
pub const PUZZLE_TABLE: &str = "puzzle_emb.weights";
/// Learned positions.
const POSITIONS: &str = "embed_pos.embedding_weight";
/// What mixes positions where attention does not.
const MIXER: &str = "L_level.layers.0.mlp_t.gate_up_proj.weight";

/// Nothing where the published expansion and rounding give this inner width, else what gives it without rounding.
fn expansion(width: usize, inner: usize) -> Vec<Setting> {
    if width == 0 || inner_size(&TrialConfig::default(), width) == inner {
        return Vec::new();
    }
    vec![("expansion", json!(inner as f64 * 1.5 / width as f64)), ("inner_multiple", json!(1))]
}

fn size(tensors: &HashMap<String, Tensor>, name: &str, axis: usize) -> Option<usize> {
    tensors.get(name)?.dims().get(axis).copied()
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
    let fits = |task: &Task| {
        let shape = task.shape();
        shape.vocab_size == vocabulary && positions(tensors).is_none_or(|positions| positions == prefix + shape.seq_len)
    };
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

    use super::*;

    fn tensors(shapes: &[(&str, &[usize])]) -> HashMap<String, Tensor> {
        shapes.iter().map(|(name, shape)| ((*name).to_owned(), Tensor::zeros(*shape, DType::F32, &Device::Cpu).unwrap())).collect()
    }

    #[test]
    fn widths_that_were_not_rounded_are_found() {
        let of = |inner| {
            let shapes: [(&str, &[usize]); 2] =
                [("embed_tokens.embedding_weight", &[11, 64]), ("L_level.layers.0.mlp.down_proj.weight", &[64, inner])];
            let config = super::super::settings::apply(TrialConfig::default(), &settings(&tensors(&shapes))).unwrap();
            (config.inner_multiple, inner_size(&config, 64))
        };
        assert_eq!(of(256), (256, 256));
        assert_eq!(of(171), (1, 171));
        assert_eq!(of(17), (1, 17));
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
