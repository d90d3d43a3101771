//! The process of a slot as its worker sees it: what goes in, what comes out, and its end.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
    time::timeout,
};
use tracing::{info, warn};

use super::{
    Launch,
    diagnosis::is_refused_allocation,
    protocol::{FrameError, Framed, HEAD_BYTES, Told, parse_head, parse_whole},
};
use crate::{assignment::Said, memory_limit};

/// Time in which a process that has closed its output has to be gone.
const END_TIME: Duration = Duration::from_secs(1);
/// Frames of a process that wait to be passed on.
const FRAMES_WAITING: usize = 64;
/// Bytes of a line on standard error after which it is cut in two.
const LINE_BYTES: u64 = 4096;

/// A process that runs, or has run. It is killed when this is dropped; should nobody be there to do so, it ends with its standard input.
pub struct Process {
    /// The most memory that it may take, in MiB; 0 for no limit.
    pub memory_mib: u64,
    child: Child,
    frames: UnboundedSender<Vec<u8>>,
    said: Receiver<Result<Said, FrameError>>,
    last_words: JoinHandle<String>,
}

impl Process {
    /// Starts the process of slot `index`, with a limit on its memory unless that is 0. What it says on standard error goes to this one's log.
    ///
    /// # Errors
    /// The system will not.
    pub fn start(index: usize, launch: &Launch, memory_mib: u64) -> io::Result<Self> {
        let mut command = std::process::Command::new(&launch.program);
        command.args(&launch.arguments).envs(launch.environment.iter().map(|(name, value)| (name, value)));
        // A group of its own: Ctrl-C in a terminal is for the worker, which knows what it means.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        if memory_mib > 0 {
            // Memory that is set aside in advance would count.
            command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
        }
        let mut command = Command::from(command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let closed = || io::Error::other("a pipe that was asked for is missing");
        let (stdin, stdout) = (child.stdin.take().ok_or_else(closed)?, child.stdout.take().ok_or_else(closed)?);
        let stderr = child.stderr.take().ok_or_else(closed)?;
        if memory_mib > 0 {
            memory_limit::set(child.id().ok_or_else(|| io::Error::other("it has ended at once"))?, memory_mib)?;
        }
        info!(slot = index, process = child.id(), memory_mib, "a process was started");
        let (frames, outgoing) = mpsc::unbounded_channel();
        let (incoming, said) = mpsc::channel(FRAMES_WAITING);
        tokio::spawn(write(stdin, outgoing));
        tokio::spawn(read(stdout, incoming));
        Ok(Self { memory_mib, child, frames, said, last_words: tokio::spawn(log(index, stderr)) })
    }

    /// Whether it has ended.
    pub fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Tells it something. Does not wait, and one that is gone is found out by [`hear`](Self::hear).
    pub fn tell(&self, told: &Told) {
        let mut frame = Vec::new();
        told.put(&mut frame);
        _ = self.frames.send(frame);
    }

    /// What it says next; none when it has no more to say, ever. Nothing is lost if this is given up before its end.
    pub async fn hear(&mut self) -> Option<Result<Said, FrameError>> {
        self.said.recv().await
    }

    /// Sees to it that it is gone, and says how it ended if that was by itself, and its last line on standard error.
    pub async fn end(mut self) -> (Option<ExitStatus>, String) {
        let status = timeout(END_TIME, self.child.wait()).await.ok().and_then(Result::ok);
        if status.is_none() {
            _ = self.child.kill().await;
        }
        // Its own children, if it has any, may hold standard error open.
        let last_words = timeout(END_TIME, self.last_words).await.ok().and_then(Result::ok);
        (status, last_words.unwrap_or_default())
    }
}

async fn write(mut stdin: ChildStdin, mut frames: UnboundedReceiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if stdin.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn read(mut stdout: ChildStdout, said: Sender<Result<Said, FrameError>>) {
    while let Some(frame) = read_frame(&mut stdout).await.transpose() {
        let is_sane = frame.is_ok();
        if said.send(frame).await.is_err() || !is_sane {
            return;
        }
    }
}

async fn read_frame(stdout: &mut ChildStdout) -> Result<Option<Said>, FrameError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    (&mut *stdout).take(HEAD_BYTES as u64).read_to_end(&mut head).await?;
    let Some((kind, length)) = parse_head::<Said>(&head)? else { return Ok(None) };
    let mut content = Vec::new();
    stdout.take(length).read_to_end(&mut content).await?;
    parse_whole(kind, length, content).map(Some)
}

/// Logs what comes on standard error, and gives its last line.
async fn log(index: usize, stderr: ChildStderr) -> String {
    let (mut reader, mut line, mut last) = (BufReader::new(stderr), Vec::new(), String::new());
    while (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line).await.is_ok_and(|bytes| bytes > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if !text.is_empty() {
            warn!(slot = index, "{text}");
            // What follows a refused allocation only says that there is no backtrace of it.
            if !is_refused_allocation(&last) {
                last = text;
            }
        }
    }
    last
}
