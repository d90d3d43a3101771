//! Losses and scores of one batch, with their gradients, computed on the numbers themselves.
//!
//! A graph over `[batch, seq_len, vocabulary]` in f64 would cost more than the whole loop here. [`surrogate`] hands the gradients to
//! backpropagation.

use candle_core::{Result, Tensor, bail};
use tinysweep_proto::config::Loss;

#[cfg(feature = "cuda")]
use crate::kernels;
use crate::{kernels::slices, model::Output};

/// What is added to a negative logit's denominator, as in the reference.
const STABLEMAX_EPS: f64 = 1e-30;
/// What the halting losses weigh against the loss over tokens.
const Q_WEIGHT: f64 = 0.5;

/// The answer that a position asks for; none where it is not asked.
pub type Label = Option<u32>;

/// How one example of a batch did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean loss of the positions that are asked.
    pub lm_loss: f64,
    /// Binary cross entropy of the halting head against whether the answer is right.
    pub q_halt_loss: f64,
    /// Binary cross entropy of `q_continue` against its target; 0 where it is not trained.
    pub q_continue_loss: f64,
    /// Positions that are asked.
    pub asked: usize,
    /// Of those, the ones whose most likely token is the answer.
    pub right: usize,
    /// The halting head's logit; above 0 it wants to halt.
    pub q_halt: f32,
    /// The other logit: whether it wants to go on.
    pub q_continue: f32,
}

impl Score {
    /// Share of right positions.
    pub fn token_accuracy(&self) -> f64 {
        self.right as f64 / self.asked.max(1) as f64
    }

    /// Whether every position that is asked is right.
    pub fn is_exact(&self) -> bool {
        self.right == self.asked
    }

    /// Whether the halting head knows if the answer is right.
    pub fn q_is_right(&self) -> bool {
        (self.q_halt >= 0.0) == self.is_exact()
    }

    /// What training minimises.
    pub fn loss(&self) -> f64 {
        self.lm_loss + Q_WEIGHT * (self.q_halt_loss + self.q_continue_loss)
    }
}

/// What a batch has earned.
#[derive(Clone, Debug)]
pub enum Graded {
    /// In the machine's memory.
    Here(Marks),
    /// On a GPU, which may not have computed it yet.
    #[cfg(feature = "cuda")]
    OnGpu(kernels::loss::Marks),
}

/// Scores of a batch, and the gradients of the sum of their losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Marks {
    /// One per example.
    pub scores: Vec<Score>,
    /// By logit, `[batch, seq_len, vocabulary]`.
    pub by_logits: Vec<f32>,
    /// By the two outputs of the halting head, `[batch, 2]`; by the second all are 0 until [`grade_continue`].
    pub by_q: Vec<f32>,
}

impl Graded {
    /// The score of each example. Waits for a GPU.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn scores(&self) -> Result<Vec<Score>> {
        match self {
            Self::Here(marks) => Ok(marks.scores.clone()),
            #[cfg(feature = "cuda")]
            Self::OnGpu(marks) => scores_of(&marks.scores),
        }
    }

    /// The numbers of the scores, where a GPU has them.
    ///
    /// # Errors
    /// When none has.
    #[cfg(feature = "cuda")]
    pub fn numbers(&self) -> Result<&Tensor> {
        match self {
            Self::Here(_) => bail!("the scores are not on a GPU"),
            Self::OnGpu(marks) => Ok(&marks.scores),
        }
    }
}

/// Grades `output` against `labels` (`[batch, seq_len]` in row order).
///
/// # Errors
/// When the output cannot be read, or a label is outside the vocabulary.
pub fn grade(loss: Loss, output: &Output, labels: &[Label]) -> Result<Graded> {
    let vocabulary = output.logits.dims3()?.2;
    if let Some(label) = labels.iter().flatten().find(|label| **label as usize >= vocabulary) {
        bail!("label {label} is outside the vocabulary of {vocabulary}");
    }
    #[cfg(feature = "cuda")]
    if kernels::is_fused(&output.logits) && output.logits.device().is_cuda() {
        let (batch, seq_len, _) = output.logits.dims3()?;
        let labels = Tensor::from_vec(numbers(labels), (batch, seq_len), output.logits.device())?;
        return grade_on_gpu(loss, output, &labels);
    }
    let marks = slices::read(&output.logits, |logits| slices::read(&output.q, |q| grade_values(loss, logits, q, labels, vocabulary)))??;
    Ok(Graded::Here(marks))
}

