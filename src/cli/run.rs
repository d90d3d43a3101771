//! `tinysweep run`: a whole sweep on this machine.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use clap::Args;
use tinysweep_coordinator::{
    domain::configuration::Configuration,
    server::{Coordinator, Settings},
};
use tinysweep_proto::{
    address::Address,
    v1::{ControlSweepRequest, GetLeaderboardRequest, GetSweepRequest, ListSweepsRequest, SweepState, SweepVerb},
};
use tinysweep_worker::{cost::Power, device::DeviceName};
use tokio::{
    process::{Child, Command},
    sync::oneshot,
    time::sleep,
};
use tracing::warn;

use crate::{
    cli::{device::DeviceArgs, leaderboard, power::PowerArgs, serve::start_failure, watch, worker},
    client::{Client, refused, request},
    failure::Failure,
    output::Format,
    progress::state_name,
    sweep_file::SweepFile,
};

/// Arguments of `run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The sweep file
    file: PathBuf,
    /// Trials to run at once, each in a process and on a thread of its own [default: the number of cores, or 1 on a GPU]
    #[arg(long, alias = "workers", env = "TINYSWEEP_SLOTS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: Option<u16>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    power: PowerArgs,
    #[command(flatten)]
    commands: worker::CommandsArgs,
    /// Where the database, the data sets and the worker's folder are kept; `tinysweep serve` finds the sweep there later
    #[arg(long, env = "TINYSWEEP_DATA_DIR", default_value = "tinysweep-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    shown: leaderboard::Shown,
    /// How the leaderboard is printed at the end
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Runs the sweep; progress goes to standard error, the leaderboard to standard output.
pub async fn execute(args: RunArgs) -> Result<(), Failure> {
    args.shown.check()?;
    args.device.open()?; // before anything else: the worker would only fail, again and again
    let file = SweepFile::load(&args.file)?;
    if file.spec.models().is_some() {
        args.shown.check_columns(&[])?; // what a program reports only its end shows
    }
    check_program(&args.commands, &file)?;
    let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let settings = Settings { listen: loopback, ..Settings::new(args.data_dir.clone()) };
    let coordinator = Coordinator::bind(settings).await.map_err(start_failure)?;
    let local = coordinator.local_addr();
    let address = Address { host: Address::host_of(local.ip()), port: local.port(), token: None };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(coordinator.run(async { _ = stopped.await }));
    let result = sweep(&args, &file, &address).await;
    drop(stop);
    serving.await??;
    result
}

/// Refuses a program that may not or cannot run here: the worker of a run is started where it is, and would only say the same.
fn check_program(commands: &worker::CommandsArgs, file: &SweepFile) -> Result<(), Failure> {
    let settings = commands.settings(Power::default())?; // what it costs is no question here
    let Some(sweep) = file.spec.program() else { return Ok(()) };
    let wrong = |problem: &str| Failure::bad_input(format!("{}: {problem}", file.file_name));
    let settings = settings.ok_or_else(|| wrong("runs a program, which is only done with --allow-commands"))?;
    let first = file.spec.proposals().map_err(Failure::bad_input)?.into_iter().next();
    match first.map(|trial| trial.config) {
        Some(Configuration::Program(parameters)) => settings.check(&sweep.program, &parameters).map_err(|problem| wrong(&problem)),
        _ => Ok(()),
    }
}

