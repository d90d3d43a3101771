//! The environment of a process that trains.
//!
//! * One compute thread: on small models two trials on a core each get more done than one trial on two cores.
//! * Freed memory is kept for the next tensors: giving it back to the system costs up to a tenth of a step.
//!
//! Candle, its matrix library and the allocator read this when they are first used, so it has to be set before the program starts:
//! a training command replaces itself by itself with the environment that it needs.
//!
//! What computes products in bf16 can be chosen there too, by whoever doubts what one machine of many computes.

use std::{env, process::Command};

use tinysweep_worker::kernels::Bf16Unit;

use crate::failure::Failure;

/// The name of what computes products in bf16.
const BF16_UNIT: &str = "TINYSWEEP_BF16_UNIT";

/// The numbers of threads of the matrix library and of Candle.
const THREADS: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];
const VARIABLES: [(&str, &str); 3] = [(THREADS[0], "1"), (THREADS[1], "1"), ("MIMALLOC_PURGE_DELAY", "-1")];

/// What a process that is started here has to be given, the user's choices left as they are.
pub fn missing() -> impl Iterator<Item = (&'static str, &'static str)> {
    VARIABLES.into_iter().filter(|(variable, _)| env::var_os(variable).is_none())
}

/// Starts the program anew with `threads` compute threads, whatever the user has chosen, if it has not been started so.
pub fn ensure_threads(threads: usize) -> Result<(), Failure> {
    let threads = threads.to_string();
    if THREADS.iter().all(|variable| env::var(variable).is_ok_and(|value| value == threads)) {
        return ensure();
    }
    let mut again = Command::new(env::current_exe()?);
    again.args(env::args_os().skip(1)).envs(THREADS.map(|variable| (variable, &threads)));
    replace(again)
}

/// Starts the program anew in this environment, if it is not there yet.
pub fn ensure() -> Result<(), Failure> {
    if missing().next().is_none() {
        return Ok(());
    }
    let mut again = Command::new(env::current_exe()?);
    again.args(env::args_os().skip(1)).envs(missing());
    replace(again)
}

/// Lets what the user has named compute products in bf16, if anything is named.
pub fn choose_bf16_unit() -> Result<(), Failure> {
    if let Some(name) = env::var_os(BF16_UNIT).filter(|name| !name.is_empty()) {
        let unit = name.to_string_lossy().parse::<Bf16Unit>();
        unit.map_err(|error| Failure::bad_input(format!("{BF16_UNIT}: {error}")))?.choose();
    }
    Ok(())
}

#[cfg(unix)]
fn replace(mut again: Command) -> Result<(), Failure> {
    Err(std::os::unix::process::CommandExt::exec(&mut again).into())
}

#[cfg(not(unix))]
fn replace(mut again: Command) -> Result<(), Failure> {
    std::process::exit(again.status()?.code().unwrap_or(1))
}
