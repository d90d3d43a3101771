//! A process with its group: all that it has started, unless that has left the group. Once dropped, nothing of it is left.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use tokio::{
    process::{Child, ChildStderr, ChildStdout, Command},
    task::{JoinHandle, spawn_blocking},
};

use super::{environment::Variables, reaper::Reaper};
use crate::memory_limit;

/// A running program and what it has started.
pub struct Group {
    child: Child,
    /// Ends with the child; none once that was noted.
    ended: Option<JoinHandle<()>>,
    id: u32,
    reaper: Arc<Reaper>,
}

impl Group {
    /// Starts `command`, whose first item is the program, with nothing but `variables` in its environment, and a limit on the memory of each of
    /// its processes unless that is 0. Its output can be read.
    ///
    /// # Errors
    /// The system's.
    pub fn start(
        command: &[String],
        variables: &Variables,
        memory_mib: u64,
        reaper: Arc<Reaper>,
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let Some((program, arguments)) = command.split_first() else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut process = Command::new(program);
        process.args(arguments).env_clear().envs(variables);
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        process.process_group(0);
        let child = process.spawn()?;
        let id = child.id().ok_or(io::ErrorKind::NotFound)?;
        reaper.watch(id);
        let mut group = Self { child, ended: Some(spawn_blocking(move || watch(id))), id, reaper };
        if memory_mib > 0 {
            memory_limit::set(id, memory_mib)?;
        }
        let (Some(stdout), Some(stderr)) = (group.child.stdout.take(), group.child.stderr.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok((group, stdout, stderr))
    }

    /// Its number, which is that of its first process.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Waits until the program itself has ended; what the system says of it can still be read then. May be dropped and called again.
    pub async fn ended(&mut self) {
        if let Some(ended) = &mut self.ended {
            // A watch that fails has seen that there is nothing to wait for.
            let _ = ended.await;
            self.ended = None;
        }
    }

    /// How the program itself has ended.
    pub async fn status(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks all of it to end (SIGTERM).
    pub fn terminate(&self) {
        signal(self.id, Signal::Terminate);
    }

    /// Whether something of it runs.
    pub fn is_alive(&self) -> bool {
        exists(self.id)
    }

    /// Ends all of it (SIGKILL).
    pub fn kill(&self) {
        signal(self.id, Signal::Kill);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        self.reaper.forget(self.id);
    }
}

/// Returns when the process has ended, without taking note of how: that is for its parent's runtime.
#[cfg(unix)]
fn watch(process: u32) {
    use rustix::{
        io::Errno,
        process::{WaitId, WaitIdOptions, waitid},
    };
    let Some(id) = group_id(process) else { return };
    while matches!(waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT), Err(Errno::INTR)) {}
}

/// Nothing can be watched here.
#[cfg(not(unix))]
fn watch(_: u32) {}

/// What a group can be told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Terminate,
    Kill,
}

/// Sends a signal to a group; one that has ended needs none.
#[cfg(unix)]
pub(super) fn signal(group: u32, signal: Signal) {
    use rustix::process::{Signal as Known, kill_process_group};
    let Some(group) = group_id(group) else { return };
    let known = match signal {
        Signal::Terminate => Known::TERM,
        Signal::Kill => Known::KILL,
    };
    let _ = kill_process_group(group, known);
}

#[cfg(unix)]
fn exists(group: u32) -> bool {
    group_id(group).is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
}

/// 0 and 1 would mean this process's own group, and every process there is.
#[cfg(unix)]
fn group_id(group: u32) -> Option<rustix::process::Pid> {
    i32::try_from(group).ok().filter(|id| *id > 1).and_then(rustix::process::Pid::from_raw)
}

#[cfg(not(unix))]
fn exists(_: u32) -> bool {
    false
}

#[cfg(not(unix))]
pub(super) fn signal(_: u32, _: Signal) {}
