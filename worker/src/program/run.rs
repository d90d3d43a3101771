//! One attempt at a program, from start to end.

use std::{
    io,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tinysweep_proto::{
    program::{Meaning, Program},
    v1::{AttemptRef, FailureKind, Lease, worker_event::Event},
};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Programs,
    ending::Cut,
    environment::Told,
    error::StartError,
    group::Group,
    limits::Limits,
    log::Stream,
    meter::Meter,
    metrics_file::MetricsFile,
    pipe::Pipe,
    said::Said,
    scratch::{Scratch, make_folder},
    voice::Voice,
};
use crate::assignment::{Order, Orders};

/// How often wishes and limits are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often what has come is passed on.
const PASS_ON: Duration = Duration::from_millis(500);
/// How long output is read after the program has ended by itself, from what it has left running; and once more when that has been ended.
const REMAINS: Duration = Duration::from_secs(1);

/// Runs the program of `lease` to its end, on the machine `host`; all that it says goes to `says`, with its name. Without `programs` this
/// worker runs none.
pub async fn run(
    attempt: AttemptRef,
    lease: Lease,
    programs: Option<Arc<Programs>>,
    host: &str,
    orders: Orders,
    says: UnboundedSender<(AttemptRef, Event)>,
) {
    let voice = Voice::new(attempt, says);
    if let Err(error) = try_run(&voice, lease, programs, host, orders).await {
        voice.failed(FailureKind::CannotStart, error.to_string(), None);
    }
}

async fn try_run(voice: &Voice, lease: Lease, programs: Option<Arc<Programs>>, host: &str, orders: Orders) -> Result<(), StartError> {
    let programs = programs.ok_or(StartError::NotAllowed)?;
    let program = Program::try_from(lease.program.unwrap_or_default())?;
    let parameters: Value = serde_json::from_str(&lease.config_json)?;
    let slots = programs.slots.clone().acquire_many_owned(lease.slots.max(1));
    let Some(_slots) = unless_ended(&orders, slots).await else {
        voice.given_up(&orders);
        return Ok(());
    };
    let started = Instant::now();
    let scratch = Scratch::make(programs.folders.scratch(voice.attempt()), &lease.config_json)?;
    let checkpoints = programs.folders.checkpoint(voice.attempt());
    make_folder(&checkpoints)?;
    let told = Told {
        attempt: voice.attempt(),
        seed: lease.seed,
        parameters: &lease.config_json,
        metrics: &scratch.metrics_path(),
        scratch: scratch.path(),
        checkpoints: &checkpoints,
    };
    let variables = told.add_to(&programs.settings.variables);
    let places = programs.settings.places();
    let command = program.expand(&Meaning {
        parameters: &parameters,
        seed: lease.seed,
        interpreter: places.interpreter(),
        parameters_file: &scratch.parameters_path().display().to_string(),
        variable: &|name| variables.get(name).cloned(),
    })?;
    places.check(&program, &command).map_err(StartError::Missing)?;
    let timeout = (lease.timeout_secs > 0).then(|| Duration::from_secs(lease.timeout_secs));
    let file = scratch.open_metrics()?;
    let (group, stdout, stderr) = Group::start(&command, &variables, lease.memory_mib, programs.reaper.clone())
        .map_err(|error| StartError::System { program: command[0].clone(), error })?;
    let mut running = Running {
        meter: Meter::start(group.id(), programs.settings.power, started),
        group,
        output: Pipe::new(stdout, started),
        errors: Pipe::new(stderr, started),
        file: MetricsFile::new(file),
        said: Said::new(program.metric.clone(), started),
        limits: Limits::new(orders, timeout, started),
    };
    running.said.log.note(&shown(&command));
    let status = running.until_it_ends(voice).await;
    let Running { said, limits, meter, .. } = running;
    let cost = meter.cost();
    let checkpoint = format!("{host}:{}", checkpoints.display());
    match limits.cut().map(|(cut, _)| cut) {
        Some(Cut::Stop) => {} // nobody waits for a word of it
        Some(Cut::HandBack) => voice.handed_back(Some(&cost)),
        Some(Cut::Timeout) => {
            let message = format!("it ran for {} s, all that its sweep allows", lease.timeout_secs);
            voice.failed(FailureKind::Timeout, message, Some(&cost));
        }
        None => voice.ended(status, &said, &program.metric, &cost, checkpoint),
    }
    Ok(())
}

/// A command on one line, for people; what could be misread is in quotes.
fn shown(command: &[String]) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\\');
    let argument = |text: &String| if !text.is_empty() && text.chars().all(is_plain) { format!(" {text}") } else { format!(" {text:?}") };
    format!("${}", command.iter().map(argument).collect::<String>())
}

/// Waits for `future`; none where the attempt is to end before.
async fn unless_ended<T>(orders: &Orders, future: impl Future<Output = Result<T, tokio::sync::AcquireError>>) -> Option<T> {
    tokio::pin!(future);
    loop {
        tokio::select! {
            result = &mut future => return result.ok(),
            () = sleep(LOOK) => if orders.present() > Order::GoOn { return None },
        }
    }
}

/// A program that runs.
struct Running {
    group: Group,
    output: Pipe,
    errors: Pipe,
    file: MetricsFile,
    said: Said,
    limits: Limits,
    meter: Meter,
}

impl Running {
    /// Passes on what the program says until it has ended, by itself or not; nothing of it runs then.
    async fn until_it_ends(&mut self, voice: &Voice) -> io::Result<ExitStatus> {
        let mut look = interval(LOOK);
        let mut pass_on = interval(PASS_ON);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        pass_on.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let status = loop {
            tokio::select! {
                () = self.group.ended() => {
                    self.meter.look();
                    break self.group.status().await;
                }
                read = self.output.read() => self.said.take_bytes(&mut self.output.lines, Stream::Output, &read),
                read = self.errors.read() => self.said.take_bytes(&mut self.errors.lines, Stream::Error, &read),
                _ = look.tick() => {
                    self.limits.look(&self.group);
                    self.file.read_on(&mut self.said);
                }
                _ = pass_on.tick() => {
                    self.meter.look();
                    self.said.pass_on(voice, &self.meter.cost());
                }
            }
        };
        self.linger().await;
        self.group.kill();
        let _ = timeout(REMAINS, self.read_the_rest()).await;
        self.said.finish(&mut self.output.lines, Stream::Output);
        self.said.finish(&mut self.errors.lines, Stream::Error);
        self.file.read_to_end(&mut self.said);
        self.said.pass_on(voice, &self.meter.cost());
        status
    }

    /// Reads on while what the program has left running may still say something, as a `tee` does. Where it was told to end, that has as
    /// long as the program itself had: it may be what saves a checkpoint, below a shell that has ended.
    async fn linger(&mut self) {
        let cut = self.limits.cut();
        let deadline = cut.map_or_else(|| Instant::now() + REMAINS, |(_, deadline)| deadline);
        while Instant::now() < deadline && (self.is_open() || cut.is_some() && self.group.is_alive()) {
            let _ = timeout(LOOK, self.read_some()).await;
        }
    }

    async fn read_the_rest(&mut self) {
        while self.is_open() {
            self.read_some().await;
        }
    }

    async fn read_some(&mut self) {
        tokio::select! {
            read = self.output.read() => self.said.take_bytes(&mut self.output.lines, Stream::Output, &read),
            read = self.errors.read() => self.said.take_bytes(&mut self.errors.lines, Stream::Error, &read),
        }
    }

    fn is_open(&self) -> bool {
        self.output.is_open() || self.errors.is_open()
    }
}
