//! What the coordinator knows and decides, without IO: no async, SQL, gRPC, files, environment or clock in here.

pub mod baselines;
pub mod checkpoint;
pub mod configuration;
pub mod cost;
pub mod extension;
pub mod failure;
pub mod fleet;
pub mod health;
pub mod ids;
pub mod leaderboard;
pub mod lifecycle;
pub mod outcome;
pub mod pareto;
pub mod plan;
pub mod policy;
pub mod retention;
pub mod sampler;
pub mod space;
pub mod spec;
pub mod statistics;

/// The most bytes that the name of a metric may have.
pub const METRIC_NAME_LIMIT: usize = 128;

/// Whether a peer's `name` may become the name of a metric.
///
/// # Errors
/// What is wrong with it, for people.
pub fn metric_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > METRIC_NAME_LIMIT || name.chars().any(char::is_control) {
        return Err(format!(
            "a metric's name is 1 to {METRIC_NAME_LIMIT} bytes without control characters, not {:?}",
            name.chars().take(METRIC_NAME_LIMIT).collect::<String>()
        ));
    }
    Ok(())
}
