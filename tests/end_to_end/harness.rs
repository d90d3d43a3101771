//! Starts the program, waits for it within bounds, and leaves no process behind.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes longer, also not on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A sweep that trains in a second or two: 2 trials on 4×4 puzzles.
pub const TINY_SWEEP: &str = "\
name: tiny
benchmark: sudoku-4x4
data: {train: 64, test: 20}
config: {hidden_size: 16, num_heads: 2, h_cycles: 1, halt_max_steps: 2, puzzle_emb_len: 0, puzzle_emb_ndim: 0, inner_multiple: 16, \
train: {steps: 20, batch_size: 8, lr: 1e-3, warmup_steps: 5, ema_rate: 0.9}}
parameters:
  l_cycles: {values: [1, 2]}
";

/// The same with trials that last until they are stopped.
pub fn endless_sweep() -> String {
    TINY_SWEEP.replace("steps: 20,", "steps: 100000000,").replace("config: {", "config: {evaluation: {every: 0}, ")
}

/// The tiny sweep with its puzzles in `train.csv`, which is written here, and in `test.csv`.
pub fn sweep_of_files(folder: &Path) -> String {
    write(folder, "train.csv", "question,answer\n12.4341.2.4343.1,1234341221434321\n1.3434..21.3.321,1234341221434321\n");
    TINY_SWEEP.replace("{train: 64, test: 20}", "{train: train.csv, test: test.csv}")
}

/// A scratch folder.
pub fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes a file into a folder.
pub fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The program, in `folder`, without anything of this process's environment that it would heed.
pub fn tinysweep(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinysweep"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TINYSWEEP_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null()).env("TINYSWEEP_LOG", "warn");
    command
}

/// Runs a command to its end, which must come in time.
pub fn finish(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
    let status = wait(&mut child).unwrap_or_else(|| {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("{command:?} did not end; stderr: {}", String::from_utf8_lossy(&stderr.recv().unwrap()));
    });
    Output { status, stdout: stdout.recv().unwrap(), stderr: stderr.recv().unwrap() }
}

fn drain(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        send.send(bytes)
    });
    receive
}

/// Waits for a process to end; none where it takes too long.
pub fn wait(child: &mut Child) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

/// What a command printed, which must have succeeded.
pub fn stdout_of(command: Command) -> String {
    let output = finish(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A process that is killed when it is no longer needed.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Ends the process as a power cut would (`kill -9`).
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A coordinator in a scratch folder.
pub struct Coordinator {
    pub folder: TempDir,
    pub address: String,
    pub process: Option<Process>,
}

impl Coordinator {
    /// Starts one on a free port with short leases.
    pub fn start() -> Self {
        let folder = scratch();
        let (process, address) = serve(folder.path(), "127.0.0.1:0");
        Self { folder, address, process: Some(process) }
    }

    /// Kills it and starts it again on the same port and data.
    pub fn restart(&mut self) {
        self.process.take().unwrap().kill();
        let (process, address) = serve(self.folder.path(), self.address.strip_prefix("http://").unwrap());
        assert_eq!(address, self.address);
        self.process = Some(process);
    }

    /// A client command of this coordinator.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tinysweep(self.folder.path());
        command.args(arguments).args(["--coordinator", &self.address]);
        command
    }

    /// What a client command prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut command = self.command(arguments);
        command.args(["--output", "json"]);
        serde_json::from_str(&stdout_of(command)).unwrap()
    }

    /// Submits a sweep and returns its id.
    pub fn submit(&self, yaml: &str) -> String {
        let file = write(self.folder.path(), "sweep.yaml", yaml);
        self.json(&["submit", file.to_str().unwrap()])["sweep"].as_str().unwrap().to_owned()
    }

    /// Starts a worker with one slot in a folder of its own.
    pub fn worker(&self, name: &str) -> Process {
        self.worker_with(name, &[])
    }

    /// The same with further arguments.
    pub fn worker_with(&self, name: &str, arguments: &[&str]) -> Process {
        let mut command = tinysweep(self.folder.path());
        command.args(["worker", "--name", name, "--work-dir", name, "--join", &self.address]).env("TINYSWEEP_SLOTS", "1").args(arguments);
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Waits until `wanted` holds for the JSON that a client command prints.
    pub fn wait_for(&self, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.json(arguments);
            if wanted(&value) {
                return value;
            }
            assert!(Instant::now() < deadline, "{arguments:?} still gives {value:#}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the sweep has ended by itself.
    pub fn wait_for_end(&self, sweep: &str) -> Value {
        self.wait_for(&["show", sweep], |sweep| sweep["state"] == "completed")
    }
}

fn serve(folder: &Path, listen: &str) -> (Process, String) {
    let mut command = tinysweep(folder);
    command.args(["serve", "--listen", listen, "--lease-secs", "2"]);
    let mut process = Process(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut first_line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut first_line).unwrap();
    let address = first_line.trim().strip_prefix("coordinator on ").unwrap_or_else(|| panic!("serve printed {first_line:?}"));
    (process, format!("http://{address}"))
}