async fn sweep(args: &RunArgs, file: &SweepFile, address: &Address) -> Result<(), Failure> {
    let client = Client::connect(address).await?;
    mention_unfinished(&client, &args.data_dir).await?;
    let (submitted, _) = file.submit(&client).await?; // its worker is yet to come
    let slots = args.slots.map_or_else(|| args.device.slots(), usize::from).min(submitted.queued.max(1) as usize);
    let puzzles = file
        .data
        .as_ref()
        .map(|data| format!("; the dataset has {} training and {} test puzzles", data.dataset.train.examples, data.dataset.test.examples));
    let (id, name, trials) = (&submitted.id, &submitted.name, submitted.trials);
    eprintln!("sweep {id} ({name}): {trials} trials, {slots} at once{}", puzzles.unwrap_or_default());
    let crew = Crew {
        address: address.clone(),
        folder: args.data_dir.join("worker"),
        device: args.device.name,
        power: args.power,
        slots,
        commands: args.commands.clone(),
    };
    let state = tokio::select! {
        state = watch::follow(&client, &submitted.id) => state?,
        failure = crew.keep_working() => return Err(failure),
        () = worker::interrupted() => {
            let cancel = ControlSweepRequest { sweep: submitted.id.clone(), verb: SweepVerb::Cancel.into() };
            client.sweeps().control_sweep(request(cancel)).await.map_err(refused)?;
            return Err(anyhow::anyhow!("interrupted: sweep {} is cancelled, its results so far stay in {}", submitted.id, args.data_dir.display()).into());
        }
    };
    let wanted = GetLeaderboardRequest { sweep: submitted.id.clone(), ..GetLeaderboardRequest::default() };
    leaderboard::print(&client, wanted, &args.shown, args.output).await?;
    verdict(&client, &submitted.id, state).await
}

/// An earlier run that was killed left its sweep in the database, and it has its share of the workers.
async fn mention_unfinished(client: &Client, data_dir: &Path) -> Result<(), Failure> {
    let sweeps = client.sweeps().list_sweeps(request(ListSweepsRequest {})).await.map_err(refused)?.into_inner().sweeps;
    for sweep in sweeps.iter().filter(|sweep| sweep.state() == SweepState::Running) {
        eprintln!(
            "note: sweep {} ({}) in {} is unfinished and goes on beside this one, {} of {} trials are done; use another --data-dir to leave it alone",
            sweep.id,
            sweep.name,
            data_dir.display(),
            sweep.completed,
            sweep.trials
        );
    }
    Ok(())
}

/// A sweep with failed trials has a leaderboard too, but a script must not take it for a success.
async fn verdict(client: &Client, sweep: &str, state: SweepState) -> Result<(), Failure> {
    let wanted = GetSweepRequest { sweep: sweep.into() };
    let failed = client.sweeps().get_sweep(request(wanted)).await.map_err(refused)?.into_inner().sweep.map_or(0, |sweep| sweep.failed);
    match state {
        SweepState::Completed if failed == 0 => Ok(()),
        SweepState::Completed => {
            Err(anyhow::anyhow!("{failed} trials failed; `tinysweep serve` and then `tinysweep trials` tell why").into())
        }
        state => Err(anyhow::anyhow!("the sweep ended {}", state_name(state)).into()),
    }
}

/// The worker of a run: a process, so that the coordinator outlives whatever happens to it.
struct Crew {
    address: Address,
    folder: PathBuf,
    device: DeviceName,
    power: PowerArgs,
    /// Trials at once.
    slots: usize,
    commands: worker::CommandsArgs,
}

impl Crew {
    /// Starts the worker, and another one whenever it ends; returns only where they do not live long enough to be of use.
    async fn keep_working(&self) -> Failure {
        let mut early_deaths = 0;
        loop {
            let started = std::time::Instant::now();
            let ended = match self.start() {
                Ok(mut child) => {
                    // Waiting closes standard input, and with it the worker would leave: it is held open here.
                    let _open = child.stdin.take();
                    child.wait().await
                }
                Err(failure) => return failure,
            };
            early_deaths = if started.elapsed() < Duration::from_secs(5) { early_deaths + 1 } else { 0 };
            let log = self.log();
            if early_deaths == 3 {
                return Failure::Failed(anyhow::anyhow!("workers end as soon as they start; see {}", log.display()));
            }
            warn!(status = ?ended.ok().and_then(|status| status.code()), log = %log.display(), "the worker ended; starting another one");
            sleep(Duration::from_millis(200)).await;
        }
    }

    fn start(&self) -> Result<Child, Failure> {
        fs::create_dir_all(&self.folder)?;
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--leave-with-stdin", "--slots", &self.slots.to_string(), "--device", &self.device.to_string()]);
        command.args(self.power.to_arguments());
        command.arg("--work-dir").arg(&self.folder).arg("--join").arg(self.address.to_string());
        if self.commands.allow_commands {
            command.arg("--allow-commands").args(self.commands.pass_env.iter().flat_map(|name| ["--pass-env", name]));
        }
        Ok(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn()?)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("worker.log")
    }
}
