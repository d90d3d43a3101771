//! Programs as trials: any command instead of a built-in model.
//!
//! * `environment`, `find`: what a program gets of this machine, and whether it can be started here.
//! * `group`, `reaper`: its processes, none of which is left behind.
//! * `scratch`: the folder of an attempt.
//! * `pipe`, `metrics_file`, `output`, `metrics`, `log`, `said`, over `budget`: what it says, within bounds.
//! * `limits`, `ending`: when it is to end, and what its end means.
//! * `meter`: what it costs.
//! * `voice`: what is told of it.
//! * `run`, `error`: one attempt, from start to end.

mod budget;
mod ending;
mod environment;
mod error;
mod find;
mod group;
mod limits;
mod log;
mod meter;
mod metrics;
mod metrics_file;
mod output;
mod pipe;
mod reaper;
mod run;
mod said;
mod scratch;
mod voice;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use tinysweep_proto::program::{Meaning, Program};
use tokio::sync::Semaphore;

pub use environment::LET_THROUGH;
pub use run::run;

use environment::Variables;
use find::Places;
use reaper::Reaper;

use crate::{cost::Power, folders::Folders};

/// Time between SIGTERM and SIGKILL.
pub const PAUSE: Duration = Duration::from_secs(10);

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes of a stream, or of the rest of the file of metrics, that a program may be ahead.
const BYTES_AT_ONCE: f64 = 16e6;

/// The argument that makes a reaper of the program.
pub const REAPER_ARGUMENT: &str = "reap";

/// What is needed to run programs on this machine; where it is absent, none are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder in which the worker was started: programs are looked for there, and run there.
    pub folder: PathBuf,
    /// What they get of the worker's environment.
    pub variables: Variables,
    /// This very program, which ends what is left when called with [`REAPER_ARGUMENT`].
    pub executable: PathBuf,
    /// What its device is taken to draw.
    pub power: Power,
}

impl Settings {
    /// Those of this process; programs also get the variables `further` of its environment, and their energy is estimated by `power`.
    ///
    /// # Errors
    /// Its folder, or its own program, is gone.
    pub fn of_this_process(further: &[String], power: Power) -> io::Result<Self> {
        Ok(Self {
            folder: std::env::current_dir()?,
            variables: environment::let_through(std::env::vars_os(), further),
            executable: std::env::current_exe()?,
            power,
        })
    }

    /// Whether `program` can be started here with these parameters.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn check(&self, program: &Program, parameters: &Value) -> Result<(), String> {
        let variable = |name: &str| match name.starts_with("TINYSWEEP_") {
            true => Some("told when it starts".to_owned()),
            false => self.variables.get(name).cloned(),
        };
        let meaning = Meaning {
            parameters,
            seed: 0,
            interpreter: self.places().interpreter(),
            parameters_file: "parameters.json",
            variable: &variable,
        };
        let command = program.expand(&meaning).map_err(|error| error.to_string())?;
        self.places().check(program, &command)
    }

    fn places(&self) -> Places<'_> {
        Places { folder: &self.folder, path: self.variables.get("PATH").map_or("/usr/bin:/bin", String::as_str) }
    }
}

/// The programs of one worker.
#[derive(Debug)]
pub struct Programs {
    settings: Settings,
    reaper: Arc<Reaper>,
    /// A slot that has been given back may still be taken by a program that is being ended; the next waits for it.
    slots: Arc<Semaphore>,
    folders: Folders,
}

impl Programs {
    /// Those of a worker of so many slots, which keeps its things in `folders`.
    pub fn new(settings: Settings, slots: usize, folders: Folders) -> Self {
        let reaper = Arc::new(Reaper::new(settings.executable.clone(), REAPER_ARGUMENT));
        Self { settings, reaper, slots: Arc::new(Semaphore::new(slots)), folders }
    }
}

/// Ends the programs of a worker that has died; for a process that was started with [`REAPER_ARGUMENT`].
pub fn reap() {
    reaper::run(io::stdin().lock());
}
