-- The store of a coordinator. This file is also its documentation: the store is open data, to be read with any SQLite.
--
-- Times are milliseconds since 1970 by the coordinator's clock (columns `*_ms`). Every state is text; its CHECK mirrors
-- the enum of that name in coordinator/src/domain/lifecycle.rs. Ids of tables are internal; what people see are
-- sweeps.id, trials.number, replicates.replicate and attempts.number.

-- One sweep as a user submitted it.
CREATE TABLE sweeps (
    -- Order of creation.
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What users call it.
    id          TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    benchmark   TEXT    NOT NULL,
    -- Kind of puzzle, as `sudoku-6x6`.
    task        TEXT    NOT NULL,
    -- 1 where the puzzles stand in for the benchmark's own.
    proxy       INTEGER NOT NULL CHECK (proxy IN (0, 1)),
    method      TEXT    NOT NULL,
    metric      TEXT    NOT NULL,
    goal        TEXT    NOT NULL CHECK (goal IN ('minimize', 'maximize')),
    state       TEXT    NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'cancelled')),
    -- The sweep file, as the user wrote it, and what the user calls it.
    yaml        TEXT    NOT NULL,
    file_name   TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    ended_ms    INTEGER,
    CHECK ((state = 'running') = (ended_ms IS NULL))
) STRICT;

-- The puzzles of a sweep, content-addressed: the file is artifacts/AA/SHA256, AA the first two digits of the hash.
CREATE TABLE data_files (
    sweep_sequence INTEGER NOT NULL REFERENCES sweeps (sequence),
    split          TEXT    NOT NULL CHECK (split IN ('train', 'test')),
    -- A path or a generator's description, for people.
    origin         TEXT    NOT NULL,
    sha256         TEXT    NOT NULL CHECK (length(sha256) = 64),
    bytes          INTEGER NOT NULL CHECK (bytes >= 0),
    examples       INTEGER NOT NULL CHECK (examples >= 0),
    PRIMARY KEY (sweep_sequence, split)
) STRICT, WITHOUT ROWID;

-- One configuration of a sweep.
CREATE TABLE trials (
    id             INTEGER PRIMARY KEY,
    sweep_sequence INTEGER NOT NULL REFERENCES sweeps (sequence),
    -- Dense from 0 within the sweep.
    number         INTEGER NOT NULL CHECK (number >= 0),
    -- The parameters that the sweep varies, as `width=64 l_cycles=2`.
    name           TEXT    NOT NULL,
    -- The whole configuration as canonical JSON, and the SHA-256 of that text.
    config_json    TEXT    NOT NULL CHECK (json_valid(config_json)),
    config_hash    TEXT    NOT NULL CHECK (length(config_hash) = 64),
    UNIQUE (sweep_sequence, number)
) STRICT;

-- One seed of a trial. It ends exactly once.
CREATE TABLE replicates (
    id             INTEGER PRIMARY KEY,
    trial_id       INTEGER NOT NULL REFERENCES trials (id),
    -- The sweep again, so that queue and counts need no join.
    sweep_sequence INTEGER NOT NULL REFERENCES sweeps (sequence),
    -- Dense from 0 within the trial.
    replicate      INTEGER NOT NULL CHECK (replicate >= 0),
    -- Seeds initial weights, data order and augmentation.
    seed           INTEGER NOT NULL CHECK (seed >= 0),
    state          TEXT    NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    -- Attempts that have begun, which is the number of the last one.
    attempts       INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Why it is in this state; empty where the state says all.
    reason         TEXT    NOT NULL DEFAULT '',
    UNIQUE (trial_id, replicate),
    CHECK (state NOT IN ('running', 'completed', 'failed') OR attempts >= 1)
) STRICT;
-- The queue: sweeps by age, then every trial's first seed before any trial's second.
CREATE INDEX replicates_queue ON replicates (sweep_sequence, replicate, trial_id) WHERE state = 'queued';
CREATE INDEX replicates_states ON replicates (sweep_sequence, state);

-- A worker that is or has been here.
CREATE TABLE workers (
    -- Drawn at random by the worker when it starts.
    id           TEXT    PRIMARY KEY,
    name         TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    -- Attempts that it runs at once.
    slots        INTEGER NOT NULL CHECK (slots >= 0),
    state        TEXT    NOT NULL CHECK (state IN ('connected', 'lost', 'left')),
    -- The number of the last event of this worker that was applied: what it sends again up to here counts once.
    applied_seq  INTEGER NOT NULL DEFAULT 0 CHECK (applied_seq >= 0),
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL
) STRICT;

-- One try at running one replicate.
CREATE TABLE attempts (
    id           INTEGER PRIMARY KEY,
    replicate_id INTEGER NOT NULL REFERENCES replicates (id),
    -- From 1. The fence: of two attempts the larger counts.
    number       INTEGER NOT NULL CHECK (number >= 1),
    worker_id    TEXT    NOT NULL REFERENCES workers (id),
    state        TEXT    NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed', 'lost', 'cancelled')),
    -- Why this worker got it.
    lease_reason TEXT    NOT NULL,
    -- Why it ended; empty where the state says all.
    reason       TEXT    NOT NULL DEFAULT '',
    -- The last step that was reported, and of how many.
    step         INTEGER NOT NULL DEFAULT 0 CHECK (step >= 0),
    total_steps  INTEGER NOT NULL DEFAULT 0 CHECK (total_steps >= 0),
    started_ms   INTEGER NOT NULL,
    ended_ms     INTEGER,
    UNIQUE (replicate_id, number),
    CHECK ((state = 'running') = (ended_ms IS NULL))
) STRICT;
-- At most one attempt at a replicate is alive.
CREATE UNIQUE INDEX attempts_alive ON attempts (replicate_id) WHERE state = 'running';
CREATE INDEX attempts_of_worker ON attempts (worker_id) WHERE state = 'running';

-- What attempts report while they run. Values are finite.
CREATE TABLE metric_points (
    attempt_id INTEGER NOT NULL REFERENCES attempts (id),
    -- As `train/lm_loss`; proto/src/metric.rs says what each means.
    name       TEXT    NOT NULL,
    step       INTEGER NOT NULL CHECK (step >= 0),
    value      REAL    NOT NULL,
    PRIMARY KEY (attempt_id, name, step)
) STRICT, WITHOUT ROWID;

-- The one result of a completed replicate.
CREATE TABLE results (
    replicate_id INTEGER PRIMARY KEY REFERENCES replicates (id),
    attempt_id   INTEGER NOT NULL UNIQUE REFERENCES attempts (id),
    wall_seconds REAL    NOT NULL CHECK (wall_seconds >= 0),
    -- Where the worker keeps the checkpoint, for people: `HOST:PATH`.
    checkpoint   TEXT    NOT NULL,
    -- As counted on the trained model.
    parameters   INTEGER NOT NULL CHECK (parameters >= 0)
) STRICT;

-- Its final metrics.
CREATE TABLE final_metrics (
    replicate_id INTEGER NOT NULL REFERENCES results (replicate_id),
    name         TEXT    NOT NULL,
    value        REAL    NOT NULL,
    PRIMARY KEY (replicate_id, name)
) STRICT, WITHOUT ROWID;

-- Its accuracy on the test set after each supervision step, counted from 1.
CREATE TABLE supervision_steps (
    replicate_id   INTEGER NOT NULL REFERENCES results (replicate_id),
    step           INTEGER NOT NULL CHECK (step >= 1),
    exact_accuracy REAL    NOT NULL,
    token_accuracy REAL    NOT NULL,
    PRIMARY KEY (replicate_id, step)
) STRICT, WITHOUT ROWID;
