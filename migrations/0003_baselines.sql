-- Configurations that a sweep trains beside its own, to compare them with.

-- `proposed` by the sweep, or a `baseline` that its file names.
ALTER TABLE trials ADD COLUMN role TEXT NOT NULL DEFAULT 'proposed' CHECK (role IN ('proposed', 'baseline'));
