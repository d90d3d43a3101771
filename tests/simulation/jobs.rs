//! Who keeps track of what trainers do, beside what the coordinator believes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use tinysweep_proto::v1::AttemptRef;

use crate::scene::Scene;

#[derive(Debug, Default)]
struct Book {
    /// Runs so far.
    runs: u64,
    /// What has begun, by name.
    begun: BTreeSet<String>,
    running: BTreeSet<(u64, String, String)>,
}

/// What trainers do.
#[derive(Debug, Default)]
pub struct Jobs(Mutex<Book>);

/// One run of an attempt, which ends when this is dropped.
pub struct Running {
    scene: Arc<Scene>,
    /// Names the run among all others.
    pub number: u64,
    life: String,
    attempt: String,
}

impl Jobs {
    /// Notes that an attempt begins in one life of a worker. None begins twice, whatever the coordinator has forgotten meanwhile.
    pub fn begin(scene: &Arc<Scene>, life: &str, attempt: &AttemptRef) -> Running {
        let AttemptRef { sweep, trial, replicate, attempt, token } = attempt;
        let attempt = format!("{sweep}/{trial}.{replicate}#{attempt} of lease {token:x}");
        let mut book = scene.jobs.0.lock().unwrap();
        book.runs += 1;
        let number = book.runs;
        let is_first = book.begun.insert(attempt.clone());
        book.running.insert((number, life.to_owned(), attempt.clone()));
        drop(book);
        if !is_first {
            scene.find(format!("attempt {attempt} begins in {life} and had begun before"));
        }
        Running { scene: scene.clone(), number, life: life.to_owned(), attempt }
    }

    /// What runs, for people.
    pub fn running(&self) -> Vec<String> {
        self.0.lock().unwrap().running.iter().map(|(_, life, attempt)| format!("{attempt} in {life}")).collect()
    }

    /// Runs so far.
    pub fn count(&self) -> u64 {
        self.0.lock().unwrap().runs
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let run = (self.number, self.life.clone(), self.attempt.clone());
        self.scene.jobs.0.lock().unwrap().running.remove(&run);
    }
}
