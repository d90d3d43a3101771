//! A trainer that computes nothing and takes simulated time. What it reports follows from configuration, seed and step, as a real one's does.

use std::{ops::Range, sync::Arc, time::Duration};

use tinysweep_proto::{
    config,
    v1::{AttemptRef, Completed, FailureKind, Lease, MetricPoint, Progress, Series, worker_event::Event},
};
use tinysweep_worker::assignment::{self, Assignment, Order, Said, failed, handed_back, log_line};
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    time::{Instant, sleep},
};

use crate::{
    dice::Dice,
    jobs::{Jobs, Running},
    plan::Fault,
    scene::{Scene, Weather},
};

/// Steps between reports.
const REPORT_EVERY: u64 = 2;
/// The metric by which sweeps rank.
pub const METRIC: &str = "test/exact_accuracy";
/// Tells by which run of which trainer a point was reported.
const RUN_METRIC: &str = "train/run";

/// The trainers of one life of a worker.
pub struct Trainers {
    pub scene: Arc<Scene>,
    pub life: String,
}

impl assignment::Trainers for Trainers {
    fn take(&self, assignment: Assignment) {
        let Assignment { lease, resume, orders, says } = assignment;
        let scene = self.scene.clone();
        let attempt = lease.attempt.clone().unwrap();
        let running = Jobs::begin(&scene, &self.life, &attempt);
        let fate = if scene.weather() == Weather::Storm { Fate::draw(&scene) } else { Fate::Ends };
        let (step, sum) = match resume {
            Some(_) if scene.plan.fault == Some(Fault::ForgetsState) => (state(&resume.unwrap()).0, 0),
            Some(bytes) => state(&bytes),
            None => (0, 0),
        };
        let trainer = Trainer { scene, attempt, orders, says, fate, step, sum };
        tokio::spawn(trainer.run(lease, running));
    }
}

/// What becomes of a run that nobody stops.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Ends,
    FailsAt(u64, FailureKind),
    /// Says nothing more, and does not end by itself.
    HangsAt(u64),
}

impl Fate {
    fn draw(scene: &Scene) -> Self {
        const KINDS: [FailureKind; 7] = [
            FailureKind::NonFinite,
            FailureKind::Panic,
            FailureKind::Crashed,
            FailureKind::Data,
            FailureKind::Checkpoint,
            FailureKind::OutOfMemory,
            FailureKind::Other,
        ];
        let step = scene.below(12);
        if scene.below(1000) >= scene.plan.failing {
            Self::Ends
        } else if scene.plan.timeout_secs > 0 && scene.below(4) == 0 {
            Self::HangsAt(step)
        } else {
            Self::FailsAt(step, KINDS[scene.below(KINDS.len() as u64) as usize])
        }
    }
}

/// A state of training: the step, and the sum of all that was computed.
fn state(bytes: &[u8]) -> (u64, u64) {
    let number = |range: Range<usize>| u64::from_le_bytes(bytes[range].try_into().unwrap());
    (number(0..8), number(8..16))
}

struct Trainer {
    scene: Arc<Scene>,
    attempt: AttemptRef,
    orders: watch::Receiver<Order>,
    says: UnboundedSender<Said>,
    fate: Fate,
    step: u64,
    /// Of all that was computed: a run that goes on from elsewhere than where it was has another one.
    sum: u64,
}

impl Trainer {
    async fn run(mut self, lease: Lease, running: Running) {
        // Whoever was told to stop has nothing to say; nobody would pass it on.
        if let Some(end) = self.train(&lease, running.number).await {
            self.say(Said::Event(end));
        }
    }

    /// Trains to the end, which is none for one who was told to stop.
    async fn train(&mut self, lease: &Lease, run: u64) -> Option<Event> {
        let total = config::parse(&lease.config_json).unwrap().train.steps as u64;
        let pace = Duration::from_millis(1 + self.scene.below(self.scene.plan.step_ms));
        let every = Duration::from_secs(lease.checkpoint_secs.into());
        let mut last_state = Instant::now();
        while self.step < total {
            match self.fate {
                Fate::FailsAt(at, kind) if at <= self.step => return Some(failed(&self.attempt, kind, "by the dice".into())),
                Fate::HangsAt(at) if at <= self.step => self.hang().await,
                _ => {}
            }
            sleep(pace).await;
            if self.order() == Order::Stop {
                return None;
            }
            self.step += 1;
            self.sum = Dice(self.sum ^ lease.seed ^ self.step).bits();
            if self.step.is_multiple_of(REPORT_EVERY) {
                self.report(total, run);
            }
            let is_due = !every.is_zero() && last_state.elapsed() >= every || lease.checkpoint_end && self.step == total;
            if is_due || self.order() == Order::HandBack {
                last_state = Instant::now();
                self.give_state();
            }
            if self.order() == Order::HandBack {
                return Some(handed_back(&self.attempt));
            }
        }
        let accuracy = (self.sum >> 11) as f64 / (1_u64 << 53) as f64;
        Some(Event::Completed(Completed {
            attempt: Some(self.attempt.clone()),
            metrics: [(METRIC.to_owned(), accuracy)].into(),
            metrics_by_step: vec![Series { name: METRIC.into(), values: vec![accuracy] }],
            wall_seconds: 1.0,
            parameters: 1,
            ..Completed::default()
        }))
    }

    fn order(&self) -> Order {
        *self.orders.borrow()
    }

    async fn hang(&self) {
        while self.order() < Order::Stop {
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// The session may be gone, and this run with it in a moment.
    fn say(&self, said: Said) {
        let _ = self.says.send(said);
    }

    fn give_state(&self) {
        let bytes = [self.step.to_le_bytes(), self.sum.to_le_bytes()].concat();
        self.say(Said::State { step: self.step, bytes });
    }

    fn report(&self, total_steps: u64, run: u64) {
        let step = self.step;
        let point = |name: &str, value| MetricPoint { name: name.into(), step, value };
        let points = vec![point("train/lm_loss", (self.sum % 1000) as f64 / 1000.0), point(RUN_METRIC, run as f64)];
        let attempt = Some(self.attempt.clone());
        self.say(Said::Event(Event::Progress(Progress { attempt, step, total_steps, points, ..Progress::default() })));
        self.say(Said::Event(log_line(&self.attempt, format!("at step {step}"))));
    }
}
