//! The gRPC services: convert, call, convert.

pub mod artifacts;
mod control;
pub mod convert;
mod explain;
mod extend;
mod leaderboard;
mod logs;
pub mod session;
pub mod status;
mod submit;
pub mod sweeps;
pub mod workers;

use std::{future::Future, sync::Arc, time::Duration};

use tonic::{Response, Status};

use crate::{service::status::ServiceError, shared::Shared};

/// How long a unary call may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// All gRPC services of one coordinator.
#[derive(Clone, Debug)]
pub struct Services(Arc<Shared>);

impl Services {
    /// Serves what `shared` holds.
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

/// Answers a unary call within [`CALL_LIMIT`]. Streams set no limit: their silence has one.
async fn answer<T>(call: impl Future<Output = Result<T, ServiceError>>) -> Result<Response<T>, Status> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(Ok(message)) => Ok(Response::new(message)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Status::deadline_exceeded("the coordinator took too long; try again")),
    }
}
