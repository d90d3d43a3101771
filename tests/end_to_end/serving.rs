//! Coordinators on data that a test has prepared.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::harness::{Coordinator, Process, tinysweep};

/// The command that serves what is in `folder`, with short leases.
pub fn serve(folder: &Path) -> Command {
    let mut serve = tinysweep(folder);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--lease-secs", "2"]);
    serve
}

/// Starts a coordinator by a command from [`serve`].
pub fn start(folder: TempDir, mut serve: Command) -> Coordinator {
    let mut process = Process(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut greeting = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    let address = greeting.trim().strip_prefix("coordinator on ").unwrap_or_else(|| panic!("serve printed {greeting:?}"));
    Coordinator { address: format!("http://{address}"), folder, process: Some(process) }
}
