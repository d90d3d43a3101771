-- The data set of a sweep becomes one JSON document: what its workers get, and what more kinds of puzzles add to it, without a column each.

-- Benchmark, task, whether the data are proxy, rows of the puzzle table, and the two content-addressed files: `train` and `test`, each with
-- origin, format, sha256, bytes and examples. A file is artifacts/AA/SHA256, AA the first two digits of its hash.
ALTER TABLE sweeps ADD COLUMN dataset_json TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(dataset_json));

UPDATE sweeps SET dataset_json = json_object(
    'benchmark', benchmark, 'task', task, 'proxy', json(iif(proxy, 'true', 'false')), 'puzzle_identifiers', 1,
    'train', (SELECT json_object('origin', origin, 'format', 'csv', 'sha256', sha256, 'bytes', bytes, 'examples', examples)
              FROM data_files WHERE sweep_sequence = sequence AND split = 'train'),
    'test', (SELECT json_object('origin', origin, 'format', 'csv', 'sha256', sha256, 'bytes', bytes, 'examples', examples)
             FROM data_files WHERE sweep_sequence = sequence AND split = 'test'));

DROP TABLE data_files;
ALTER TABLE sweeps DROP COLUMN task;
ALTER TABLE sweeps DROP COLUMN proxy;
