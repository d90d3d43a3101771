//! What coordinator and workers log, with the simulated time: it shows what happened, and that it happened again.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    path::Path,
    time::Duration,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, set_default},
};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Named by chance, so that it must not be in any line.
    static FOLDER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Takes down what is logged on this thread, which runs one simulation.
pub struct Log(DefaultGuard);

impl Log {
    /// Begins with nothing, for a run whose files are in `folder`.
    pub fn begin(folder: &Path) -> Self {
        LINES.take();
        FOLDER.set(folder.display().to_string());
        Self(set_default(Writer))
    }

    /// All that was logged.
    pub fn end(self) -> Vec<String> {
        drop(self.0);
        LINES.take()
    }
}

/// Takes down one line.
pub fn note(at: Duration, text: &str) {
    let text = FOLDER.with_borrow(|folder| text.replace(folder, "…"));
    LINES.with_borrow_mut(|lines| lines.push(format!("{:9.3} {text}", at.as_secs_f64())));
}

/// What is in the lines that have `words` in them, after these.
pub fn after(words: &str) -> Vec<String> {
    LINES.with_borrow(|lines| lines.iter().filter_map(|line| Some(line.split_once(words)?.1.to_owned())).collect())
}

struct Writer;

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = if field.name() == "message" { write!(self.0, " {value:?}") } else { write!(self.0, " {}={value:?}", field.name()) };
        written.unwrap();
    }
}

impl Subscriber for Writer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = ["tinysweep", "simulation"].iter().any(|ours| metadata.target().starts_with(ours));
        // What is acknowledged must never be lost.
        let level = if metadata.target() == "tinysweep_worker::outbox" { Level::DEBUG } else { Level::INFO };
        metadata.is_event() && ours && *metadata.level() <= level
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let place = event.metadata().target().trim_start_matches("tinysweep_");
        note(turmoil::sim_elapsed().unwrap_or_default(), &format!("{place}:{}", line.0));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
