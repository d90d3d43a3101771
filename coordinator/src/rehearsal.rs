//! Stores that look as if much had happened, to measure how the coordinator fares with them.

use std::path::Path;

use crate::{
    server::StartError,
    store::{Store, StoreError},
};

/// Why a store could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// It cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Completes everything that is queued in the store of `data_dir`, with one metric by `points` steps for each, as one worker would have.
/// No coordinator may run there.
///
/// # Errors
/// The store cannot be opened, or fails; then nothing has changed.
pub async fn complete_everything(data_dir: &Path, points: u32) -> Result<(), RehearsalError> {
    let store = Store::open(data_dir).await.map_err(StartError::from)?;
    store.complete_everything(points).await?;
    store.close().await;
    Ok(())
}
