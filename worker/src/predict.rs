//! One puzzle answered: what the model says after each supervision step, and whether it thinks that it is done.

use crate::{
    carry::Halting,
    kernels::slices,
    loss::{most_likely, sigmoid},
    model::{Gradient, Model},
};

/// What a model says after one supervision step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepAnswer {
    /// The most likely token of each position, `[seq_len]`.
    pub tokens: Vec<u32>,
    /// `sigmoid(q_halt)`: how likely the model thinks this answer to be right.
    pub halt_probability: f32,
    /// Whether it would halt here in training, where that is its own choice.
    pub wants_to_halt: bool,
}

/// Why a puzzle cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// It is of another length than the model was made for.
    #[error("the puzzle has {found} tokens, but the model reads {expected}")]
    Length {
        /// Tokens of the puzzle.
        found: usize,
        /// Tokens that the model reads.
        expected: usize,
    },
    /// It is of another alphabet.
    #[error("the puzzle has token {token}, but the model knows those below {vocabulary}")]
    Vocabulary {
        /// The first such token.
        token: u32,
        /// Tokens that the model knows.
        vocabulary: usize,
    },
    /// The puzzle table has no such row.
    #[error("the puzzle table has no row {identifier}; it has {rows}, from 0")]
    Identifier {
        /// The row that was asked for.
        identifier: u32,
        /// Rows that there are.
        rows: usize,
    },
    /// An operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Answers the puzzle `tokens` (`[seq_len]`), row `identifier` of the puzzle table, with `steps` supervision steps, whether it wants to
/// halt or not. More than `halt_max_steps` is more than it was trained for.
///
/// # Errors
/// When the tokens are not as many as a puzzle has, or one is outside the vocabulary, or there is no such row.
pub fn predict(model: &Model, tokens: &[u32], identifier: u32, steps: usize) -> Result<Vec<StepAnswer>, PredictError> {
    let shape = model.shape();
    if tokens.len() != shape.seq_len {
        return Err(PredictError::Length { found: tokens.len(), expected: shape.seq_len });
    }
    if let Some(&token) = tokens.iter().find(|token| **token as usize >= shape.vocab_size) {
        return Err(PredictError::Vocabulary { token, vocabulary: shape.vocab_size });
    }
    if identifier as usize >= shape.puzzle_identifiers {
        return Err(PredictError::Identifier { identifier, rows: shape.puzzle_identifiers });
    }
    let halting = Halting::of(model.config());
    let input = model.input(tokens, &[identifier])?;
    let mut latents = model.initial_latents(1)?;
    let mut answers = Vec::new();
    for _ in 0..steps {
        let output = model.forward(&input, &latents, Gradient::None)?;
        let tokens = slices::read(&output.logits, |logits| logits.chunks(shape.vocab_size).map(|row| most_likely(row) as u32).collect())?;
        let (halt, go_on) = slices::read(&output.q, |q| (q[0], q[1]))?;
        answers.push(StepAnswer { tokens, halt_probability: sigmoid(halt), wants_to_halt: halting.wants_to_halt(halt, go_on) });
        latents = output.latents;
    }
    Ok(answers)
}

/// The step, from 1, at which a model with these answers halts if it may: the first one after which it wants to, else the last that it
/// was trained for.
pub fn halts_at(answers: &[StepAnswer], halt_max_steps: usize) -> usize {
    let wanted = answers.iter().take(halt_max_steps).position(|answer| answer.wants_to_halt);
    wanted.map_or(halt_max_steps, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::{config::TrialConfig, dataset::Task};

    use super::*;
    use crate::{
        data::{
            Examples,
            sudoku::{Givens, generate},
        },
        eval::{Settings, evaluate},
        random::{Stream, generator},
    };

    fn model() -> Model {
        let config = TrialConfig { hidden_size: 16, layers: 1, inner_multiple: 8, halt_max_steps: 3, ..TrialConfig::default() };
        Model::init(&config, Task::Sudoku4x4.shape(1), &mut generator(5, Stream::Weights)).unwrap()
    }

    #[test]
    fn answers_are_those_that_evaluation_grades() {
        let model = model();
        let (examples, _) = generate(tinysweep_proto::dataset::Sudoku::Grid4x4, 1, 1, Givens::aim(8), 3).unwrap();
        let question: Vec<_> = examples.question(0).iter().map(|token| u32::from(*token)).collect();
        let answers = predict(&model, &question, 0, 5).unwrap();
        assert!(answers.iter().all(|answer| (answer.halt_probability - 0.006_692_85).abs() < 1e-6 && !answer.wants_to_halt));
        let settings = Settings { batch_size: 1, steps: 5, result_step: 5 };
        let graded: Vec<f64> = evaluate(&model, &examples, &examples.items().collect::<Vec<_>>(), settings, |_| true)
            .unwrap()
            .unwrap()
            .by_step
            .iter()
            .map(|score| score.token_accuracy)
            .collect();
        let right = |tokens: &[u32], examples: &Examples| {
            let pairs = tokens.iter().zip(examples.answer(0));
            pairs.filter(|(found, wanted)| **found == u32::from(**wanted)).count() as f64 / 16.0
        };
        assert_eq!(answers.iter().map(|answer| right(&answer.tokens, &examples)).collect::<Vec<_>>(), graded);
    }

    #[test]
    fn a_model_halts_when_it_wants_to_or_must() {
        let answer = |wants_to_halt| StepAnswer { tokens: Vec::new(), halt_probability: 0.5, wants_to_halt };
        assert_eq!(halts_at(&[answer(false), answer(true), answer(true)], 3), 2);
        assert_eq!(halts_at(&[answer(false), answer(false), answer(false), answer(true)], 3), 3);
        assert_eq!(halts_at(&[], 3), 3);
    }

    #[test]
    fn puzzles_of_other_kinds_are_refused() {
        let model = model();
        for (tokens, identifier, message) in [
            (vec![1; 81], 0, "the puzzle has 81 tokens, but the model reads 16"),
            (vec![6; 16], 0, "the puzzle has token 6, but the model knows those below 6"),
            (vec![1; 16], 1, "the puzzle table has no row 1; it has 1, from 0"),
        ] {
            let error = predict(&model, &tokens, identifier, 1).unwrap_err().to_string();
            assert_eq!(error, message);
        }
    }
}
