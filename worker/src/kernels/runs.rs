//! Examples over threads. Each takes a run of them and computes everything of it, products included: threads that shared each product would
//! wait for each other, and for the one that does what lies between.

use rayon::prelude::{IntoParallelIterator, ParallelIterator};

/// Threads that a product may be computed on: all of them, or this one alone where the others have runs of their own.
pub fn threads() -> usize {
    if rayon::current_thread_index().is_some() { 1 } else { rayon::current_num_threads() }
}

/// Splits `examples` into a run for each thread, as even as can be, and gives the length of all but the last.
pub fn run_len(examples: usize) -> usize {
    examples.div_ceil(threads()).max(1)
}

/// What `work` makes of each of `runs`, in their order, on a thread for each.
pub fn each<T: Send, R: Send>(runs: Vec<T>, work: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
    if runs.len() > 1 { runs.into_par_iter().map(work).collect() } else { runs.into_iter().map(work).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_a_run_a_product_has_one_thread() {
        let seen = each(vec![0, 1, 2], |run| (run, threads(), run_len(64)));
        assert_eq!(seen, [(0, 1, 64), (1, 1, 64), (2, 1, 64)]);
        let all = rayon::current_num_threads();
        assert_eq!(each(vec![5], |run| (run, threads(), run_len(2 * all))), [(5, all, 2)]);
        assert_eq!((run_len(0), run_len(1)), (1, 1));
    }
}
