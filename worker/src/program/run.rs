//! One attempt at a program, from start to end.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tinysweep_proto::{
    Malformed,
    program::{ExpandError, Meaning, Program},
    v1::{AttemptRef, Completed, FailureKind, Lease, LogLines, MetricPoint, Progress, worker_event::Event},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::mpsc::UnboundedSender,
    time::{MissedTickBehavior, interval, sleep, sleep_until, timeout},
};

use super::{
    PAUSE, Programs,
    budget::Budget,
    ending::{self, Cut},
    environment::Told,
    group::Group,
    log::{Log, Stream},
    metrics::{self, Tally},
    output::Lines,
};
use crate::assignment::{Order, Orders, failed, handed_back};

/// How often wishes and limits are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often what has come is passed on.
const PASS_ON: Duration = Duration::from_millis(500);
/// How long output is read after the program has ended by itself, from what it has left running; and once more when that has been ended.
const REMAINS: Duration = Duration::from_secs(1);
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes a second, and at once, that are read of each stream: a program that says more is held up by its full pipe.
const BYTES_PER_SECOND: f64 = 1e6;
const BYTES_AT_ONCE: f64 = 16e6;
/// Metric points a second, at once, and altogether that become part of the curves. Of every metric the last value counts in any case.
const POINTS_PER_SECOND: f64 = 1000.0;
const POINTS_AT_ONCE: f64 = 10_000.0;
const POINTS_LIMIT: usize = 1_000_000;
/// Metric points in one message.
const POINTS_PER_MESSAGE: usize = 4000;

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("this worker was not started with --allow-commands")]
    NotAllowed,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the parameters are no JSON: {0}")]
    Parameters(#[from] serde_json::Error),
    #[error(transparent)]
    Command(#[from] ExpandError),
    #[error("{0}")]
    Missing(String),
    #[error("{what} {path}: {error}", path = path.display())]
    Folder { what: &'static str, path: PathBuf, error: io::Error },
    #[error("`{program}` cannot be started: {error}{hint}", hint = if error.kind() == io::ErrorKind::NotFound { "; is what its first line names here?" } else { "" })]
    System { program: String, error: io::Error },
}

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
    let voice = Voice { attempt, says };
    if let Err(error) = try_run(&voice, lease, programs, host, orders).await {
        voice.failed(FailureKind::CannotStart, error.to_string());
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
    let scratch = Scratch::make(programs.folders.scratch(&voice.attempt), &lease.config_json)?;
    let checkpoints = programs.folders.checkpoint(&voice.attempt);
    make_folder(&checkpoints)?;
    let told = Told {
        attempt: &voice.attempt,
        seed: lease.seed,
        parameters: &lease.config_json,
        metrics: &scratch.metrics_path(),
        scratch: &scratch.0,
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
    let file = scratch.open_metrics()?;
    let (group, stdout, stderr) = Group::start(&command, &variables, programs.reaper.clone())
        .map_err(|error| StartError::System { program: command[0].clone(), error })?;
    let mut running = Running {
        group,
        output: Pipe::new(stdout, started),
        errors: Pipe::new(stderr, started),
        file: MetricsFile { file, lines: Lines::default() },
        said: Said::new(program.metric.clone(), started),
        limits: Limits {
            orders: orders.clone(),
            timeout: (lease.timeout_secs > 0).then(|| Duration::from_secs(lease.timeout_secs)),
            started,
            cut: None,
        },
    };
    running.said.log.note(&shown(&command));
    let status = running.until_it_ends(voice).await;
    let Running { said, limits, .. } = running;
    let checkpoint = format!("{host}:{}", checkpoints.display());
    match limits.cut.map(|(cut, _)| cut) {
        Some(Cut::Stop) => {} // nobody waits for a word of it
        Some(Cut::HandBack) => voice.handed_back(),
        Some(Cut::Timeout) => {
            voice.failed(FailureKind::Timeout, format!("it ran for {} s, all that its sweep allows", lease.timeout_secs));
        }
        None => voice.ended(status, &said, &program.metric, started.elapsed(), checkpoint),
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
                status = self.group.wait() => break status,
                read = self.output.read() => self.said.take_bytes(&mut self.output.lines, Stream::Output, &read),
                read = self.errors.read() => self.said.take_bytes(&mut self.errors.lines, Stream::Error, &read),
                _ = look.tick() => {
                    self.limits.look(&self.group);
                    self.file.read_on(&mut self.said);
                }
                _ = pass_on.tick() => self.said.pass_on(voice),
            }
        };
        self.linger().await;
        self.group.kill();
        let _ = timeout(REMAINS, self.read_the_rest()).await;
        self.said.finish(&mut self.output.lines, Stream::Output);
        self.said.finish(&mut self.errors.lines, Stream::Error);
        self.file.read_to_end(&mut self.said);
        self.said.pass_on(voice);
        status
    }

    /// Reads on while what the program has left running may still say something, as a `tee` does. Where it was told to end, that has as
    /// long as the program itself had: it may be what saves a checkpoint, below a shell that has ended.
    async fn linger(&mut self) {
        let cut = self.limits.cut;
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

/// When a program is to end before its time.
struct Limits {
    orders: Orders,
    timeout: Option<Duration>,
    started: Instant,
    /// Why it was told to end, and when it is made to.
    cut: Option<(Cut, Instant)>,
}

impl Limits {
    fn look(&mut self, group: &Group) {
        let wish = self.wish();
        if wish > self.cut.map(|(cut, _)| cut) {
            let Some(cut) = wish else { return };
            if self.cut.is_none() {
                group.terminate();
            }
            let deadline = self.cut.map_or_else(|| Instant::now() + PAUSE, |(_, deadline)| deadline);
            self.cut = Some((cut, deadline));
        }
        if self.cut.is_some_and(|(_, deadline)| Instant::now() >= deadline) {
            group.kill();
        }
    }

    fn wish(&self) -> Option<Cut> {
        if self.orders.present() == Order::Stop {
            Some(Cut::Stop)
        } else if self.timeout.is_some_and(|timeout| self.started.elapsed() >= timeout) {
            Some(Cut::Timeout)
        } else if self.orders.present() == Order::HandBack {
            Some(Cut::HandBack)
        } else {
            None
        }
    }
}

/// One stream of a program's output.
struct Pipe {
    from: Option<Box<dyn AsyncRead + Send + Unpin>>,
    lines: Lines,
    budget: Budget,
    /// Nothing is read before.
    resume: Instant,
    buffer: Vec<u8>,
}

impl Pipe {
    fn new(from: impl AsyncRead + Send + Unpin + 'static, now: Instant) -> Self {
        Self {
            from: Some(Box::new(from)),
            lines: Lines::default(),
            budget: Budget::new(BYTES_PER_SECOND, BYTES_AT_ONCE, now),
            resume: now,
            buffer: vec![0; READ_BYTES],
        }
    }

    fn is_open(&self) -> bool {
        self.from.is_some()
    }

    /// The next bytes; never comes where there are no more. May be dropped and called again.
    async fn read(&mut self) -> Vec<u8> {
        sleep_until(self.resume.into()).await;
        let Some(from) = &mut self.from else { return std::future::pending().await };
        match from.read(&mut self.buffer).await {
            Ok(count) if count > 0 => {
                let now = Instant::now();
                self.resume = now + Duration::from_secs_f64(self.budget.owe(count as f64, now));
                self.buffer[..count].to_vec()
            }
            _ => {
                self.from = None;
                Vec::new()
            }
        }
    }
}

/// The file to which a program may append its metrics. It is this worker's: whatever takes its place is not read.
struct MetricsFile {
    file: File,
    lines: Lines,
}

impl MetricsFile {
    /// Reads some of what was appended since.
    fn read_on(&mut self, said: &mut Said) -> bool {
        // A file that has become shorter was begun anew.
        let place = self.file.stream_position().unwrap_or(0);
        if self.file.metadata().is_ok_and(|meta| meta.len() < place) {
            let _ = self.file.seek(SeekFrom::Start(0));
            self.lines = Lines::default();
        }
        let mut buffer = vec![0; READ_BYTES];
        let count = self.file.read(&mut buffer).unwrap_or(0);
        self.lines.push(&buffer[..count], |line| said.take_metrics(&line));
        count > 0
    }

    /// Reads what is left of it, within bounds.
    fn read_to_end(&mut self, said: &mut Said) {
        let most = BYTES_AT_ONCE as usize / READ_BYTES;
        for _ in 0..most {
            if !self.read_on(said) {
                break;
            }
        }
        self.lines.finish(|line| said.take_metrics(&line));
    }
}

/// What a program has said.
struct Said {
    tally: Tally,
    points: Vec<MetricPoint>,
    budget: Budget,
    /// Points that became part of the curves, and points that did not.
    kept: usize,
    left_out: usize,
    is_news: bool,
    log: Log,
}

impl Said {
    fn new(metric: String, now: Instant) -> Self {
        let budget = Budget::new(POINTS_PER_SECOND, POINTS_AT_ONCE, now);
        Self { tally: Tally::new(metric), points: Vec::new(), budget, kept: 0, left_out: 0, is_news: false, log: Log::new(now) }
    }

    fn take_bytes(&mut self, lines: &mut Lines, stream: Stream, bytes: &[u8]) {
        lines.push(bytes, |line| self.take_line(stream, &line));
    }

    fn finish(&mut self, lines: &mut Lines, stream: Stream) {
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
    fn take_metrics(&mut self, line: &str) {
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

    /// Passes on what has come since the last time.
    fn pass_on(&mut self, voice: &Voice) {
        if let Some(refusal) = self.tally.refusal() {
            self.log.note(&refusal);
        }
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            let why = format!("more than {POINTS_PER_SECOND} a second, or {POINTS_LIMIT} altogether");
            self.log.note(&format!("({left_out} metric points are no part of the curves: {why})"));
        }
        if std::mem::take(&mut self.is_news) {
            voice.progress(self.tally.step(), std::mem::take(&mut self.points));
        }
        self.log.flush().into_iter().for_each(|lines| voice.log(lines));
    }
}

/// Says something in the name of an attempt.
struct Voice {
    attempt: AttemptRef,
    says: UnboundedSender<(AttemptRef, Event)>,
}

impl Voice {
    /// The agent may have left already; then nobody needs to know.
    fn say(&self, event: Event) {
        let _ = self.says.send((self.attempt.clone(), event));
    }

    fn progress(&self, step: u64, mut points: Vec<MetricPoint>) {
        loop {
            let rest = points.split_off(points.len().min(POINTS_PER_MESSAGE));
            self.say(Event::Progress(Progress { attempt: Some(self.attempt.clone()), step, points, ..Progress::default() }));
            if rest.is_empty() {
                return;
            }
            points = rest;
        }
    }

    fn log(&self, lines: Vec<String>) {
        self.say(Event::LogLines(LogLines { attempt: Some(self.attempt.clone()), lines }));
    }

    fn failed(&self, kind: FailureKind, message: String) {
        self.say(failed(&self.attempt, kind, message));
    }

    fn handed_back(&self) {
        self.say(handed_back(&self.attempt));
    }

    /// It has not even begun.
    fn given_up(&self, orders: &Orders) {
        if orders.present() < Order::Stop {
            self.handed_back();
        }
    }

    /// It has ended by itself.
    fn ended(&self, status: io::Result<ExitStatus>, said: &Said, metric: &str, took: Duration, checkpoint: String) {
        let status = match status {
            Ok(status) => status,
            Err(error) => return self.failed(FailureKind::Other, format!("its end cannot be known: {error}")),
        };
        if let Some((kind, message)) = ending::failure(status, said.log.last_words()) {
            return self.failed(kind, message);
        }
        if let Some(value) = said.tally.diverged() {
            return self.failed(FailureKind::NonFinite, format!("{metric} is {value} at the end, after step {}", said.tally.step()));
        }
        let metrics: BTreeMap<_, _> = said.tally.result();
        // Whether what it must report is there the coordinator judges.
        self.say(Event::Completed(Completed {
            attempt: Some(self.attempt.clone()),
            metrics: metrics.into_iter().collect(),
            wall_seconds: took.as_secs_f64(),
            checkpoint,
            ..Completed::default()
        }));
    }
}

/// A folder for one attempt; gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    /// A new one, empty but for the parameters.
    fn make(folder: PathBuf, parameters: &str) -> Result<Self, StartError> {
        folder.parent().map_or(Ok(()), make_folder)?;
        let wrong = |what| move |error| (what, error);
        let made = match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(("cannot clear", error)),
            _ => fs::create_dir(&folder).map_err(wrong("cannot make")),
        };
        made.map_err(|(what, error)| StartError::Folder { what, path: folder.clone(), error })?;
        let scratch = Self(folder);
        let path = scratch.parameters_path();
        fs::write(&path, parameters).map_err(|error| StartError::Folder { what: "cannot write", path, error })?;
        Ok(scratch)
    }

    fn parameters_path(&self) -> PathBuf {
        self.0.join("parameters.json")
    }

    fn metrics_path(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// The file of metrics, empty, to be read while the program appends to it.
    fn open_metrics(&self) -> Result<File, StartError> {
        let path = self.metrics_path();
        let opened = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        opened.map_err(|error| StartError::Folder { what: "cannot make", path, error })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the folder of a program cannot be removed");
        }
    }
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    fs::create_dir_all(path).map_err(|error| StartError::Folder { what: "cannot make", path: path.to_owned(), error })
}
