//! Arguments as typed, and the command that they mean: one module each.

mod backup;
mod bench;
mod control;
mod convert;
mod cost;
mod data;
mod device;
mod drain;
mod eval;
mod explain;
mod extend;
mod leaderboard;
mod leave;
mod logs;
mod parity;
mod power;
mod predict;
mod pull;
mod run;
mod score;
mod serve;
mod show;
mod slot;
mod steps;
mod submit;
mod sweeps;
mod train;
mod trial_name;
mod trials;
mod watch;
mod worker;
mod workers;

use std::io::IsTerminal;

use clap::{Parser, Subcommand};
use tinysweep_proto::v1::SweepVerb;
use tinysweep_worker::program;
use tracing_subscriber::EnvFilter;

use crate::{environment, failure::Failure};

/// Sweeps over tiny recursive models: one coordinator, many workers, an honest leaderboard.
#[derive(Parser, Debug)]
#[command(name = "tinysweep", version, max_term_width = 100)]
pub struct Arguments {
    /// What is logged to standard error, as tracing's filters say it (`info`, `tinysweep_worker=debug`)
    /// [default: info for `serve` and `worker`, warn for the others]
    #[arg(long, global = true, env = "TINYSWEEP_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a sweep on this machine: coordinator, worker with a slot per core, live progress, leaderboard
    Run(run::RunArgs),
    /// Start a coordinator; prints the command that workers join with
    Serve(serve::ServeArgs),
    /// Join a coordinator and train what it leases; may join and leave at any time
    #[command(visible_alias = "agent")]
    Worker(worker::WorkerArgs),
    /// The process of one slot of a worker, which starts it
    #[command(hide = true)]
    Slot(slot::SlotArgs),
    /// Hand a sweep file and its data to a coordinator
    Submit(submit::SubmitArgs),
    /// Follow a sweep until it ends
    Watch(watch::WatchArgs),
    /// Results, the best first, beside the published ones
    Leaderboard(leaderboard::LeaderboardArgs),
    /// All sweeps, the newest first
    Sweeps(sweeps::SweepsArgs),
    /// The trials of a sweep
    Trials(trials::TrialsArgs),
    /// One sweep, or one trial with its replicates and attempts
    Show(show::ShowArgs),
    /// Workers that are, or have been, connected
    Workers(workers::WorkersArgs),
    /// Write the trained model of a trial into a folder, from the coordinator's store
    Pull(pull::PullArgs),
    /// Why a trial waits, where it ran, why it ended
    Explain(explain::ExplainArgs),
    /// What the attempts at a trial have said
    Logs(logs::LogsArgs),
    /// Begin nothing new in a sweep until it is resumed; what runs goes on
    Pause(control::SweepArgs),
    /// Let a paused sweep go on
    Resume(control::SweepArgs),
    /// Begin nothing new in a sweep, ever; what runs goes on to its end
    Stop(control::EndArgs),
    /// End a sweep now; results so far stay
    Cancel(control::EndArgs),
    /// Queue again what has failed in a sweep
    Retry(control::SweepArgs),
    /// Train the best trials of a sweep for more steps, from the end of their training
    Extend(extend::ExtendArgs),
    /// Change a sweep's priority, share of the slots, or most replicates at once
    Set(control::SetArgs),
    /// Send a worker home: it checkpoints what it runs, hands it back and leaves
    Drain(drain::DrainArgs),
    /// Train one configuration here, without a coordinator
    Train(train::TrainArgs),
    /// Measure a checkpoint on a file of puzzles
    Eval(eval::EvalArgs),
    /// Puzzles: what the benchmarks have, files of them written and checked
    Data(data::DataArgs),
    /// Score answers to ARC tasks: pass@1 and pass@2
    Score(score::ScoreArgs),
    /// Solve puzzles with a checkpoint, and show the answer after each supervision step
    #[command(visible_alias = "solve")]
    Predict(predict::PredictArgs),
    /// Make a checkpoint of one from elsewhere: PyTorch's, read without executing anything, or safetensors
    Convert(convert::ConvertArgs),
    /// Measure what things cost here
    Bench(bench::BenchArgs),
    /// Replay a recorded run of the published reference and compare every number
    Parity(parity::ParityArgs),
    /// Copy a coordinator's store, also while it runs
    Backup(backup::BackupArgs),
    /// End the programs of a worker that has died: a worker that runs programs starts this
    #[command(hide = true, name = program::REAPER_ARGUMENT)]
    Reap,
}

/// Runs the command.
pub fn execute(arguments: Arguments) -> Result<(), Failure> {
    let log = arguments.log.as_deref().unwrap_or(match arguments.command {
        Command::Serve(_) | Command::Worker(_) => "info",
        _ => "warn",
    });
    let filter = EnvFilter::try_new(log).map_err(|error| Failure::bad_input(format!("--log {log}: {error}")))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    environment::choose_bf16_unit()?;
    match arguments.command {
        Command::Run(args) => block_on(run::execute(args)),
        Command::Serve(args) => block_on(serve::execute(args)),
        Command::Worker(args) => block_on(worker::execute(args)),
        Command::Slot(args) => slot::execute(args),
        Command::Submit(args) => block_on(submit::execute(args)),
        Command::Watch(args) => block_on(watch::execute(args)),
        Command::Leaderboard(args) => block_on(leaderboard::execute(args)),
        Command::Sweeps(args) => block_on(sweeps::execute(args)),
        Command::Trials(args) => block_on(trials::execute(args)),
        Command::Show(args) => block_on(show::execute(args)),
        Command::Workers(args) => block_on(workers::execute(args)),
        Command::Pull(args) => block_on(pull::execute(args)),
        Command::Explain(args) => block_on(explain::execute(args)),
        Command::Logs(args) => block_on(logs::execute(args)),
        Command::Pause(args) => block_on(control::execute(args, SweepVerb::Pause)),
        Command::Resume(args) => block_on(control::execute(args, SweepVerb::Resume)),
        Command::Stop(args) => block_on(control::execute(args.into(), SweepVerb::Stop)),
        Command::Cancel(args) => block_on(control::execute(args.into(), SweepVerb::Cancel)),
        Command::Retry(args) => block_on(control::execute(args, SweepVerb::Retry)),
        Command::Extend(args) => block_on(extend::execute(args)),
        Command::Set(args) => block_on(control::set(args)),
        Command::Drain(args) => block_on(drain::execute(args)),
        Command::Train(args) => {
            environment::ensure()?;
            train::execute(&args)
        }
        Command::Eval(args) => {
            environment::ensure()?;
            eval::execute(&args)
        }
        Command::Data(args) => data::execute(&args),
        Command::Score(args) => score::execute(&args),
        Command::Predict(args) => {
            environment::ensure()?;
            predict::execute(&args)
        }
        Command::Convert(args) => convert::execute(&args),
        Command::Bench(args) => block_on(bench::execute(args)),
        Command::Parity(args) => {
            environment::ensure()?;
            parity::execute(&args)
        }
        Command::Backup(args) => block_on(backup::execute(args)),
        Command::Reap => {
            program::reap();
            Ok(())
        }
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(command)
}
