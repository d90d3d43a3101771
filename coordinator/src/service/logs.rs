//! What the attempts at a trial say, as it comes.

use std::{sync::Arc, time::Duration};

use tinysweep_proto::v1;
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::status::ServiceError;
use crate::{domain::ids::SweepId, shared::Shared};

/// How often new lines are looked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// Lines of one message.
const LINES: u32 = 500;

type Sender = mpsc::Sender<Result<v1::StreamLogsResponse, Status>>;

/// Streams the lines of a trial; with `follow` until it has ended.
///
/// # Errors
/// There is no such trial.
pub async fn stream(
    shared: &Arc<Shared>,
    request: v1::StreamLogsRequest,
) -> Result<Response<ReceiverStream<Result<v1::StreamLogsResponse, Status>>>, Status> {
    let v1::StreamLogsRequest { sweep, trial, follow } = request;
    let id = shared.store.find_sweep(&sweep).await.map_err(ServiceError::from)?;
    shared.store.trial(&id, trial).await.map_err(ServiceError::from)?;
    let (sender, receiver) = mpsc::channel(1);
    let shared = shared.clone();
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = send(&shared, &id, trial, follow, &sender) => ended.map_err(Status::from),
            () = sender.closed() => return,
            () = shared.stopped() => Err(Status::unavailable("the coordinator shuts down")),
        };
        if let Err(status) = ended {
            // A reader that does not read now will not read this either.
            let _ = sender.try_send(Err(status));
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

async fn send(shared: &Shared, sweep: &SweepId, trial: u32, follow: bool, sender: &Sender) -> Result<(), ServiceError> {
    let mut after = 0;
    loop {
        // Whether it has ended is asked before the lines are read, so that none that came in between is missed.
        let has_ended = !follow || shared.store.trial(sweep, trial).await?.state.is_final();
        loop {
            let lines = shared.store.log_lines(sweep, trial, after, LINES).await?;
            let Some(last) = lines.last() else { break };
            after = last.id;
            let lines = lines.into_iter().map(|line| v1::LogLine {
                replicate: line.replicate,
                attempt: line.attempt,
                at_ms: line.at_ms,
                text: line.text,
            });
            if sender.send(Ok(v1::StreamLogsResponse { lines: lines.collect() })).await.is_err() {
                return Ok(());
            }
        }
        if has_ended {
            return Ok(());
        }
        sleep(INTERVAL).await;
    }
}
