//! Training examples, one by one.

use crate::{
    carry::Row,
    data::{Examples, sampler::Sampler},
    eval::label,
};

/// Training examples as slots take them.
pub(super) struct Source<'a> {
    pub(super) sampler: Sampler<'a>,
    input: Vec<u8>,
    label: Vec<u8>,
}

impl<'a> Source<'a> {
    pub(super) fn new(sampler: Sampler<'a>, examples: &Examples) -> Self {
        let seq_len = examples.task.seq_len();
        Self { sampler, input: vec![0; seq_len], label: vec![0; seq_len] }
    }

    pub(super) fn next(&mut self) -> Row {
        let identifier = self.sampler.next(&mut self.input, &mut self.label);
        Row {
            tokens: self.input.iter().map(|&token| token.into()).collect(),
            labels: self.label.iter().map(|&token| label(token)).collect(),
            identifier,
        }
    }
}
