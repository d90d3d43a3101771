//! `tinysweep slot`: the process of one slot of a worker, which alone starts it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;
use tinysweep_worker::{
    device::DeviceName,
    folders::Folders,
    slot::{self, Launch},
};

use super::{device::DeviceArgs, power::PowerArgs};
use crate::{environment, failure::Failure};

/// Arguments of `slot`.
#[derive(Args, Debug)]
pub struct SlotArgs {
    /// The worker's folder
    #[arg(long)]
    work_dir: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    power: PowerArgs,
}

/// Trains what comes in by standard input until that ends.
pub fn execute(args: SlotArgs) -> Result<(), Failure> {
    Ok(slot::serve(Folders::below(args.work_dir), args.device.open()?, args.power.into())?)
}

/// How a worker starts the processes of its slots.
pub fn launch(work_dir: &Path, device: DeviceName, power: PowerArgs) -> Result<Launch, Failure> {
    let arguments: [OsString; 5] = ["slot".into(), "--work-dir".into(), work_dir.into(), "--device".into(), device.to_string().into()];
    let arguments = arguments.into_iter().chain(power.to_arguments().map(Into::into)).collect();
    let environment = environment::missing().map(|(variable, value)| (variable.into(), value.into())).collect();
    Ok(Launch { program: program()?, arguments, environment })
}

/// This program, and no other version of it that has been installed meanwhile.
fn program() -> std::io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.into()) } else { std::env::current_exe() }
}
