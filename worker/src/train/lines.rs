//! What a training run says to people, a line at a time.

use tinysweep_proto::config::Precision;

use super::Task;
use crate::kernels::Bf16Unit;

/// At its beginning: what is trained, with so many parameters, and from which step.
pub(super) fn beginning(task: &Task, parameters: usize, first: usize) -> String {
    let Task { config, seed, train, test, device } = task;
    let start = if first == 0 { String::new() } else { format!("goes on from step {first}: ") };
    format!(
        "{start}{parameters} parameters on {}, {}, with seed {seed}, {} steps of {} puzzles; {}: {} training and {} test puzzles",
        if device.is_cpu() { "a CPU" } else { "a GPU" },
        products(config.products(), device.is_cpu()),
        config.train.steps,
        config.train.batch_size,
        train.task.name(),
        train.len(),
        test.len(),
    )
}

/// What products are computed in, and where there is a choice by what.
fn products(precision: Precision, is_cpu: bool) -> String {
    let by = if is_cpu { format!(" ({})", Bf16Unit::in_use().title()) } else { String::new() };
    match precision {
        Precision::Auto | Precision::F32 => "in f32".into(),
        Precision::Mixed => format!("in bf16{by}, with gradient in f32"),
        Precision::Bf16 => format!("in bf16{by}"),
    }
}

/// What the steps since the last such line were like.
pub(super) fn window(step: usize, metrics: &[(String, f64)]) -> String {
    format!("step {step}: in training {}", figures(metrics))
}

/// What an evaluation of so many test puzzles has found.
pub(super) fn evaluation(step: usize, puzzles: usize, metrics: &[(String, f64)]) -> String {
    format!("step {step}: of {puzzles} test puzzles {}", figures(metrics))
}

/// The few metrics that tell most.
fn figures(metrics: &[(String, f64)]) -> String {
    let shown = metrics.iter().filter_map(|(name, value)| {
        let percent = 100.0 * value;
        match name.split_once('/')?.1 {
            "exact_accuracy" => Some(format!("{percent:.1} % right")),
            "token_accuracy" => Some(format!("{percent:.1} % of the cells")),
            "lm_loss" => Some(format!("loss {value:.4}")),
            pass if pass.starts_with("pass@") => Some(format!("{pass} {percent:.1} %")),
            _ => None,
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_show_what_tells_most() {
        let metrics = [("subset/exact_accuracy", 0.5), ("subset/lm_loss", 0.25), ("subset/q_halt_loss", 0.1), ("subset/pass@2", 0.125)];
        let metrics = metrics.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(evaluation(30, 4, &metrics), "step 30: of 4 test puzzles 50.0 % right, loss 0.2500, pass@2 12.5 %");
        assert_eq!(window(30, &metrics[1..2]), "step 30: in training loss 0.2500");
    }
}
