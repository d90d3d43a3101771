//! `tinysweep worker`: trains what a coordinator leases.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, thread};

use clap::Args;
use tinysweep_proto::address::Address;
use tinysweep_worker::{
    agent::{self, Settings},
    cost::Power,
    device::DeviceName,
    folders::Folders,
    program,
    slot::Slots,
};

use super::{device::DeviceArgs, leave, power::PowerArgs, slot};
use crate::failure::Failure;

/// Arguments of `worker`.
#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// The coordinator to join, as `tinysweep serve` prints it: http://HOST:PORT or http://TOKEN@HOST:PORT
    #[arg(long, env = "TINYSWEEP_JOIN", hide_env_values = true)]
    join: Address,
    /// Trials to run at once, each in a process and on a thread of its own [default: the number of cores, or 1 on a GPU]
    #[arg(long, env = "TINYSWEEP_SLOTS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: Option<u16>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    power: PowerArgs,
    /// What people see it called [default: HOST-PROCESS]
    #[arg(long, env = "TINYSWEEP_WORKER_NAME")]
    name: Option<String>,
    /// Where data sets and checkpoints are kept
    #[arg(long, env = "TINYSWEEP_WORK_DIR", default_value = "tinysweep-work")]
    work_dir: PathBuf,
    /// What sweeps can ask for in `resources: {labels: …}`; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", env = "TINYSWEEP_LABELS", value_delimiter = ',', value_parser = label)]
    labels: Vec<(String, String)>,
    /// Leave after so many trials
    #[arg(long, env = "TINYSWEEP_COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    commands: CommandsArgs,
    /// Leave when standard input ends: a worker that was started by another program then never outlives it
    #[arg(long, hide = true)]
    leave_with_stdin: bool,
}

/// What sweeps may run here beside the built-in models.
#[derive(Args, Clone, Debug, Default)]
pub struct CommandsArgs {
    /// Let sweeps run programs on this machine, with all that you may do here: anybody who can submit a sweep can then do it too
    #[arg(long, env = "TINYSWEEP_ALLOW_COMMANDS")]
    pub allow_commands: bool,
    /// Further environment variables that programs get; may be given several times
    #[arg(long, value_name = "NAME", env = "TINYSWEEP_PASS_ENV", value_delimiter = ',')]
    pub pass_env: Vec<String>,
}

impl CommandsArgs {
    /// How programs are run; none where they are not allowed.
    pub fn settings(&self, power: Power) -> Result<Option<program::Settings>, Failure> {
        if !self.allow_commands && !self.pass_env.is_empty() {
            return Err(Failure::bad_input("--pass-env means nothing without --allow-commands"));
        }
        Ok(self.allow_commands.then(|| program::Settings::of_this_process(&self.pass_env, power)).transpose()?)
    }
}

/// Works until it is told to leave, or as many trials as it is to run have ended.
pub async fn execute(args: WorkerArgs) -> Result<(), Failure> {
    let host = host_name();
    args.device.open()?; // its slots would only fail, one after the other
    let slots = args.slots.map_or_else(|| args.device.slots(), usize::from);
    let work_dir = std::path::absolute(args.work_dir)?;
    let trainers = Slots::new(slots, slot::launch(&work_dir, args.device.name, args.power)?);
    let settings = Settings {
        coordinator: args.join,
        name: args.name.unwrap_or_else(|| format!("{host}-{}", std::process::id())),
        slots,
        memory_mib: if args.device.name == DeviceName::Cpu { memory_mib() } else { 0 },
        device: args.device.name,
        folders: Folders::below(work_dir),
        host,
        labels: args.labels.into_iter().collect(),
        count: args.count,
        programs: args.commands.settings(args.power.into())?,
    };
    agent::run(settings, Arc::new(trainers), leave::wishes(args.leave_with_stdin)).await.map_err(Failure::bad_input)
}

/// `NAME=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() && text.len() <= 128 => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE, as in gpu=a100, of at most 128 characters".into()),
    }
}

/// Memory of this machine; 0 where that cannot be known.
fn memory_mib() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    total.map_or(0, |kib| kib / 1024)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        assert_eq!(label("gpu=a100"), Ok(("gpu".into(), "a100".into())));
        for wrong in ["", "gpu", "=a", "gpu=", &"x=y".repeat(99)] {
            assert!(label(wrong).is_err(), "{wrong}");
        }
    }
}
