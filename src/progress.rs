//! A running sweep, live on standard error: bars in a terminal, lines elsewhere.

use std::{
    collections::HashMap,
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tinysweep_proto::v1::{RunningTrial, Sweep, SweepProgress, SweepState, TrialState};

/// Seconds between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What shows a sweep's progress.
pub enum View {
    /// Bars that move.
    Bars(Bars),
    /// A line now and then.
    Lines(Lines),
}

impl View {
    /// Bars if standard error is a terminal.
    pub fn new() -> Self {
        if std::io::stderr().is_terminal() { Self::Bars(Bars::new()) } else { Self::Lines(Lines::default()) }
    }

    /// Shows the newest state.
    pub fn update(&mut self, progress: &SweepProgress) {
        match self {
            Self::Bars(bars) => bars.update(progress),
            Self::Lines(lines) => lines.update(progress),
        }
    }

    /// Leaves the last state standing.
    pub fn finish(&mut self) {
        if let Self::Bars(bars) = self {
            bars.finish();
        }
    }
}

/// One bar for the sweep, one for each running trial.
pub struct Bars {
    screen: MultiProgress,
    overall: ProgressBar,
    trials: HashMap<(u32, u32), ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let screen = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:.bold} {bar:30.green} {pos}/{len} trials  {elapsed} {msg}");
        let overall = screen.add(ProgressBar::new(0).with_style(style.expect("the template is right: a test draws it")));
        overall.enable_steady_tick(Duration::from_millis(500));
        Self { screen, overall, trials: HashMap::new() }
    }

    fn update(&mut self, progress: &SweepProgress) {
        let Some(sweep) = &progress.sweep else { return };
        self.overall.set_prefix(format!("sweep {} {}", sweep.id, sweep.name));
        self.overall.set_length(total(sweep).into());
        self.overall.set_position(ended(sweep).into());
        self.overall.set_message(overall_message(progress, sweep));
        self.trials.retain(|key, bar| {
            let runs = progress.running.iter().any(|trial| (trial.trial, trial.replicate) == *key);
            if !runs {
                bar.finish_and_clear();
            }
            runs
        });
        for trial in &progress.running {
            let bar = self.trials.entry((trial.trial, trial.replicate)).or_insert_with(|| {
                let style = ProgressStyle::with_template("  {prefix:<44} {bar:20.cyan} {pos}/{len} {msg}");
                self.screen.add(ProgressBar::new(0).with_style(style.expect("the template is right: a test draws it")))
            });
            bar.set_prefix(trial_name(trial));
            // A program does not say how many there will be.
            bar.set_length(trial.total_steps.max(trial.step));
            bar.set_position(trial.step);
            bar.set_message(trial_message(trial));
        }
    }

    fn finish(&mut self) {
        self.trials.drain().for_each(|(_, bar)| bar.finish_and_clear());
        self.overall.finish();
    }
}

/// Lines for logs: at every trial that ends, and every ten seconds.
#[derive(Default)]
pub struct Lines {
    started: Option<Instant>,
    last_line: Option<Instant>,
    last_ended: u32,
}

impl Lines {
    fn update(&mut self, progress: &SweepProgress) {
        let Some(sweep) = &progress.sweep else { return };
        let started = *self.started.get_or_insert_with(Instant::now);
        let is_due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        if !is_due && ended(sweep) == self.last_ended {
            return;
        }
        (self.last_line, self.last_ended) = (Some(Instant::now()), ended(sweep));
        let seconds = started.elapsed().as_secs();
        eprintln!("[{seconds:>4}s] {} {}/{} trials {}", sweep.id, ended(sweep), total(sweep), overall_message(progress, sweep));
        for trial in &progress.running {
            // A program does not say how many there will be.
            let total = if trial.total_steps > 0 { format!("/{}", trial.total_steps) } else { String::new() };
            eprintln!("        {} step {}{total} {}", trial_name(trial), trial.step, trial_message(trial));
        }
    }
}

fn total(sweep: &Sweep) -> u32 {
    sweep.queued + sweep.running + ended(sweep)
}

fn ended(sweep: &Sweep) -> u32 {
    sweep.completed + sweep.failed + sweep.cancelled
}

fn overall_message(progress: &SweepProgress, sweep: &Sweep) -> String {
    let mut parts = vec![format!("{} running on {} workers", sweep.running, progress.workers)];
    if sweep.failed > 0 {
        parts.push(format!("{} failed", sweep.failed));
    }
    if let (Some(name), Some(metric)) = (&progress.best_name, progress.best_metric) {
        parts.push(format!("best {} ({name})", number(metric)));
    }
    parts.join(", ")
}

fn trial_name(trial: &RunningTrial) -> String {
    let replicate = if trial.replicate > 0 { format!(".{}", trial.replicate) } else { String::new() };
    format!("#{}{replicate} {}", trial.trial, trial.name)
}

fn trial_message(trial: &RunningTrial) -> String {
    let loss = trial.loss.map(|loss| format!("loss {loss:.3}"));
    let exact = trial.exact_accuracy.map(|exact| format!("exact {:.1} %", 100.0 * exact));
    let evaluating = trial.evaluated.zip(trial.to_evaluate).map(|(done, total)| format!("evaluating {done}/{total}"));
    let left = trial.seconds_left.map(|seconds| format!("{} left", duration(seconds)));
    [loss, exact, evaluating, left].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// Seconds as people say them: `47s`, `3m12s`, `5h04m`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A metric as people read it: with four decimals, or as many digits where it is too small or too large for that.
pub fn number(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) { format!("{value:.4e}") } else { format!("{value:.4}") }
}

/// A sweep's state in a word.
pub fn state_name(state: SweepState) -> &'static str {
    match state {
        SweepState::Running => "running",
        SweepState::Completed => "completed",
        SweepState::Cancelled => "cancelled",
        SweepState::Paused => "paused",
        SweepState::Stopping => "stopping",
        SweepState::Stopped => "stopped",
        SweepState::Unspecified => "unknown",
    }
}

/// A trial's state in a word.
pub fn trial_state_name(state: TrialState) -> &'static str {
    match state {
        TrialState::Queued => "queued",
        TrialState::Running => "running",
        TrialState::Completed => "completed",
        TrialState::Failed => "failed",
        TrialState::Cancelled => "cancelled",
        TrialState::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(["0s", "1m05s", "2h00m"].map(String::from), [duration(0.2), duration(65.0), duration(7200.0)]);
    }

    #[test]
    fn numbers() {
        assert_eq!([0.25, 3e-5, 0.0, -2.5e7].map(number), ["0.2500", "3.0000e-5", "0.0000", "-2.5000e7"]);
    }

    #[test]
    fn bars_draw() {
        let trial = RunningTrial { trial: 3, total_steps: 10, step: 4, loss: Some(1.5), ..RunningTrial::default() };
        let sweep = Sweep { queued: 2, running: 1, completed: 1, ..Sweep::default() };
        let mut bars = Bars::new();
        bars.update(&SweepProgress { sweep: Some(sweep), running: vec![trial], ..SweepProgress::default() });
        assert_eq!((bars.overall.position(), bars.overall.length()), (1, Some(4)));
        assert_eq!(bars.trials[&(3, 0)].message(), "loss 1.500");
    }
}
