//! What a store must not have in it once everything has ended, whatever happened to workers and coordinators.

use std::path::Path;

use crate::sql;

/// What is wrong, and a query that finds it.
pub type Rule = (&'static str, &'static str);

/// Every replicate ended exactly once, its attempts are numbered without gaps, and the metric points of the attempts that count are neither
/// missing nor doubled. The first sweep of the store is one that nobody has disturbed; the others are copies of it.
pub const RULES: [Rule; 8] = [
    ("a sweep that has not ended", "SELECT id, state FROM sweeps WHERE state IN ('running', 'paused', 'stopping')"),
    ("a replicate that has not ended", "SELECT id, state, attempts, reason FROM replicates WHERE state IN ('queued', 'running')"),
    (
        "a completed replicate without its one result, or another with one",
        "SELECT r.id, r.state FROM replicates r LEFT JOIN results o ON o.replicate_id = r.id
         GROUP BY r.id HAVING COUNT(o.replicate_id) <> (r.state = 'completed')",
    ),
    (
        "a completed replicate without its one completed attempt, which is the last and has the result, or another with one",
        "SELECT r.id, r.state, r.attempts FROM replicates r
         LEFT JOIN attempts a ON a.replicate_id = r.id AND a.state = 'completed' LEFT JOIN results o ON o.attempt_id = a.id
         GROUP BY r.id HAVING COUNT(a.id) <> (r.state = 'completed') OR COUNT(o.attempt_id) <> (r.state = 'completed')
           OR r.state = 'completed' AND MAX(a.number) <> r.attempts",
    ),
    (
        "a gap among the numbers of attempts",
        "SELECT r.id, r.attempts FROM replicates r LEFT JOIN attempts a ON a.replicate_id = r.id
         GROUP BY r.id HAVING COUNT(a.id) <> r.attempts OR MIN(a.number) <> 1 OR MAX(a.number) <> r.attempts",
    ),
    ("an attempt that runs", "SELECT id, worker_id FROM attempts WHERE state = 'running'"),
    (
        "a metric point of a counted attempt that is missing or should not be, by what the first, undisturbed sweep has",
        "WITH counted AS (
           SELECT a.id AS attempt, a.resumed_step, r.sweep_sequence AS sweep, t.config_hash AS trial, r.replicate, b.config_hash AS extends
           FROM results o JOIN attempts a ON a.id = o.attempt_id JOIN replicates r ON r.id = o.replicate_id JOIN trials t ON t.id = r.trial_id
           LEFT JOIN trials b ON b.id = t.extends_id),
         expected AS (
           SELECT c.attempt, p.name, p.step FROM counted c
           JOIN counted f ON f.sweep = 1 AND f.trial IN (c.trial, c.extends) AND f.replicate = c.replicate
           JOIN metric_points p ON p.attempt_id = f.attempt WHERE p.step > c.resumed_step),
         found AS (SELECT c.attempt, p.name, p.step FROM counted c JOIN metric_points p ON p.attempt_id = c.attempt)
         SELECT 'missing', * FROM (SELECT * FROM expected EXCEPT SELECT * FROM found)
         UNION ALL SELECT 'odd', * FROM (SELECT * FROM found EXCEPT SELECT * FROM expected)",
    ),
    (
        "a final metric that differs from that of the undisturbed sweep",
        "WITH final AS (
           SELECT r.sweep_sequence AS sweep, t.config_hash AS trial, r.replicate, m.name, m.value
           FROM final_metrics m JOIN replicates r ON r.id = m.replicate_id JOIN trials t ON t.id = r.trial_id)
         SELECT d.sweep, d.trial, d.replicate, d.name, d.value, f.value FROM final d
         LEFT JOIN final f ON f.sweep = 1 AND f.trial = d.trial AND f.replicate = d.replicate AND f.name = d.name
         WHERE f.value IS NULL OR f.value <> d.value",
    ),
];

/// What the store has that breaks `rules`; nothing where all is well.
pub fn breaches<'a>(store: &Path, rules: impl IntoIterator<Item = &'a Rule>) -> Vec<String> {
    assert_eq!(sql::value(store, "PRAGMA integrity_check"), "ok");
    let of = |(what, query): &Rule| {
        let rows = sql::rows(store, query);
        (!rows.is_empty()).then(|| format!("{} times {what}: {:?}", rows.len(), &rows[..rows.len().min(5)]))
    };
    rules.into_iter().filter_map(of).collect()
}
