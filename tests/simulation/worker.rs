//! The host of a worker, which starts another life whenever one has ended.

use std::sync::Arc;

use tinysweep_worker::{
    agent::{AgentError, Means, Settings, run_by},
    device::DeviceName,
    folders::Folders,
    leave::Leave,
};
use tokio::{sync::watch, time::sleep};

use crate::{network, scene::Scene, trainer::Trainers};

/// What the host of a worker is called.
pub fn name(index: usize) -> String {
    format!("worker{index}")
}

/// Works, life after life, until the host crashes.
pub async fn work(scene: Arc<Scene>, index: usize) -> turmoil::Result {
    let name = name(index);
    tokio::select! {
        refused = live(&scene, index) => refused,
        never = scene.stands_still(&name) => match never {},
    }
}

async fn live(scene: &Arc<Scene>, index: usize) -> turmoil::Result {
    loop {
        let (wish, leave) = watch::channel(Leave::Stay);
        scene.listens(index, wish);
        let seed = scene.random();
        let means = Means { connect: Box::new(|address| Box::pin(network::connect(address))), seed };
        let trainers = Arc::new(Trainers { scene: scene.clone(), life: format!("{}-{seed:x}", name(index)) });
        match run_by(means, settings(scene, index), trainers, leave).await {
            Ok(()) | Err(AgentError::Unreachable(_)) => sleep(scene.ms(100, 2000)).await,
            Err(AgentError::Refused(reason)) => {
                scene.find(format!("the coordinator refuses {}: {reason}", name(index)));
                return Ok(());
            }
        }
    }
}

fn settings(scene: &Scene, index: usize) -> Settings {
    Settings {
        coordinator: network::address(),
        name: name(index),
        host: name(index),
        slots: scene.plan.slots,
        device: DeviceName::Cpu,
        folders: Folders::below(scene.folder.path().join(name(index))),
        labels: [("place".to_owned(), index.to_string())].into(),
        memory_mib: 1024,
        programs: None,
        count: None,
    }
}
