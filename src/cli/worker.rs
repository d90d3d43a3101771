//! `tinysweep worker`: trains what a coordinator leases.

use std::{io, num::NonZeroUsize, path::PathBuf, thread};

use clap::Args;
use tinysweep_proto::address::Address;
use tinysweep_worker::agent::{self, Settings};

use super::device::DeviceArgs;
use crate::failure::Failure;

/// Arguments of `worker`.
#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// The coordinator to join, as `tinysweep serve` prints it: http://HOST:PORT or http://TOKEN@HOST:PORT
    #[arg(long, env = "TINYSWEEP_JOIN", hide_env_values = true)]
    join: Address,
    /// Trials to run at once, each on one thread [default: the number of cores, or 1 on a GPU]
    #[arg(long, env = "TINYSWEEP_SLOTS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: Option<u16>,
    #[command(flatten)]
    device: DeviceArgs,
    /// What people see it called [default: HOST-PROCESS]
    #[arg(long, env = "TINYSWEEP_WORKER_NAME")]
    name: Option<String>,
    /// Where data sets and checkpoints are kept
    #[arg(long, env = "TINYSWEEP_WORK_DIR", default_value = "tinysweep-work")]
    work_dir: PathBuf,
    /// Leave when standard input ends: a worker that was started by another program then never outlives it
    #[arg(long, hide = true)]
    leave_with_stdin: bool,
}

/// Works until interrupted.
pub async fn execute(args: WorkerArgs) -> Result<(), Failure> {
    let host = host_name();
    let settings = Settings {
        coordinator: args.join,
        name: args.name.unwrap_or_else(|| format!("{host}-{}", std::process::id())),
        slots: args.slots.map_or_else(|| args.device.slots(), usize::from),
        device: args.device.open()?,
        work_dir: std::path::absolute(args.work_dir)?,
        host,
    };
    let shutdown = async {
        tokio::select! {
            () = interrupted() => {}
            () = stdin_end(), if args.leave_with_stdin => {}
        }
    };
    agent::run(settings, shutdown).await.map_err(Failure::bad_input)
}

/// Cores of this machine.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "worker".into())
}

/// Ends with Ctrl-C or, on Unix, with SIGTERM.
pub async fn interrupted() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await; // without a handler the signal ends the process anyway
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! { () = ctrl_c => {}, () = terminated => {} }
}

/// Ends with standard input. A thread of its own reads it: the runtime's would hold up the end of the program.
async fn stdin_end() {
    let (ended, end) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        _ = ended.send(());
    });
    _ = end.await;
}
