//! The host of the coordinator.

use std::{future::pending, sync::Arc};

use tinysweep_coordinator::{
    machine::Machine,
    server::{Opened, Settings},
};

use crate::{
    machine,
    network::{self, COORDINATOR},
    scene::Scene,
};

/// Serves until the host crashes.
pub async fn serve(scene: Arc<Scene>) -> turmoil::Result {
    let settings = Settings {
        lease_secs: scene.plan.lease_secs,
        heartbeat_secs: 1,
        token: network::address().token,
        ..Settings::new(scene.data_dir())
    };
    let opened = Opened::open(settings, Machine::Simulated(Arc::new(machine::Machine(scene.clone())))).await?;
    tokio::select! {
        served = opened.serve(network::listen().await?, pending()) => Ok(served?),
        never = scene.stands_still(COORDINATOR) => match never {},
    }
}
