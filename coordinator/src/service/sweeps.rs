//! `SweepService`: what users ask.

use std::time::Duration;

use tinysweep_proto::{dataset::Dataset, v1, v1::sweep_service_server::SweepService};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::info;

use super::{
    Services, answer, control, convert, explain, extend, leaderboard, logs,
    status::ServiceError,
    submit::{self, Submitted},
};
use crate::{
    domain::{
        ids::{AttemptKey, AttemptNumber, Fence, LeaseToken, ReplicateKey, SweepId},
        lifecycle::SweepState,
    },
    shared::Shared,
    store::{RunningRecord, SweepRecord, WorkerState},
};

/// The most trials of one answer.
const PAGE_LIMIT: u32 = 1000;
/// How often a watcher is told.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

#[tonic::async_trait]
impl SweepService for Services {
    type StreamLogsStream = ReceiverStream<Result<v1::StreamLogsResponse, Status>>;
    type WatchSweepStream = ReceiverStream<Result<v1::SweepProgress, Status>>;

    async fn submit_sweep(&self, request: Request<v1::SubmitSweepRequest>) -> Result<Response<v1::SubmitSweepResponse>, Status> {
        answer(async {
            let v1::SubmitSweepRequest { yaml, file_name, dataset } = request.into_inner();
            let dataset = dataset.map(Dataset::try_from).transpose()?;
            let Submitted { sweep, note, waits } = submit::submit(&self.0, yaml, file_name, dataset).await?;
            Ok(v1::SubmitSweepResponse { sweep: Some(convert::sweep(sweep)), note, waits })
        })
        .await
    }

    async fn list_sweeps(&self, _: Request<v1::ListSweepsRequest>) -> Result<Response<v1::ListSweepsResponse>, Status> {
        answer(async {
            let sweeps = self.0.machine.disk(self.0.store.sweeps()).await?;
            Ok(v1::ListSweepsResponse { sweeps: sweeps.into_iter().map(convert::sweep).collect() })
        })
        .await
    }

    async fn get_sweep(&self, request: Request<v1::GetSweepRequest>) -> Result<Response<v1::GetSweepResponse>, Status> {
        answer(async {
            let id = self.0.machine.disk(self.0.store.find_sweep(&request.into_inner().sweep)).await?;
            Ok(v1::GetSweepResponse { sweep: Some(convert::sweep(self.0.machine.disk(self.0.store.sweep(&id)).await?)) })
        })
        .await
    }

    async fn list_trials(&self, request: Request<v1::ListTrialsRequest>) -> Result<Response<v1::ListTrialsResponse>, Status> {
        answer(async {
            let v1::ListTrialsRequest { sweep, page_size, page_token } = request.into_inner();
            let id = self.0.machine.disk(self.0.store.find_sweep(&sweep)).await?;
            let size = if page_size == 0 { PAGE_LIMIT } else { page_size.min(PAGE_LIMIT) };
            let first = if page_token.is_empty() { Ok(0) } else { page_token.parse() };
            let first = first.map_err(|_| ServiceError::invalid("page_token", "is none that this coordinator gave"))?;
            let trials = self.0.store.trials(&id, first, size).await?;
            let next = trials.last().filter(|_| trials.len() == size as usize).map(|last| (last.number + 1).to_string());
            Ok(v1::ListTrialsResponse {
                trials: trials.into_iter().map(|trial| convert::trial(&id, trial)).collect(),
                next_page_token: next.unwrap_or_default(),
            })
        })
        .await
    }

    async fn get_trial(&self, request: Request<v1::GetTrialRequest>) -> Result<Response<v1::GetTrialResponse>, Status> {
        answer(async {
            let v1::GetTrialRequest { sweep, trial: number } = request.into_inner();
            let id = self.0.machine.disk(self.0.store.find_sweep(&sweep)).await?;
            let trial = self.0.machine.disk(self.0.store.trial(&id, number)).await?;
            let replicates = self.0.machine.disk(self.0.store.replicates(&id, number)).await?;
            Ok(v1::GetTrialResponse {
                trial: Some(convert::trial(&id, trial)),
                replicates: replicates.into_iter().map(convert::replicate).collect(),
            })
        })
        .await
    }

    async fn get_leaderboard(&self, request: Request<v1::GetLeaderboardRequest>) -> Result<Response<v1::Leaderboard>, Status> {
        answer(leaderboard::leaderboard(&self.0.store, request.into_inner())).await
    }

    async fn control_sweep(&self, request: Request<v1::ControlSweepRequest>) -> Result<Response<v1::ControlSweepResponse>, Status> {
        answer(async {
            let request = request.into_inner();
            let verb = convert::verb(request.verb())?;
            let id = self.0.machine.disk(self.0.store.find_sweep(&request.sweep)).await?;
            control::control(&self.0, &id, verb).await?;
            Ok(v1::ControlSweepResponse { sweep: Some(convert::sweep(self.0.machine.disk(self.0.store.sweep(&id)).await?)) })
        })
        .await
    }

    async fn update_sweep(&self, request: Request<v1::UpdateSweepRequest>) -> Result<Response<v1::UpdateSweepResponse>, Status> {
        answer(async {
            let request = request.into_inner();
            let changes = convert::changes(&request)?;
            let id = self.0.machine.disk(self.0.store.find_sweep(&request.sweep)).await?;
            self.0.machine.disk(self.0.store.change(&id, changes)).await?;
            info!(sweep = %id, ?changes, "sweep changed");
            self.0.wake.notify_one();
            Ok(v1::UpdateSweepResponse { sweep: Some(convert::sweep(self.0.machine.disk(self.0.store.sweep(&id)).await?)) })
        })
        .await
    }

