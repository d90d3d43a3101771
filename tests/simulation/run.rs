//! One run, from its seed to what is wrong with it.

use std::{
    cell::Cell,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::{Arc, Mutex, Once, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use turmoil::{Builder, Sim};

use crate::{
    audit::{self, Rule},
    coordinator,
    log::{self, Log},
    network::COORDINATOR,
    plan::{Fault, Plan},
    scene::{Scene, Weather},
    sql,
    storm::{self, Storm},
    user, worker,
};

/// Time is cut into pieces of this length; within each, hosts take turns.
const TICK: Duration = Duration::from_millis(10);
/// Once nothing happens any more, all must have ended within this.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is left of a run.
pub struct Ended {
    /// What is wrong.
    pub findings: Vec<String>,
    /// All that was logged.
    pub log: Vec<String>,
    /// Of the log and of what the store has.
    pub hash: u64,
    pub simulated: Duration,
    /// Attempts that began.
    pub attempts: u64,
}

/// Beside what holds for every store: each step that counts was reported by the run that belongs to its attempt.
const RULES: [Rule; 4] = [
    (
        "an attempt with points of several runs",
        "SELECT attempt_id, COUNT(DISTINCT value) FROM metric_points WHERE name = 'train/run' GROUP BY attempt_id HAVING COUNT(DISTINCT value) > 1",
    ),
    (
        "a run with points in several attempts",
        "SELECT value, COUNT(DISTINCT attempt_id) FROM metric_points WHERE name = 'train/run' GROUP BY value HAVING COUNT(DISTINCT attempt_id) > 1",
    ),
    (
        "a line that its attempt has said once, and the store has more often",
        "SELECT attempt_id, text, COUNT(*) FROM log_lines WHERE text LIKE 'at step %' GROUP BY attempt_id, text HAVING COUNT(*) > 1",
    ),
    (
        "a step of a completed replicate that none of its attempts has reported",
        "SELECT r.id, p.step FROM replicates r JOIN trials t ON t.id = r.trial_id
         JOIN trials ft ON ft.sweep_sequence = 1 AND ft.config_hash = t.config_hash JOIN replicates f ON f.trial_id = ft.id AND f.replicate = r.replicate
         JOIN results o ON o.replicate_id = f.id JOIN metric_points p ON p.attempt_id = o.attempt_id
         WHERE r.state = 'completed'
         EXCEPT SELECT a.replicate_id, p.step FROM attempts a JOIN metric_points p ON p.attempt_id = a.id",
    ),
];

/// Sets the cursor of a worker back whenever it has moved.
const FORGETS_EVENTS: &str = "
    CREATE TRIGGER forgets_events AFTER UPDATE OF applied_seq ON workers
    BEGIN UPDATE workers SET applied_seq = OLD.applied_seq WHERE id = NEW.id; END";

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Tasks that panic end in silence; here they are counted.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            usual(panic);
        }));
    });
    PANICS.set(0);
}

/// tokio numbers tasks across the process, and by these numbers orders their ends when a runtime ends: every run begins with the same ones,
/// but for a multiple.
fn align_tasks() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let next = || runtime.spawn(async {}).id().to_string().parse::<u64>().unwrap();
    while !next().is_multiple_of(1024) {}
}

/// Runs a plan to its end. One at a time, or the tasks of one would be numbered by what another does.
pub fn run(plan: Plan) -> Ended {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    align_tasks();
    count_panics();
    let scene = Scene::new(plan);
    let log = Log::begin(scene.folder.path());
    log::note(Duration::ZERO, &format!("{:?}", scene.plan));
    let mut sim = build(&scene);
    if let Err(error) = simulate(&scene, &mut sim) {
        scene.find(error);
    }
    let simulated = sim.elapsed();
    storm::crash(&mut sim, &scene);
    drop(sim);
    // A power cut may take metric points, but nothing else, and never mixes those of two runs.
    let is_about_points = |what: &str| what.contains("metric point") || what.contains("a step");
    let rules = audit::RULES.iter().chain(&RULES).filter(|(what, _)| !scene.plan.has_power_cuts || !is_about_points(what));
    audit::breaches(&scene.store(), rules).into_iter().for_each(|breach| scene.find(breach));
    if PANICS.get() > 0 {
        scene.find("something panicked".into());
    }
    let log = log.end();
    let findings = scene.findings();
    let hash = digest(&log, &scene.store());
    Ended { findings, hash, log, simulated, attempts: scene.jobs.count() }
}

fn build(scene: &Arc<Scene>) -> Sim<'static> {
    let mut sim = Builder::new()
        .rng_seed(scene.plan.seed)
        .epoch(UNIX_EPOCH)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(1 << 20))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(scene.plan.latency)
        .tcp_capacity(1024)
        .enable_random_order()
        .build();
    sim.host(COORDINATOR, {
        let scene = scene.clone();
        move || coordinator::serve(scene.clone())
    });
    for index in 0..scene.plan.workers {
        sim.host(worker::name(index), {
            let scene = scene.clone();
            move || worker::work(scene.clone(), index)
        });
    }
    sim.client("user", user::work(scene.clone()));
    sim
}

/// Goes from dawn through the storm to the end of all sweeps.
fn simulate(scene: &Arc<Scene>, sim: &mut Sim<'_>) -> Result<(), String> {
    let step = |sim: &mut Sim<'_>| sim.step().map_err(|error| format!("a host failed: {error}"));
    while scene.weather() == Weather::Dawn {
        step(sim)?;
        if sim.elapsed() > PATIENCE {
            return Err("the first sweep does not end".into());
        }
    }
    if scene.plan.fault == Some(Fault::ForgetsEvents) {
        sql::rows(&scene.store(), FORGETS_EVENTS);
    }
    let mut storm = Storm::new(scene.clone(), sim.elapsed());
    let end = sim.elapsed() + scene.plan.storm;
    sim.set_fail_rate(scene.plan.loss.map_or(0.0, |of| 1.0 / of as f64));
    while sim.elapsed() < end {
        let now = sim.elapsed();
        storm.pass(sim, now);
        step(sim)?;
    }
    storm.end(sim, end);
    scene.turns(Weather::Calm);
    while !step(sim)? {
        if sim.elapsed() > end + PATIENCE {
            return Err(format!(
                "the user does not see the end of all {} s after the storm; there run {:?}",
                PATIENCE.as_secs(),
                scene.jobs.running()
            ));
        }
    }
    // Whoever still runs what has ended must hear of it.
    let last = sim.elapsed() + Duration::from_secs(2 * u64::from(scene.plan.lease_secs) + 15);
    while sim.elapsed() < last && !scene.jobs.running().is_empty() {
        step(sim)?;
    }
    for running in scene.jobs.running() {
        scene.find(format!("everything has ended, and yet there runs {running}"));
    }
    Ok(())
}

fn digest(log: &[String], store: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    log.hash(&mut hasher);
    if store.exists() {
        for table in ["replicates", "attempts", "metric_points", "final_metrics", "workers"] {
            sql::rows(store, &format!("SELECT * FROM {table}")).hash(&mut hasher);
        }
    }
    hasher.finish()
}
