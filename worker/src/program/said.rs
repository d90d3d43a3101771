//! What a program has said.

use std::time::Instant;

use tinysweep_proto::v1::MetricPoint;

use super::{
    budget::Budget,
    log::{Log, Stream},
    metrics::{self, Tally},
    output::Lines,
    voice::Voice,
};
use crate::cost::Cost;

/// Metric points a second, at once, and altogether that become part of the curves. Of every metric the last value counts in any case.
const POINTS_PER_SECOND: f64 = 1000.0;
const POINTS_AT_ONCE: f64 = 10_000.0;
const POINTS_LIMIT: usize = 1_000_000;

/// What a program has said.
pub struct Said {
    /// What its metrics come to.
    pub tally: Tally,
    points: Vec<MetricPoint>,
    budget: Budget,
    /// Points that became part of the curves, and points that did not.
    kept: usize,
    left_out: usize,
    is_news: bool,
    /// What people read of it.
    pub log: Log,
}

impl Said {
    /// Nothing yet, of a program that reports `metric`.
    pub fn new(metric: String, now: Instant) -> Self {
        let budget = Budget::new(POINTS_PER_SECOND, POINTS_AT_ONCE, now);
        Self { tally: Tally::new(metric), points: Vec::new(), budget, kept: 0, left_out: 0, is_news: false, log: Log::new(now) }
    }

    /// Takes bytes of a stream, of which `lines` holds the line that is not whole yet.
    pub fn take_bytes(&mut self, lines: &mut Lines, stream: Stream, bytes: &[u8]) {
        lines.push(bytes, |line| self.take_line(stream, &line));
    }

    /// Takes the last line of a stream, which need not be whole.
    pub fn finish(&mut self, lines: &mut Lines, stream: Stream) {
        lines.finish(|line| self.take_line(stream, &line));
    }

    /// Metrics are on standard output alone.
    fn take_line(&mut self, stream: Stream, line: &str) {
        match metrics::parse(line).filter(|_| stream == Stream::Output) {
            Some(reported) => self.take(reported),
            None => self.log.take(stream, line, Instant::now()),
        }
    }

    /// Takes a line of the file of metrics.
    pub fn take_metrics(&mut self, line: &str) {
        match metrics::parse(line) {
            Some(reported) => self.take(reported),
            None if line.trim().is_empty() => {}
            None => self.log.take(Stream::Output, &format!("TINYSWEEP_METRICS has a line without metrics: {line}"), Instant::now()),
        }
    }

    fn take(&mut self, reported: metrics::Reported) {
        let values = self.tally.take(reported);
        let step = self.tally.step();
        self.is_news = true;
        if self.kept >= POINTS_LIMIT || !self.budget.take(values.len() as f64, Instant::now()) {
            self.left_out += values.len();
            return;
        }
        self.kept += values.len();
        self.points.extend(values.into_iter().map(|(name, value)| MetricPoint { name, step, value }));
    }

    /// Passes on what has come since the last time, and what it has cost so far.
    pub fn pass_on(&mut self, voice: &Voice, cost: &Cost) {
        if let Some(refusal) = self.tally.refusal() {
            self.log.note(&refusal);
        }
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            let why = format!("more than {POINTS_PER_SECOND} a second, or {POINTS_LIMIT} altogether");
            self.log.note(&format!("({left_out} metric points are no part of the curves: {why})"));
        }
        if std::mem::take(&mut self.is_news) {
            voice.progress(self.tally.step(), std::mem::take(&mut self.points), cost);
        }
        self.log.flush().into_iter().for_each(|lines| voice.log(lines));
    }
}
