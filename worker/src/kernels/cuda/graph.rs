//! Work that is recorded once and then given to a GPU as a whole, with one launch for all of it.

use candle_core::{
    Result, bail,
    cuda_backend::{
        WrapErr,
        cudarc::driver::{CudaGraph, sys},
    },
};

use super::gpu::Gpu;

/// Recorded work.
pub struct Graph(CudaGraph);

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Graph")
    }
}

impl Graph {
    /// Does `work` once as it will be recorded: what is loaded or sent to the device at its first use is there afterwards.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn rehearse<R>(gpu: &Gpu, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let _keeps_what_is_sent = gpu.device().enable_cuda_graph_htod_cache();
        work()
    }

    /// Records what `work` gives to the device, without doing it. It reads and writes memory that is there before and stays, and has given
    /// back all other at its end.
    ///
    /// # Errors
    /// Those of `work`, and when it does what cannot be recorded: waits for the device, or sends to it what it did not in the rehearsal.
    pub fn record(gpu: &Gpu, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let stream = gpu.device().cuda_stream();
        stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).w()?;
        let done = Self::rehearse(gpu, work);
        // The recording is to be ended in any case; an error of the work explains one of the recording.
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0));
        done?;
        match graph.w()? {
            Some(graph) => Ok(Self(graph)),
            None => bail!("the work has given nothing to the device"),
        }
    }

    /// Gives the work to the device.
    ///
    /// # Errors
    /// When the device does not take it.
    pub fn launch(&self) -> Result<()> {
        self.0.launch().w()
    }
}
