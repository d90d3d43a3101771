//! A coordinator as a process runs it: [`Coordinator::bind`], then [`Coordinator::run`].

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tinysweep_proto::{
    ANSWER_LIMIT_BYTES, DEFAULT_PORT, MESSAGE_LIMIT_BYTES,
    v1::{
        FILE_DESCRIPTOR_SET, artifact_service_server::ArtifactServiceServer, sweep_service_server::SweepServiceServer,
        worker_service_server::WorkerServiceServer,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::timeout,
};
use tokio_stream::Stream;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{
        Server,
        server::{Connected, Router},
    },
};
use tracing::{info, warn};

use crate::{
    artifacts::{ArtifactError, Artifacts},
    auth::TokenCheck,
    connections,
    machine::Machine,
    reconcile, retention,
    service::Services,
    shared::{Limits, Shared},
    store::{OpenError, Store, StoreError},
};

/// Calls that one connection may have open at once.
const CALLS_PER_CONNECTION: u32 = 256;
/// A connection over which nothing has come for as long is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How long open calls may take to end when the coordinator shuts down.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// What a coordinator is told when it starts.
#[derive(Clone)]
pub struct Settings {
    /// Address to listen on; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where the database and the artifacts are kept.
    pub data_dir: PathBuf,
    /// Shared token that every worker and client must show.
    pub token: Option<String>,
    /// Seconds of silence after which a worker counts as lost; at least 1.
    pub lease_secs: u32,
    /// Seconds within which each side says something; at least 1.
    pub heartbeat_secs: u32,
    /// The most bytes of checkpoints that are kept, those of replicates that may still go on apart.
    pub checkpoint_limit_bytes: u64,
    /// The most connections at once; those beyond are closed at once.
    pub max_connections: usize,
}

impl Settings {
    /// What [`Settings::lease_secs`] is unless told otherwise.
    pub const LEASE_SECS: u32 = 15;
    /// What [`Settings::heartbeat_secs`] is unless told otherwise.
    pub const HEARTBEAT_SECS: u32 = 3;
    /// What [`Settings::checkpoint_limit_bytes`] is unless told otherwise.
    pub const CHECKPOINT_LIMIT_BYTES: u64 = 20 << 30;
    /// What [`Settings::max_connections`] is unless told otherwise: of idle ones, some 35 KiB each.
    pub const MAX_CONNECTIONS: usize = 4096;

    /// A coordinator on this machine alone, on the usual port.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)),
            data_dir,
            token: None,
            lease_secs: Self::LEASE_SECS,
            heartbeat_secs: Self::HEARTBEAT_SECS,
            checkpoint_limit_bytes: Self::CHECKPOINT_LIMIT_BYTES,
            max_connections: Self::MAX_CONNECTIONS,
        }
    }
}

/// Why a coordinator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Others could use it.
    #[error("listening on {0} lets other machines in; give a token with --token, or listen on 127.0.0.1")]
    NeedsToken(SocketAddr),
    /// Not a token that can be sent.
    #[error("a token is one or more printable ASCII characters without spaces or `@`")]
    BadToken,
    /// Another program has the port, or the address is not this machine's.
    #[error("cannot listen on {address}: {source}; stop what uses it, or choose another with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store, once open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The artifacts.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
}

/// Why a coordinator ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The network side failed.
    #[error("the server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The services cannot be described.
    #[error("the reflection service cannot be built: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A coordinator that listens and does not answer yet.
#[derive(Debug)]
pub struct Coordinator {
    listener: TcpListener,
    address: SocketAddr,
    max_connections: usize,
    opened: Opened,
}

/// A coordinator whose store is open, and that nobody can reach yet.
#[derive(Debug)]
pub struct Opened {
    shared: Arc<Shared>,
    check: TokenCheck,
}

