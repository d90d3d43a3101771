//! What is told of a cost.

use tinysweep_proto::v1::{self, Completed, Failed, HandedBack, worker_event::Event};

use super::Cost;
use crate::report::Work;

/// An end, with what the attempt has cost.
pub fn with_cost(event: Event, cost: Option<&Cost>) -> Event {
    let cost = cost.map(cost_message);
    match event {
        Event::Completed(completed) => Event::Completed(Completed { cost, ..completed }),
        Event::Failed(failed) => Event::Failed(Failed { cost, ..failed }),
        Event::HandedBack(back) => Event::HandedBack(HandedBack { cost, ..back }),
        other => other,
    }
}

/// A cost as it is told.
pub fn cost_message(cost: &Cost) -> v1::Cost {
    let Cost { wall_seconds, device_seconds, work, peak_memory_bytes, energy } = *cost;
    let Work { steps, samples, training_seconds, answered, flops } = work;
    v1::Cost {
        wall_seconds,
        device_seconds,
        training_seconds,
        steps,
        samples,
        answered,
        flops,
        peak_memory_bytes,
        joules: energy.joules,
        joules_estimated: if energy.is_measured { 0.0 } else { energy.joules },
    }
}
