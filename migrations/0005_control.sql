-- What users can change about a sweep that runs, why attempts failed, what workers are, and where a lost attempt goes on.

-- A sweep may also be paused, or stop: what runs ends by itself, nothing new begins. Only the two CHECKs change, and every old row
-- meets them, so their text is replaced in place (https://www.sqlite.org/lang_altertable.html, section 7).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql,
    '(''running'', ''completed'', ''cancelled'')',
    '(''running'', ''paused'', ''stopping'', ''completed'', ''stopped'', ''cancelled'')'),
    'CHECK ((state = ''running'') = (ended_ms IS NULL))',
    'CHECK ((state IN (''running'', ''paused'', ''stopping'')) = (ended_ms IS NULL))')
    WHERE type = 'table' AND name = 'sweeps';
PRAGMA writable_schema = RESET;

-- Sweeps of higher priority go first; those of one priority have slots in proportion to their shares.
ALTER TABLE sweeps ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweeps ADD COLUMN share INTEGER NOT NULL DEFAULT 1 CHECK (share >= 1);
-- The most replicates that run at once; NULL for no limit.
ALTER TABLE sweeps ADD COLUMN max_parallel INTEGER CHECK (max_parallel >= 1);
-- What its trials need of a worker, and what follows when one fails: `Policy` in coordinator/src/domain/policy.rs.
ALTER TABLE sweeps ADD COLUMN policy_json TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(policy_json));
CREATE INDEX sweeps_open ON sweeps (sequence) WHERE state IN ('running', 'paused', 'stopping');

-- Attempts that count against the limit; those whose worker handed them back do not.
ALTER TABLE replicates ADD COLUMN faults INTEGER NOT NULL DEFAULT 0 CHECK (faults >= 0);
UPDATE replicates SET faults = attempts WHERE state = 'queued';
-- Where queued: not before this time, and 1 if not on a worker where it has failed.
ALTER TABLE replicates ADD COLUMN ready_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replicates ADD COLUMN elsewhere INTEGER NOT NULL DEFAULT 0 CHECK (elsewhere IN (0, 1));

-- What kind of failure ended it: `FailureKind` in coordinator/src/domain/failure.rs; NULL where none did.
ALTER TABLE attempts ADD COLUMN failure TEXT;
-- Slots that it takes on its worker.
ALTER TABLE attempts ADD COLUMN slots INTEGER NOT NULL DEFAULT 1 CHECK (slots >= 1);
-- The step that it went on from; 0 for a start from nothing.
ALTER TABLE attempts ADD COLUMN resumed_step INTEGER NOT NULL DEFAULT 0 CHECK (resumed_step >= 0);

-- What a worker says of itself, and how it fares: `Traits` in coordinator/src/domain/policy.rs, `Health` in coordinator/src/domain/health.rs.
ALTER TABLE workers ADD COLUMN traits_json TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(traits_json));
ALTER TABLE workers ADD COLUMN health_json TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(health_json));

-- States of training that an attempt can go on from. The chunks are artifacts.
CREATE TABLE checkpoints (
    id           INTEGER PRIMARY KEY,
    replicate_id INTEGER NOT NULL REFERENCES replicates (id),
    attempt_id   INTEGER NOT NULL REFERENCES attempts (id),
    step         INTEGER NOT NULL CHECK (step >= 0),
    bytes        INTEGER NOT NULL CHECK (bytes >= 0),
    -- SHA-256 of each chunk, in order.
    chunks_json  TEXT    NOT NULL CHECK (json_valid(chunks_json)),
    created_ms   INTEGER NOT NULL,
    UNIQUE (replicate_id, step)
) STRICT;

-- What attempts say to people, the last lines of each.
CREATE TABLE log_lines (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt_id INTEGER NOT NULL REFERENCES attempts (id),
    at_ms      INTEGER NOT NULL,
    text       TEXT    NOT NULL
) STRICT;
CREATE INDEX log_lines_of_attempt ON log_lines (attempt_id, id);
