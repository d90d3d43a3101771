//! `GetLeaderboard`: results of the store through the ranking of the domain.

use tinysweep_proto::v1;

use super::status::ServiceError;
use crate::store::Store;

/// Ranks the results of one sweep, or of all sweeps on one benchmark.
///
/// # Errors
/// The sweep or the benchmark does not exist, or the store fails.
pub async fn leaderboard(_store: &Store, _request: v1::GetLeaderboardRequest) -> Result<v1::Leaderboard, ServiceError> {
    Err(ServiceError::invalid("benchmark", "is not ranked yet"))
}
