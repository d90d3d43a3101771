//! `tinysweep serve`: a coordinator.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::Args;
use tinysweep_coordinator::server::{Coordinator, Settings, StartError};
use tinysweep_proto::{DEFAULT_PORT, address::Address};
use tracing::{info, warn};

use crate::{cli::worker::interrupted, failure::Failure, output};

/// Open files beside connections: the store, artifacts under way, and what the system itself needs.
const FILES: u64 = 256;

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Address to listen on; another than a loopback one needs a token
    #[arg(long, env = "TINYSWEEP_LISTEN", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT))]
    listen: SocketAddr,
    /// Shared token that every worker and client must show
    #[arg(long, env = "TINYSWEEP_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Where the database and the data sets are kept
    #[arg(long, env = "TINYSWEEP_DATA_DIR", default_value = "tinysweep-data")]
    data_dir: PathBuf,
    /// Seconds of silence after which a worker counts as lost and its trials are leased again
    #[arg(long, env = "TINYSWEEP_LEASE_SECS", default_value_t = Settings::LEASE_SECS, value_parser = clap::value_parser!(u32).range(2..=3600))]
    lease_secs: u32,
    /// The most GiB of checkpoints that are kept of trials that have ended; those of trials that may still go on always are
    #[arg(long, env = "TINYSWEEP_CHECKPOINT_GIB", default_value_t = Settings::CHECKPOINT_LIMIT_BYTES >> 30, value_parser = clap::value_parser!(u64).range(..=1 << 20))]
    checkpoint_gib: u64,
    /// The most connections at once; those beyond are closed at once. A worker needs one, each command one while it runs
    #[arg(long, env = "TINYSWEEP_MAX_CONNECTIONS", default_value_t = Settings::MAX_CONNECTIONS as u32, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,
}

/// Serves until interrupted.
pub async fn execute(args: ServeArgs) -> Result<(), Failure> {
    allow_files(u64::from(args.max_connections) + FILES);
    let token = args.token.clone();
    let settings = Settings {
        listen: args.listen,
        token: args.token,
        lease_secs: args.lease_secs,
        checkpoint_limit_bytes: args.checkpoint_gib << 30,
        max_connections: args.max_connections as usize,
        ..Settings::new(args.data_dir)
    };
    let coordinator = Coordinator::bind(settings).await.map_err(start_failure)?;
    let local = coordinator.local_addr();
    output::write(&greeting(local, token.as_deref()))?;
    coordinator.run(interrupted()).await?;
    info!("coordinator stopped; start it again and its sweeps go on");
    Ok(())
}

/// A connection is an open file, of which a process may often have 1,024 unless it asks for more.
fn allow_files(wanted: u64) {
    let allowed = rlimit::increase_nofile_limit(wanted);
    if let Some(fewer) = allowed.ok().filter(|allowed| *allowed < wanted) {
        warn!(
            allowed = fewer,
            wanted, "the system allows fewer open files than connections; raise `ulimit -n`, or lower --max-connections"
        );
    }
}

/// A coordinator that cannot start was told a wrong place: all of these are the user's to change.
pub fn start_failure(error: StartError) -> Failure {
    Failure::bad_input(error)
}

/// What to paste on other machines.
fn greeting(local: SocketAddr, token: Option<&str>) -> String {
    let host = if local.ip().is_unspecified() { "THIS-MACHINE".to_owned() } else { Address::host_of(local.ip()) };
    let address = Address { host, port: local.port(), token: token.map(ToOwned::to_owned) };
    format!(
        "coordinator on {local}\nstart workers with:  tinysweep worker --join {address}\nsubmit sweeps with:  tinysweep submit SWEEP.yaml --coordinator {address}\n"
    )
}