impl Coordinator {
    /// Opens the store and the port.
    ///
    /// # Errors
    /// Each kind of [`StartError`]; nothing is left open.
    pub async fn bind(settings: Settings) -> Result<Self, StartError> {
        let Settings { listen, max_connections, .. } = settings;
        check_token(listen, settings.token.as_deref())?;
        let listen_error = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        Ok(Self { listener, address, max_connections, opened: Opened::open(settings, Machine::Real).await? })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`. Then sessions are told that the coordinator is unavailable, and the store is closed.
    ///
    /// # Errors
    /// The network side fails.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { listener, address, max_connections, opened } = self;
        info!(%address, lease_secs = opened.shared.lease.as_secs(), token = opened.check.asks(), "coordinator serves");
        opened.serve(connections::incoming(listener, max_connections), shutdown).await
    }
}

impl Opened {
    /// Opens the store on a machine, without a port to listen on.
    ///
    /// # Errors
    /// Each kind of [`StartError`] but those of a listener; nothing is left open.
    pub async fn open(settings: Settings, machine: Machine) -> Result<Self, StartError> {
        let Settings { listen: _, data_dir, token, lease_secs, heartbeat_secs, checkpoint_limit_bytes, max_connections: _ } = settings;
        let store = machine.disk(Store::open(&data_dir)).await?;
        let artifacts = machine.disk(Artifacts::open(&data_dir)).await?;
        let lease = seconds(lease_secs);
        // With two missed heartbeats a worker is still here.
        let heartbeat = seconds(heartbeat_secs.min(lease_secs / 3));
        let shared = Shared::new(machine, store, artifacts, Limits { lease, heartbeat, checkpoint_limit_bytes }).await?;
        Ok(Self { shared: Arc::new(shared), check: TokenCheck::new(token.as_deref()) })
    }

    /// Serves the connections that come in until `shutdown`. Then sessions are told that the coordinator is unavailable, and the store is
    /// closed.
    ///
    /// # Errors
    /// The network side fails.
    pub async fn serve<C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static>(
        self,
        incoming: impl Stream<Item = io::Result<C>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let Self { shared, check } = self;
        let router = router(&shared, &check).await?;
        let reconciler = tokio::spawn({
            let shared = shared.clone();
            async move {
                tokio::select! {
                    biased;
                    ((), ()) = async { tokio::join!(reconcile::run(&shared), retention::run(&shared)) } => {}
                    () = shared.durability.run() => {}
                }
            }
        });
        let result = {
            let server = router.serve_with_incoming_shutdown(incoming, shared.stopped());
            tokio::pin!(server);
            tokio::select! {
                biased;
                result = &mut server => result,
                () = shutdown => {
                    shared.stopping.send_replace(true);
                    timeout(SHUTDOWN_PATIENCE, server).await.unwrap_or_else(|_| {
                        warn!(?SHUTDOWN_PATIENCE, "some connections did not end in time; they are cut");
                        Ok(())
                    })
                }
            }
        };
        shared.stopping.send_replace(true);
        // It ends by itself now; if it has panicked, the panic has been reported.
        let _ = reconciler.await;
        shared.store.close().await;
        info!("coordinator stopped");
        Ok(result?)
    }
}

fn seconds(secs: u32) -> Duration {
    Duration::from_secs(secs.max(1).into())
}

fn check_token(listen: SocketAddr, token: Option<&str>) -> Result<(), StartError> {
    match token {
        None if !listen.ip().is_loopback() => Err(StartError::NeedsToken(listen)),
        // `@` ends the token in an address.
        Some(token) if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@') => Err(StartError::BadToken),
        _ => Ok(()),
    }
}

async fn router(shared: &Arc<Shared>, check: &TokenCheck) -> Result<Router, ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SweepServiceServer<Services>>().await;
    health.set_serving::<WorkerServiceServer<Services>>().await;
    health.set_serving::<ArtifactServiceServer<Services>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let services = Services::new(shared.clone());
    macro_rules! limited {
        ($server:ident) => {
            InterceptedService::new(
                $server::new(services.clone()).max_decoding_message_size(MESSAGE_LIMIT_BYTES).max_encoding_message_size(ANSWER_LIMIT_BYTES),
                check.clone(),
            )
        };
    }
    Ok(Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(CALLS_PER_CONNECTION)
        // Health says nothing that an open port does not say, and those who ask for it seldom have a token.
        .add_service(health_service)
        .add_service(InterceptedService::new(reflection, check.clone()))
        .add_service(limited!(SweepServiceServer))
        .add_service(limited!(WorkerServiceServer))
        .add_service(limited!(ArtifactServiceServer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_a_token() {
        let check = |listen: &str, token| check_token(listen.parse().unwrap(), token).map_err(|error| error.to_string());
        assert_eq!(check("127.0.0.1:1", None), Ok(()));
        assert_eq!(check("[::1]:1", None), Ok(()));
        assert_eq!(check("0.0.0.0:1", Some("secret")), Ok(()));
        assert!(check("0.0.0.0:1", None).unwrap_err().contains("give a token"));
        for bad in ["", "a b", "a@b", "ä", "a\n"] {
            assert!(check("127.0.0.1:1", Some(bad)).is_err(), "{bad:?}");
        }
    }
}
