//! What is kept no longer: checkpoints beyond the limit, and artifacts that nothing needs.
//!
//! Of a replicate that may still go on, the newest checkpoints stay whatever the limit. An artifact is put before anything names it, so one
//! that nothing names is kept for a while.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::{service::status::ServiceError, shared::Shared};

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_secs(600);
/// How long an artifact that nothing names is kept since it was last put or asked for.
const GRACE: Duration = Duration::from_secs(3600);

/// Tidies up until the coordinator shuts down.
pub async fn run(shared: &Shared) {
    let mut timer = interval(INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shared.stopped() => return,
            _ = timer.tick() => {}
        }
        if let Err(error) = tidy(shared, GRACE).await {
            error!(%error, "cannot tidy up; the disk fills until the next try succeeds");
        }
    }
}

async fn tidy(shared: &Shared, grace: Duration) -> Result<(), ServiceError> {
    let dropped = shared.machine.disk(shared.store.trim_checkpoints(shared.checkpoint_limit_bytes)).await?;
    let needed = shared.machine.disk(shared.store.needed_artifacts()).await?;
    let (removed, bytes) = shared.machine.disk(shared.artifacts.remove_unless(&needed, grace)).await?;
    if dropped > 0 || removed > 0 {
        info!(checkpoints = dropped, artifacts = removed, bytes, "what nothing needs any more was removed");
    }
    Ok(())
}
