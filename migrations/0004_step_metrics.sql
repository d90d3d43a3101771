-- Every metric on the test set after each supervision step, counted from 1; before, there were two accuracies.
CREATE TABLE step_metrics (
    replicate_id INTEGER NOT NULL REFERENCES results (replicate_id),
    name         TEXT    NOT NULL,
    step         INTEGER NOT NULL CHECK (step >= 1),
    value        REAL    NOT NULL,
    PRIMARY KEY (replicate_id, name, step)
) STRICT, WITHOUT ROWID;

INSERT INTO step_metrics (replicate_id, name, step, value)
    SELECT replicate_id, 'test/exact_accuracy', step, exact_accuracy FROM supervision_steps
    UNION ALL
    SELECT replicate_id, 'test/token_accuracy', step, token_accuracy FROM supervision_steps;

DROP TABLE supervision_steps;
