//! Calls to a coordinator, and what their errors mean to a user.

use std::time::Duration;

use clap::Args;
use tinysweep_proto::{
    ANSWER_LIMIT_BYTES, MESSAGE_LIMIT_BYTES,
    address::Address,
    connect::{Connection, connect},
    v1::{artifact_service_client::ArtifactServiceClient, sweep_service_client::SweepServiceClient},
};
use tonic::{Code, Request, Status};

use crate::failure::Failure;

/// The deadline of every call that does not stream.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where the coordinator is.
#[derive(Args, Clone, Debug)]
pub struct CoordinatorArgs {
    /// The coordinator: http://HOST:PORT or http://TOKEN@HOST:PORT
    #[arg(long, env = "TINYSWEEP_COORDINATOR", default_value = "http://127.0.0.1:7433", hide_env_values = true)]
    pub coordinator: Address,
}

/// A connected coordinator.
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects, or says that nobody answers.
    pub async fn connect(address: &Address) -> Result<Self, Failure> {
        Ok(Self { connection: connect(address).await.map_err(Failure::bad_input)? })
    }

    /// Sweeps: submit, follow, read.
    pub fn sweeps(&self) -> SweepServiceClient<Connection> {
        SweepServiceClient::new(self.connection.clone())
            .max_decoding_message_size(ANSWER_LIMIT_BYTES)
            .max_encoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    /// The connection itself.
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Content-addressed files.
    pub fn artifacts(&self) -> ArtifactServiceClient<Connection> {
        ArtifactServiceClient::new(self.connection.clone())
    }
}

/// A request with the usual deadline.
pub fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// What a refused call means: the user's input is wrong, or the work failed.
pub fn refused(status: Status) -> Failure {
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::AlreadyExists | Code::PermissionDenied => {
            Failure::bad_input(status.message())
        }
        Code::Unauthenticated => Failure::bad_input(format!(
            "{}; give the token with --coordinator http://TOKEN@HOST:PORT or TINYSWEEP_COORDINATOR",
            status.message()
        )),
        Code::Unavailable => Failure::bad_input(format!("the coordinator is gone: {}", status.message())),
        code => Failure::Failed(anyhow::anyhow!("the coordinator answered {code:?}: {}", status.message())),
    }
}
