//! `WorkerService`: opens sessions.

use tinysweep_proto::v1::{CoordinatorCommand, WorkerEvent, worker_service_server::WorkerService};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Services, session};
use crate::sessions::command_channel;

#[tonic::async_trait]
impl WorkerService for Services {
    type SessionStream = ReceiverStream<Result<CoordinatorCommand, Status>>;

    async fn session(&self, request: Request<Streaming<WorkerEvent>>) -> Result<Response<Self::SessionStream>, Status> {
        let (commands, outgoing) = command_channel();
        tokio::spawn(session::run(self.0.clone(), request.into_inner(), commands));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}
