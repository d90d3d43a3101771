//! Who keeps track of what trainers do, beside what the coordinator believes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use tinysweep_proto::v1::AttemptRef;

use crate::{log, scene::Scene};

#[derive(Debug, Default)]
struct Book {
    /// Runs so far.
    runs: u64,
    /// What has begun, by life of a worker and name of an attempt, and whether it has ended by itself.
    begun: BTreeMap<(String, String), bool>,
    /// Lives in which an attempt has begun, by its name.
    lives: BTreeMap<String, BTreeSet<String>>,
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
    /// Notes that an attempt begins in one life of a worker.
    pub fn begin(scene: &Arc<Scene>, life: &str, attempt: &AttemptRef) -> Running {
        let AttemptRef { sweep, trial, replicate, attempt } = attempt;
        // As the coordinator writes it.
        let attempt = format!("{sweep}/{trial}.{replicate}#{attempt}");
        let mut book = scene.jobs.0.lock().unwrap();
        book.runs += 1;
        let number = book.runs;
        let key = (life.to_owned(), attempt.clone());
        let has_ended = book.begun.insert(key, false);
        let lives = book.lives.entry(attempt.clone()).or_default();
        lives.insert(life.to_owned());
        // After a power cut the coordinator may have forgotten that it had leased a number, and to whom, but not a result.
        let is_forgotten = scene.plan.has_power_cuts && log::has(&format!("does not count any more attempt={attempt} "));
        let is_elsewhere = lives.len() > 1 && !scene.plan.has_power_cuts;
        book.running.insert((number, life.to_owned(), attempt.clone()));
        drop(book);
        match has_ended {
            Some(true) if is_forgotten => {}
            Some(true) => {
                scene.find(format!("attempt {attempt} begins again in {life}, which had told its end: the coordinator lost that"))
            }
            Some(false) => scene.find(format!("attempt {attempt} begins again in {life} while it runs there")),
            None if is_elsewhere => scene.find(format!("attempt {attempt} begins in {life} and had begun elsewhere")),
            None => {}
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

impl Running {
    /// It has said its last word, which the worker passes on.
    pub fn ends(self) {
        let key = (self.life.clone(), self.attempt.clone());
        self.scene.jobs.0.lock().unwrap().begun.insert(key, true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let run = (self.number, self.life.clone(), self.attempt.clone());
        self.scene.jobs.0.lock().unwrap().running.remove(&run);
    }
}