/// The labels as a GPU reads them, where `u32::MAX` asks for nothing.
#[cfg(feature = "cuda")]
pub fn numbers(labels: &[Label]) -> Vec<u32> {
    labels.iter().map(|label| label.unwrap_or(u32::MAX)).collect()
}

/// The same for labels on a GPU, which are below the vocabulary: see [`numbers`].
///
/// # Errors
/// When shapes do not fit.
#[cfg(feature = "cuda")]
pub fn grade_on_gpu(loss: Loss, output: &Output, labels: &Tensor) -> Result<Graded> {
    kernels::loss::grade(loss == Loss::Stablemax, &output.logits, &output.q, labels).map(Graded::OnGpu)
}

/// Scores from the numbers of a GPU.
///
/// # Errors
/// When they cannot be read.
#[cfg(feature = "cuda")]
pub fn scores_of(numbers: &Tensor) -> Result<Vec<Score>> {
    let score = |numbers: &[f64; kernels::loss::NUMBERS]| {
        let [lm_loss, q_halt_loss, q_continue_loss, asked, right, q_halt, q_continue] = *numbers;
        let (asked, right, q_halt, q_continue) = (asked as usize, right as usize, q_halt as f32, q_continue as f32);
        Score { lm_loss, q_halt_loss, q_continue_loss, asked, right, q_halt, q_continue }
    };
    Ok(numbers.flatten_all()?.to_vec1::<f64>()?.as_chunks().0.iter().map(score).collect())
}

fn grade_values(loss: Loss, logits: &[f32], q: &[f32], labels: &[Label], vocabulary: usize) -> Marks {
    let batch = q.len() / 2;
    let mut graded = Marks { scores: Vec::with_capacity(batch), by_logits: vec![0.0; logits.len()], by_q: vec![0.0; q.len()] };
    let seq_len = labels.len() / batch;
    let rows = logits.chunks_exact(seq_len * vocabulary).zip(graded.by_logits.chunks_exact_mut(seq_len * vocabulary));
    for (((logits, by_logits), labels), (q, by_q)) in
        rows.zip(labels.chunks_exact(seq_len)).zip(q.chunks_exact(2).zip(graded.by_q.chunks_exact_mut(2)))
    {
        let mut score = grade_tokens(loss, logits, labels, vocabulary, by_logits);
        (score.q_halt, score.q_continue) = (q[0], q[1]);
        let target = f32::from(score.is_exact());
        score.q_halt_loss = f64::from(binary_cross_entropy(q[0], target));
        by_q[0] = Q_WEIGHT as f32 * (sigmoid(q[0]) - target);
        graded.scores.push(score);
    }
    graded
}

/// Grades the tokens of one example; `by_logits` must come in as zeros.
fn grade_tokens(loss: Loss, logits: &[f32], labels: &[Label], vocabulary: usize, by_logits: &mut [f32]) -> Score {
    let asked = labels.iter().flatten().count();
    let share = 1.0 / asked.max(1) as f64;
    let mut score = Score { lm_loss: 0.0, q_halt_loss: 0.0, q_continue_loss: 0.0, asked, right: 0, q_halt: 0.0, q_continue: 0.0 };
    for ((logits, by_logits), label) in logits.chunks_exact(vocabulary).zip(by_logits.chunks_exact_mut(vocabulary)).zip(labels) {
        let Some(label) = *label else { continue };
        let label = label as usize;
        score.right += usize::from(most_likely(logits) == label);
        score.lm_loss += share
            * match loss {
                Loss::Stablemax => stablemax(logits, label, share, by_logits),
                Loss::Softmax => softmax(logits, label, share, by_logits),
            };
    }
    score
}

