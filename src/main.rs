//! tinysweep: a distributed experiment-sweep orchestrator for tiny recursive models.

fn main() {}
