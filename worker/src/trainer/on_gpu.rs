//! Steps of a GPU. What they read and write stays at its place in the GPU's memory, so that one step can be recorded and then be given to
//! the GPU as a whole, again and again: nothing but the batch goes there, nothing but scores comes back, and nothing waits in between.

use candle_core::{DType, Result, Tensor, Var};

use super::{Asked, Trainer, learn};
use crate::{
    carry::Row,
    kernels::{Gpu, Graph, Workspace, upload},
    loss::{Score, numbers, scores_of},
    model::{Input, Latents},
};

/// What steps read and write.
#[derive(Debug)]
pub struct OnGpu {
    gpu: Gpu,
    _workspace: Workspace,
    /// `[batch, seq_len]`, u32.
    tokens: Tensor,
    /// The same, `u32::MAX` where nothing is asked.
    labels: Tensor,
    puzzle_rows: Option<Var>,
    /// Which examples begin afresh: `[batch, 1, 1]`, u8.
    fresh: Tensor,
    /// Which must end with the step: `[batch]`, u32.
    last: Tensor,
    start: Latents,
    states: Vec<Var>,
    scores: Var,
    puzzle_gradient: Option<Var>,
    stage: Stage,
}

/// How far the recording of a step has come.
#[derive(Debug)]
enum Stage {
    /// No step was done.
    New,
    /// One was done as it comes.
    Rehearsed,
    /// One was recorded.
    Recorded(Graph),
}

impl OnGpu {
    fn new(trainer: &Trainer) -> Result<Self> {
        let (model, carry) = (&trainer.model, &trainer.carry);
        let (device, batch) = (model.device(), carry.steps().len());
        let cells = (batch, model.shape().seq_len);
        let zeros = |width| Var::zeros((batch, width), DType::F32, device);
        let puzzle_width = model.parameters().puzzle_table().map(|table| table.dim(1)).transpose()?;
        let copy = |(_, state): (String, &Tensor)| Var::from_tensor(&state.copy()?);
        let gpu = Gpu::of(carry.latents().answer())?;
        Ok(Self {
            _workspace: Workspace::new(&gpu)?,
            gpu,
            tokens: Tensor::zeros(cells, DType::U32, device)?,
            labels: Tensor::zeros(cells, DType::U32, device)?,
            puzzle_rows: puzzle_width.map(zeros).transpose()?,
            fresh: Tensor::zeros((batch, 1, 1), DType::U8, device)?,
            last: Tensor::zeros(batch, DType::U32, device)?,
            start: model.initial_latents(batch)?,
            states: carry.latents().named().into_iter().map(copy).collect::<Result<_>>()?,
            scores: Var::zeros((batch, crate::kernels::loss::NUMBERS), DType::F64, device)?,
            puzzle_gradient: puzzle_width.map(zeros).transpose()?,
            stage: Stage::New,
        })
    }

    /// Sends what the step reads of the carry.
    fn send(&self, trainer: &Trainer) -> Result<()> {
        let carry = &trainer.carry;
        upload(&self.tokens, carry.tokens())?;
        upload(&self.labels, &numbers(carry.labels()))?;
        upload(&self.fresh, &carry.halted().iter().map(|&halted| halted.into()).collect::<Vec<u8>>())?;
        upload(&self.last, &trainer.last().map(u32::from).collect::<Vec<_>>())?;
        if let (Some(to), Some(rows)) = (&self.puzzle_rows, trainer.model.puzzle_rows(carry.identifiers())?) {
            upload(to, &rows.flatten_all()?.to_vec1::<f32>()?)?;
        }
        for (state, (_, carried)) in self.states.iter().zip(carry.latents().named()) {
            // A step leaves its states here; those that come from elsewhere are of a replay or of a saved run.
            if carried.id() != state.id() {
                state.set(carried)?;
            }
        }
        Ok(())
    }

    /// What a step gives to the GPU.
    fn work(&self, trainer: &mut Trainer) -> Result<()> {
        let mut states = self.states.iter();
        let latents = self.start.map(|start| match states.next() {
            Some(state) => self.fresh.broadcast_as(start.shape())?.where_cond(start, &state.as_detached_tensor()),
            None => candle_core::bail!("the model has more states than the carry"),
        })?;
        let input = Input { tokens: self.tokens.clone(), puzzle_rows: self.puzzle_rows.as_ref().map(|rows| rows.as_tensor().clone()) };
        let asked = Asked::OnGpu { labels: &self.labels, last: &self.last };
        let (output, graded, gradients) = learn(&trainer.model, &input, &latents, &asked)?;
        trainer.optimizer.step(trainer.model.parameters(), &gradients)?;
        trainer.ema.update(trainer.model.parameters())?;
        for (state, (_, new)) in self.states.iter().zip(output.latents.named()) {
            state.set(new)?;
        }
        self.scores.set(graded.numbers()?)?;
        if let (Some(to), Some(rows)) = (&self.puzzle_gradient, &self.puzzle_rows) {
            match gradients.get(rows) {
                Some(gradient) => to.set(&gradient.contiguous()?)?,
                None => candle_core::bail!("no gradient reaches the puzzle table"),
            }
        }
        Ok(())
    }

    fn run(&mut self, trainer: &mut Trainer) -> Result<()> {
        let graph = match &self.stage {
            Stage::New => {
                Graph::rehearse(&self.gpu, || self.work(trainer))?;
                self.stage = Stage::Rehearsed;
                return Ok(());
            }
            Stage::Rehearsed => Graph::record(&self.gpu, || self.work(trainer))?,
            Stage::Recorded(graph) => return graph.launch(),
        };
        graph.launch()?;
        self.stage = Stage::Recorded(graph);
        Ok(())
    }
}

impl Trainer {
    /// One step on a GPU.
    pub(super) fn step_on_gpu(&mut self, next: impl FnMut(usize) -> Row) -> Result<Vec<Score>> {
        let mut on_gpu = match self.on_gpu.take() {
            Some(on_gpu) => on_gpu,
            None => OnGpu::new(self)?,
        };
        self.carry.take_rows(next);
        on_gpu.send(self)?;
        self.step += 1;
        self.optimizer.begin_step(self.lr())?;
        on_gpu.run(self)?;

        let scores = scores_of(&on_gpu.scores)?;
        self.move_puzzle_table(on_gpu.puzzle_gradient.as_ref().map(Var::as_tensor))?;
        let mut states = on_gpu.states.iter();
        let latents = on_gpu.start.map(|start| Ok(states.next().map_or_else(|| start.clone(), |state| state.as_tensor().clone())))?;
        self.advance(latents, &scores);
        self.on_gpu = Some(on_gpu);
        Ok(scores)
    }
}
