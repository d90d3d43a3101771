//! Ends the programs of a worker that has died without a word: `kill -9`, no memory, a crash.
//!
//! A process of its own beside the worker, which tells it over a pipe which groups run. The pipe closes when the worker ends, however it
//! does; what still runs then is ended. A worker that ends in order has ended its programs before.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, MutexGuard},
};

use tracing::warn;

use super::group::{Signal, signal};

/// The worker's end of the pipe.
#[derive(Debug)]
pub struct Reaper {
    /// This very program, and what makes a reaper of it.
    program: PathBuf,
    argument: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    process: Option<(Child, ChildStdin)>,
    groups: BTreeSet<u32>,
}

impl Reaper {
    /// None runs yet; the first program starts one, as `program argument`, which is to call [`run`].
    pub fn new(program: PathBuf, argument: &'static str) -> Self {
        Self { program, argument, state: Mutex::default() }
    }

    /// Has the group ended should the worker die.
    pub fn watch(&self, group: u32) {
        let mut state = self.lock();
        state.groups.insert(group);
        self.say(&mut state, &format!("+{group}\n"));
    }

    /// The group has ended.
    pub fn forget(&self, group: u32) {
        let mut state = self.lock();
        state.groups.remove(&group);
        self.say(&mut state, &format!("-{group}\n"));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic: it writes to a pipe")
    }

    /// A reaper that is gone is replaced by another, which is told everything. Programs run without one too.
    fn say(&self, state: &mut State, line: &str) {
        if state.process.as_mut().is_some_and(|(_, pipe)| pipe.write_all(line.as_bytes()).is_ok()) {
            return;
        }
        state.process = match self.start(&state.groups) {
            Ok(process) => Some(process),
            Err(error) => {
                warn!(%error, "nothing would end the programs of this worker should it be killed");
                None
            }
        };
    }

    fn start(&self, groups: &BTreeSet<u32>) -> io::Result<(Child, ChildStdin)> {
        let mut command = Command::new(&self.program);
        command.arg(self.argument).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Apart from the worker's, so that what a terminal sends to all of that does not reach it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let mut pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        for group in groups {
            writeln!(pipe, "+{group}")?;
        }
        Ok((child, pipe))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Some((mut child, pipe)) = self.lock().process.take() {
            drop(pipe);
            let _ = child.wait();
        }
    }
}

/// The reaper's end: reads which groups run until the worker is gone, and ends those that still do.
pub fn run(pipe: impl BufRead) {
    for group in left(pipe) {
        signal(group, Signal::Kill);
    }
}

/// The groups that run when the pipe closes.
fn left(pipe: impl BufRead) -> BTreeSet<u32> {
    let mut groups = BTreeSet::new();
    for line in pipe.lines().map_while(Result::ok) {
        match line.split_at_checked(1) {
            Some(("+", group)) => _ = group.parse().map(|group| groups.insert(group)),
            Some(("-", group)) => _ = group.parse().map(|group: u32| groups.remove(&group)),
            _ => {}
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_when_the_pipe_closed_is_left() {
        assert_eq!(left("+7\n+8\n-7\n+9\nx\n\n+\n+99999999999\n-9\n+8".as_bytes()), BTreeSet::from([8]));
    }
}
