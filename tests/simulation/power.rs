//! Power cuts: what was written and not synced is gone, or some of it. What was acknowledged to a worker is not.

use std::{collections::BTreeSet, fs, path::Path, sync::Mutex};

use crate::{log, scene::Scene, sql};

/// The ends that workers have told and the states of attempts, as workers call them when they are acknowledged. What was given up or cancelled
/// before its worker told an end is not among them: that end did not count, and a power cut may take the decision.
const PROMISES: &str = "
    WITH named AS (SELECT a.*, 'attempt=' || s.id || '/' || t.number || '.' || r.replicate || '#' || a.number || ' token=' || a.token AS name
      FROM attempts a JOIN replicates r ON r.id = a.replicate_id JOIN trials t ON t.id = r.trial_id JOIN sweeps s ON s.sequence = t.sweep_sequence)
    SELECT name, 'is ' || state FROM named WHERE state IN ('completed', 'failed') OR state = 'lost' AND failure IS NULL
    UNION ALL SELECT name || ' step=' || c.step, 'has this state' FROM named JOIN checkpoints c ON c.attempt_id = named.id";

/// Bytes of the header of a write-ahead log.
const HEADER: u64 = 32;

/// What of the write-ahead log is on the disk.
#[derive(Debug, Default)]
pub struct Power(Mutex<Synced>);

#[derive(Clone, Copy, Debug, Default)]
struct Synced {
    /// Names one turn of the log, which begins anew once all that is in it is in the database file, and synced there.
    salt: [u8; 8],
    bytes: u64,
}

fn salt(log: &[u8]) -> [u8; 8] {
    log.get(16..24).map_or([0; 8], |salt| salt.try_into().unwrap())
}

impl Power {
    /// All that `log` has now is on the disk.
    pub fn synced(&self, log: &Path) {
        let log = fs::read(log).unwrap();
        *self.0.lock().unwrap() = Synced { salt: salt(&log), bytes: log.len() as u64 };
    }
}

/// What the disk would have after a power cut at this moment; of what is not synced, any first part may be there.
pub struct Remains {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Remains {
    /// Of the coordinator of `scene`, while it is not within a write.
    pub fn of(scene: &Scene) -> Option<Self> {
        let database = fs::read(scene.store()).ok()?;
        let mut log = fs::read(scene.store().with_extension("db-wal")).unwrap_or_default();
        let Synced { salt: turn, bytes } = *scene.power.0.lock().unwrap();
        let synced = if turn == salt(&log) { bytes } else { HEADER };
        let loose = (log.len() as u64).saturating_sub(synced);
        let kept = synced + if scene.below(2) == 0 { 0 } else { scene.below(loose + 1) };
        log.truncate(kept as usize);
        Some(Self { database, log })
    }

    /// Puts it in the place of what is there. Nobody may have the store open.
    pub fn restore(self, scene: &Scene) {
        let before = promises(scene);
        self.put(scene);
        let (after, acknowledged) = (promises(scene), log::after("outbox: an end is acknowledged "));
        let acknowledged: BTreeSet<_> = acknowledged.into_iter().chain(log::after("outbox: a state is acknowledged ")).collect();
        // What was acknowledged and is not in the store did not count.
        for lost in before.difference(&after).filter(|promise| acknowledged.contains(&promise[0])) {
            scene.find(format!("{lost:?} was acknowledged and is lost"));
        }
    }

    fn put(self, scene: &Scene) {
        fs::write(scene.store(), self.database).unwrap();
        fs::write(scene.store().with_extension("db-wal"), self.log).unwrap();
        let _ = fs::remove_file(scene.store().with_extension("db-shm"));
    }
}

fn promises(scene: &Scene) -> BTreeSet<Vec<String>> {
    sql::rows(&scene.store(), PROMISES).into_iter().collect()
}
