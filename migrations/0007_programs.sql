-- Sweeps of a program of the user's, in place of the built-in models.

-- The program as `Program` in proto/src/program/mod.rs has it; NULL for built-in models. Of a program, dataset_json is null, benchmark may be
-- empty, and trials.config_json has its parameters.
ALTER TABLE sweeps ADD COLUMN program_json TEXT CHECK (json_valid(program_json));
