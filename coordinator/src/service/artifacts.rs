//! `ArtifactService`: files in and out.

use std::time::Duration;

use tinysweep_proto::v1::{
    GetArtifactRequest, GetArtifactResponse, PutArtifactRequest, PutArtifactResponse, StatArtifactsRequest, StatArtifactsResponse,
    artifact_service_server::ArtifactService,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Services, answer, status::ServiceError};
use crate::{artifacts::Outgoing, machine::Machine};

/// The most artifacts that one call may ask about.
const STAT_LIMIT: usize = 1000;
/// Chunks that are read ahead of a slow reader.
const CHUNKS_AHEAD: usize = 4;
/// How long a sender or reader may do nothing.
const PATIENCE: Duration = Duration::from_secs(30);

#[tonic::async_trait]
impl ArtifactService for Services {
    type GetArtifactStream = ReceiverStream<Result<GetArtifactResponse, Status>>;

    async fn stat_artifacts(&self, request: Request<StatArtifactsRequest>) -> Result<Response<StatArtifactsResponse>, Status> {
        let names = request.into_inner().sha256;
        answer(async {
            if names.len() > STAT_LIMIT {
                return Err(ServiceError::invalid("sha256", format!("are {}, of {STAT_LIMIT} at the most", names.len())));
            }
            let mut present = Vec::with_capacity(names.len());
            for name in &names {
                present.push(self.0.machine.disk(self.0.artifacts.touch(name)).await?.is_some());
            }
            Ok(StatArtifactsResponse { present })
        })
        .await
    }

    async fn put_artifact(&self, request: Request<Streaming<PutArtifactRequest>>) -> Result<Response<PutArtifactResponse>, Status> {
        let mut messages = request.into_inner();
        let first = next(&mut messages).await?.ok_or_else(|| Status::invalid_argument("the first message names the artifact"))?;
        let mut incoming = self.0.machine.disk(self.0.artifacts.put(&first.sha256, first.bytes)).await.map_err(ServiceError::from)?;
        let mut message = Some(first);
        while let Some(PutArtifactRequest { chunk, .. }) = message {
            self.0.machine.disk(incoming.write(&chunk)).await.map_err(ServiceError::from)?;
            message = next(&mut messages).await?;
        }
        self.0.machine.disk(incoming.finish()).await.map_err(ServiceError::from)?;
        Ok(Response::new(PutArtifactResponse {}))
    }

    async fn get_artifact(&self, request: Request<GetArtifactRequest>) -> Result<Response<Self::GetArtifactStream>, Status> {
        let outgoing = self.0.machine.disk(self.0.artifacts.get(&request.into_inner().sha256)).await.map_err(ServiceError::from)?;
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        tokio::spawn(send(self.0.machine.clone(), outgoing, sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

async fn next(messages: &mut Streaming<PutArtifactRequest>) -> Result<Option<PutArtifactRequest>, Status> {
    timeout(PATIENCE, messages.message()).await.map_err(|_| Status::deadline_exceeded("no further chunk came"))?
}

/// Sends an artifact to its end, or until nobody reads any more.
async fn send(machine: Machine, mut outgoing: Outgoing, sender: mpsc::Sender<Result<GetArtifactResponse, Status>>) {
    loop {
        let message = match machine.disk(outgoing.next()).await {
            Ok(Some(chunk)) => Ok(GetArtifactResponse { chunk }),
            Ok(None) => return,
            Err(error) => Err(ServiceError::from(error).into()),
        };
        let last = message.is_err();
        if !matches!(timeout(PATIENCE, sender.send(message)).await, Ok(Ok(()))) || last {
            return;
        }
    }
}
