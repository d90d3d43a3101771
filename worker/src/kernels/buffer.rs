//! Memory that is used again: what one operation gives back, the next one of the same length takes, so that a training step that repeats
//! allocates nothing of its own.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers from this thread's free memory, where they go back when this is dropped.
#[derive(Debug)]
pub struct Buffer(Vec<f32>);

impl Buffer {
    /// `length` numbers, whatever they are.
    pub fn new(length: usize) -> Self {
        let free = FREE.with_borrow_mut(|free| {
            // The last one that was given back is the likeliest to be in the cache.
            let index = free.iter().rposition(|values| values.len() == length)?;
            Some(free.swap_remove(index))
        });
        Self(free.unwrap_or_else(|| vec![0.0; length]))
    }

    /// A copy of `values`.
    pub fn of(values: &[f32]) -> Self {
        let mut buffer = Self::new(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let mut buffer = Self::new(length);
        buffer.fill(0.0);
        buffer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        // A thread that is about to end keeps nothing.
        _ = FREE.try_with(|free| free.borrow_mut().push(values));
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl AsRef<[f32]> for Buffer {
    fn as_ref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_used_again() {
        let mut first = Buffer::new(7);
        first[3] = 5.0;
        let place = first.as_ptr();
        drop(first);
        assert_ne!(Buffer::new(8).as_ptr(), place);
        assert_eq!(Buffer::zeros(7).as_ptr(), place);
        assert_eq!(Buffer::new(7)[..], [0.0; 7]);
    }
}
