-- What each attempt has cost, as its worker reported it last: without what attempts before it have cost. None where it never reported.
-- The limits are those of `Cost::check` in coordinator/src/domain/cost.rs.
CREATE TABLE attempt_costs (
    attempt_id        INTEGER PRIMARY KEY REFERENCES attempts (id),
    -- From where its data were at hand.
    wall_seconds      REAL    NOT NULL CHECK (wall_seconds BETWEEN 0 AND 1e9),
    -- On a processor the seconds that were computed; on a GPU those of the clock, by the attempt's share of it.
    device_seconds    REAL    NOT NULL CHECK (device_seconds BETWEEN 0 AND 1e12),
    -- Of the wall seconds those in optimiser steps.
    training_seconds  REAL    NOT NULL CHECK (training_seconds BETWEEN 0 AND 1e9),
    -- Optimiser steps, examples in them, and puzzles that evaluations have answered.
    steps             INTEGER NOT NULL CHECK (steps BETWEEN 0 AND 1000000000000),
    samples           INTEGER NOT NULL CHECK (samples BETWEEN 0 AND 1000000000000),
    answered          INTEGER NOT NULL CHECK (answered BETWEEN 0 AND 1000000000000),
    -- Analytic operations of steps and answers.
    flops             REAL    NOT NULL CHECK (flops BETWEEN 0 AND 1e30),
    -- The most memory of the machine that its process had meanwhile; 0 where that is not known.
    peak_memory_bytes INTEGER NOT NULL CHECK (peak_memory_bytes BETWEEN 0 AND 1125899906842624),
    -- Energy of the device, and how much of it is no counter's but an estimate: all or none.
    joules            REAL    NOT NULL CHECK (joules BETWEEN 0 AND 1e15),
    joules_estimated  REAL    NOT NULL CHECK (joules_estimated IN (0, joules))
) STRICT;