    async fn extend_sweep(&self, request: Request<v1::ExtendSweepRequest>) -> Result<Response<v1::ExtendSweepResponse>, Status> {
        answer(extend::extend(&self.0, request.into_inner())).await
    }

    async fn explain_trial(&self, request: Request<v1::ExplainTrialRequest>) -> Result<Response<v1::ExplainTrialResponse>, Status> {
        answer(async {
            let v1::ExplainTrialRequest { sweep, trial } = request.into_inner();
            let id = self.0.machine.disk(self.0.store.find_sweep(&sweep)).await?;
            explain::explain(&self.0, &id, trial).await
        })
        .await
    }

    async fn get_state(&self, request: Request<v1::GetStateRequest>) -> Result<Response<v1::GetStateResponse>, Status> {
        answer(async {
            let v1::GetStateRequest { sweep, trial, replicate, step } = request.into_inner();
            let sweep = self.0.store.find_sweep(&sweep).await?;
            let config_json = self.0.store.trial(&sweep, trial).await?.config_json;
            let dataset = self.0.store.sweep(&sweep).await?.dataset;
            let checkpoint = self.0.store.kept_state(&ReplicateKey { sweep, trial, replicate }, step).await?;
            let checkpoint = Some(convert::checkpoint_message(checkpoint));
            Ok(v1::GetStateResponse { checkpoint, config_json, dataset: dataset.as_ref().map(Into::into) })
        })
        .await
    }

    async fn stream_logs(&self, request: Request<v1::StreamLogsRequest>) -> Result<Response<Self::StreamLogsStream>, Status> {
        logs::stream(&self.0, request.into_inner()).await
    }

    async fn drain_worker(&self, request: Request<v1::DrainWorkerRequest>) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        answer(async {
            let worker = control::drain(&self.0, &request.into_inner().worker).await?;
            Ok(v1::DrainWorkerResponse { worker: Some(convert::worker(worker, None, Some("it is about to leave".to_owned()))) })
        })
        .await
    }

    async fn watch_sweep(&self, request: Request<v1::WatchSweepRequest>) -> Result<Response<Self::WatchSweepStream>, Status> {
        let id = self.0.store.find_sweep(&request.into_inner().sweep).await.map_err(ServiceError::from)?;
        let (sender, receiver) = mpsc::channel(1);
        let shared = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = watch(&shared, &id, &sender) => {}
                // A watcher that does not read now will not read this either.
                () = shared.stopped() => drop(sender.try_send(Err(Status::unavailable("the coordinator shuts down")))),
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn list_workers(&self, _: Request<v1::ListWorkersRequest>) -> Result<Response<v1::ListWorkersResponse>, Status> {
        answer(async {
            let (now, now_ms) = (Instant::now(), self.0.machine.now_ms());
            let workers = self.0.machine.disk(self.0.store.workers()).await?.into_iter().map(|worker| {
                let silence = self.0.sessions.silence(&worker.greeting.id, now).filter(|_| worker.state == WorkerState::Connected);
                let heard_ms = silence.map(|silence| now_ms.saturating_sub_unsigned(silence.as_millis().try_into().unwrap_or(u64::MAX)));
                let withheld = self.0.sessions.withheld(&worker.greeting.id, now_ms);
                convert::worker(worker, heard_ms, withheld)
            });
            Ok(v1::ListWorkersResponse { workers: workers.collect() })
        })
        .await
    }
}

/// Sends the state of a sweep until it is final, or until nobody reads any more.
async fn watch(shared: &Shared, id: &SweepId, sender: &mpsc::Sender<Result<v1::SweepProgress, Status>>) {
    let mut timer = interval(WATCH_INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut best = Best::default();
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = sender.closed() => return,
        }
        let (message, last) = match progress(shared, id, &mut best).await {
            Ok((progress, state)) => (Ok(progress), !state.is_open()),
            Err(error) => (Err(error.into()), true),
        };
        if sender.send(message).await.is_err() || last {
            return;
        }
    }
}

/// The best trial, which changes only when a replicate completes.
#[derive(Default)]
struct Best {
    completed: u32,
    trial: Option<(String, f64)>,
}

async fn progress(shared: &Shared, id: &SweepId, best: &mut Best) -> Result<(v1::SweepProgress, SweepState), ServiceError> {
    let sweep: SweepRecord = shared.store.sweep(id).await?;
    let state = sweep.state;
    if sweep.counts.completed != best.completed {
        *best = Best { completed: sweep.counts.completed, trial: shared.store.best(id).await? };
    }
    let running = shared.store.running(id).await?.into_iter().map(|record| {
        let live = shared.live.get(&key(id, &record));
        convert::running(record, live)
    });
    let progress = v1::SweepProgress {
        running: running.collect(),
        sweep: Some(convert::sweep(sweep)),
        best_name: best.trial.as_ref().map(|(name, _)| name.clone()),
        best_metric: best.trial.as_ref().map(|(_, metric)| *metric),
        workers: shared.sessions.len().try_into().unwrap_or(u32::MAX),
    };
    Ok((progress, state))
}

fn key(sweep: &SweepId, record: &RunningRecord) -> AttemptKey {
    let replicate = ReplicateKey { sweep: sweep.clone(), trial: record.trial, replicate: record.replicate };
    AttemptKey { replicate, fence: Fence { number: AttemptNumber(record.attempt), token: LeaseToken(record.token) } }
}
