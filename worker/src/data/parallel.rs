//! Work on all cores whose result does not depend on how many there are.

use std::num::NonZeroUsize;
use std::thread;

/// `work` on every item, in the order of the items.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let run = items.len().div_ceil(cores()).max(1);
    let work = &work;
    thread::scope(|scope| {
        let runs: Vec<_> = items.chunks(run).map(|run| scope.spawn(move || run.iter().map(work).collect::<Vec<_>>())).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// How many threads run at once.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept() {
        for count in [0, 1, 2, 3, 100] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(map(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }
}