/// Adds the loss of `q_continue`: what one more supervision step expects of halting then or going on, whichever is more, and of halting
/// where that step must be the last (arXiv 2506.21734, section 2.4). `next_q` is `[batch, 2]`, as that step gives it; `is_last` says of
/// each example whether it must end with the step that was graded.
///
/// # Errors
/// When `next_q` cannot be read.
pub fn grade_continue(graded: &mut Graded, next_q: &Tensor, is_last: &[bool]) -> Result<()> {
    match graded {
        Graded::Here(marks) => slices::read(next_q, |next_q| grade_continue_values(marks, next_q, is_last)),
        #[cfg(feature = "cuda")]
        Graded::OnGpu(marks) => {
            let is_last: Vec<u32> = is_last.iter().copied().map(u32::from).collect();
            kernels::loss::grade_continue(marks, next_q, &Tensor::from_vec(is_last, next_q.dim(0)?, next_q.device())?)
        }
    }
}

/// The same with words on a GPU, 1 where an example must end.
///
/// # Errors
/// When shapes do not fit.
#[cfg(feature = "cuda")]
pub fn grade_continue_on_gpu(graded: &Graded, next_q: &Tensor, is_last: &Tensor) -> Result<()> {
    match graded {
        Graded::Here(_) => bail!("the scores are not on a GPU"),
        Graded::OnGpu(marks) => kernels::loss::grade_continue(marks, next_q, is_last),
    }
}

fn grade_continue_values(marks: &mut Marks, next_q: &[f32], is_last: &[bool]) {
    let rows = marks.scores.iter_mut().zip(marks.by_q.chunks_exact_mut(2));
    for (((score, by_q), next_q), is_last) in rows.zip(next_q.chunks_exact(2)).zip(is_last) {
        let target = sigmoid(if *is_last { next_q[0] } else { next_q[0].max(next_q[1]) });
        score.q_continue_loss = f64::from(binary_cross_entropy(score.q_continue, target));
        by_q[1] = Q_WEIGHT as f32 * (sigmoid(score.q_continue) - target);
    }
}

/// The first of the largest logits.
pub fn most_likely(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, index| if logits[index] > logits[best] { index } else { best })
}

/// `−log(s(x_label) / Σ s(x))` with `s(x) = x+1` for `x ≥ 0`, else `1/(1−x)`, in f64 (arXiv 2501.04697). Writes its gradient, times `weight`.
fn stablemax(logits: &[f32], label: usize, weight: f64, gradient: &mut [f32]) -> f64 {
    let value = |x: f64| if x < 0.0 { 1.0 / (1.0 - x + STABLEMAX_EPS) } else { x + 1.0 };
    let slope = |x: f64| if x < 0.0 { value(x) * value(x) } else { 1.0 };
    let sum: f64 = logits.iter().map(|&x| value(f64::from(x))).sum();
    for (gradient, &x) in gradient.iter_mut().zip(logits) {
        *gradient = (weight * slope(f64::from(x)) / sum) as f32;
    }
    let x = f64::from(logits[label]);
    gradient[label] = (weight * (slope(x) / sum - slope(x) / value(x))) as f32;
    -(value(x) / sum).ln()
}

/// The usual cross entropy, of f32 logits. Writes its gradient, times `weight`.
fn softmax(logits: &[f32], label: usize, weight: f64, gradient: &mut [f32]) -> f64 {
    let largest = f64::from(logits[most_likely(logits)]);
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
    for (index, (gradient, &x)) in gradient.iter_mut().zip(logits).enumerate() {
        let probability = (f64::from(x) - largest).exp() / sum;
        *gradient = (weight * (probability - f64::from(u8::from(index == label)))) as f32;
    }
    sum.ln() + largest - f64::from(logits[label])
}

/// Binary cross entropy of the logit `x` against `target`, without overflow for any `x`.
fn binary_cross_entropy(x: f32, target: f32) -> f32 {
    x.max(0.0) - x * target + (-x.abs()).exp().ln_1p()
}

pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// A scalar whose gradient is that of the sum of losses times `scale`. Its value means nothing.
///
/// # Errors
/// When shapes do not fit.
pub fn surrogate(output: &Output, graded: &Graded, scale: f64) -> Result<Tensor> {
    let weighted = |tensor: &Tensor, gradient: &Tensor| (tensor * (gradient * scale)?)?.sum_all();
    match graded {
        Graded::Here(marks) => {
            let gradient = |values: &[f32], like: &Tensor| Tensor::from_slice(values, like.shape(), like.device());
            weighted(&output.logits, &gradient(&marks.by_logits, &output.logits)?)?
                + weighted(&output.q, &gradient(&marks.by_q, &output.q)?)?
        }
        #[cfg(feature = "cuda")]
        Graded::OnGpu(marks) => weighted(&output.logits, &marks.by_logits)? + weighted(&output.q, &marks.by_q)?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_gradient(loss: Loss) {
        let logits = [1.0, -1.5, 0.25, 2.0, -0.5, 0.75, 0.5, -3.0, 1.25];
        let labels = [Some(2), None, Some(1)];
        let q = [0.3, 0.0];
        let graded = grade_values(loss, &logits, &q, &labels, 3);
        let total = |logits: &[f32], q: &[f32]| grade_values(loss, logits, q, &labels, 3).scores[0].loss();
        for index in 0..logits.len() {
            let step = 1.0 / 1024.0;
            let moved = |by: f32| {
                let mut logits = logits;
                logits[index] += by;
                total(&logits, &q)
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            assert!((slope - f64::from(graded.by_logits[index])).abs() < 1e-5, "logit {index}: {slope}");
        }
        let slope = (total(&logits, &[0.3 + 0.01, 0.0]) - total(&logits, &[0.3 - 0.01, 0.0])) / 0.02;
        assert!((slope - f64::from(graded.by_q[0])).abs() < 1e-4);
        assert_eq!(graded.by_q[1], 0.0);
    }

    #[test]
    fn gradients_agree_with_differences() {
        check_gradient(Loss::Stablemax);
        check_gradient(Loss::Softmax);
    }

    #[test]
    fn stablemax_golden() {
        for (label, probability) in [(0, 0.571_428_571), (1, 0.142_857_143), (2, 0.285_714_286)] {
            let loss = stablemax(&[1.0, -1.0, 0.0], label, 1.0, &mut [0.0; 3]);
            assert!(((-loss).exp() - probability).abs() < 1e-9);
        }
    }

    #[test]
    fn a_fresh_halting_head_pays_little() {
        assert!((binary_cross_entropy(-5.0, 0.0) - 0.006_715).abs() < 1e-6);
        assert!(binary_cross_entropy(1e4, 0.0).is_finite());
    }

    #[test]
    fn an_example_that_asks_nothing_counts_as_right() {
        let graded = grade_values(Loss::Stablemax, &[1.0, 2.0], &[-5.0, 0.0], &[None], 2);
        let score = graded.scores[0];
        assert!(score.is_exact() && score.lm_loss == 0.0 && !score.q_is_right());
        assert_eq!(graded.by_logits, [0.0, 0.0]);
    }

    #[test]
    fn going_on_is_graded_by_what_the_next_step_expects() {
        let labels = [Some(0), Some(0)];
        let start = grade_values(Loss::Stablemax, &[1.0, 0.0, 1.0, 0.0], &[0.0, 0.5, 0.0, -1.0], &labels, 2);
        let graded = |go_on: f32| {
            let mut marks = start.clone();
            marks.scores[0].q_continue = go_on;
            grade_continue_values(&mut marks, &[-1.0, 2.0, -1.0, 2.0], &[false, true]);
            marks
        };
        let loss = |target: f64, x: f64| -target * (1.0 / (1.0 + (-x).exp())).ln() - (1.0 - target) * (1.0 / (1.0 + x.exp())).ln();
        let scores = graded(0.5).scores;
        assert!((scores[0].q_continue_loss - loss(0.880_797, 0.5)).abs() < 1e-5, "the larger of both: sigmoid(2)");
        assert!((scores[1].q_continue_loss - loss(0.268_941, -1.0)).abs() < 1e-5, "the last halts: sigmoid(-1)");
        let slope = (graded(0.51).scores[0].loss() - graded(0.49).scores[0].loss()) / 0.02;
        assert!((slope - f64::from(graded(0.5).by_q[1])).abs() < 1e-4);
        assert_eq!(start.by_q[1], 0.0);
    }
}
