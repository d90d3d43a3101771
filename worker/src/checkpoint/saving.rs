//! Writing a checkpoint while its model is at work: to write weights and have them on the disk takes longer than to answer many a puzzle.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use candle_core::{Device, Tensor};
use tinysweep_proto::{config::TrialConfig, dataset::Task};

use super::{CheckpointError, DESCRIPTION, Description, WEIGHTS, write};
use crate::model::Model;

/// A checkpoint whose weights are being written by a thread of their own. Without [`finish`](Self::finish) it stays without a description.
///
/// Ends with that thread, so that nothing writes into the folder after it.
#[derive(Debug)]
pub struct Saving {
    folder: PathBuf,
    puzzle_identifiers: usize,
    writing: Option<JoinHandle<Result<(), CheckpointError>>>,
}

impl Saving {
    /// Begins to write the weights of `model`, which must not change meanwhile, into `folder`, which is made if need be.
    ///
    /// # Errors
    /// The folder cannot be made, or the weights cannot be had from their device.
    pub fn begin(folder: &Path, model: &Model) -> Result<Self, CheckpointError> {
        let failed = |source| CheckpointError::Write { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let entries = model.parameters().entries().iter();
        let tensors = entries.map(|entry| Ok((entry.name.clone(), entry.var.as_detached_tensor().to_device(&Device::Cpu)?)));
        let tensors = tensors.collect::<candle_core::Result<_>>().map_err(|error| failed(io::Error::other(error)))?;
        let path = folder.join(WEIGHTS);
        let writing = thread::Builder::new().name("checkpoint".into()).spawn(move || write_weights(&path, &tensors)).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), puzzle_identifiers: model.shape().puzzle_identifiers, writing: Some(writing) })
    }

    /// Waits for the weights, and describes them, which makes the checkpoint complete.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(mut self, config: &TrialConfig, task: Task) -> Result<(), CheckpointError> {
        self.wait()?;
        let description = Description { task, puzzle_identifiers: self.puzzle_identifiers, config: config.clone() };
        let description = serde_json::to_vec_pretty(&description).expect("a struct of numbers and enums has a JSON form");
        write(&self.folder.join(DESCRIPTION), &description)
    }

    fn wait(&mut self) -> Result<(), CheckpointError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        writing.join().unwrap_or_else(|_| {
            Err(CheckpointError::Write { path: self.folder.join(WEIGHTS), source: io::Error::other("the thread that writes it panicked") })
        })
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        // What is given up needs no error.
        _ = self.wait();
    }
}

fn write_weights(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), CheckpointError> {
    let failed = |error| CheckpointError::Write { path: path.to_owned(), source: io::Error::other(error) };
    write(path, &safetensors::serialize(tensors, None).map_err(failed)?)
}
