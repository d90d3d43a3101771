//! Memory that is used again: what one operation gives back, the next one of the same length takes, so that a training step that repeats
//! allocates nothing of its own.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

/// By length, of all threads: what one has kept for the backward pass another may give back.
static FREE: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// Gives all free memory back to the system's allocator: what comes next has other lengths, and would find no use for it.
pub fn release_memory() {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Numbers from free memory, where they go back when this is dropped.
#[derive(Debug)]
pub struct Buffer(Vec<f32>);

impl Buffer {
    /// `length` numbers, whatever they are.
    pub fn new(length: usize) -> Self {
        // The last one that was given back is the likeliest to be in the cache.
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&length).and_then(Vec::pop);
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
        FREE.lock().unwrap_or_else(PoisonError::into_inner).entry(values.len()).or_default().push(values);
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
    fn a_length_is_used_again_until_free_memory_is_released() {
        // Lengths that no other test asks for meanwhile.
        const LENGTH: usize = 100_003;
        let mut first = Buffer::new(LENGTH);
        first[3] = 5.0;
        let place = first.as_ptr() as usize;
        std::thread::spawn(move || drop(first)).join().unwrap();
        assert_ne!(Buffer::new(LENGTH + 1).as_ptr() as usize, place);
        let second = Buffer::zeros(LENGTH);
        assert_eq!(second.as_ptr() as usize, place);
        assert!(second.iter().all(|&value| value == 0.0));
        drop(second);
        let is_kept = || FREE.lock().unwrap().get(&LENGTH).is_some_and(|free| !free.is_empty());
        assert!(is_kept());
        release_memory();
        assert!(!is_kept());
    }
}
