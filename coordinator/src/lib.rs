//! The coordinator of tinysweep: keeps sweeps in SQLite and leases trials to workers.
