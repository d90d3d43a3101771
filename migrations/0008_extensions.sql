-- A trial may extend another of its sweep: more steps from the end of that one's training, with the same seeds.

-- The trial that it extends, which stays as it is; NULL for those that begin at the beginning.
ALTER TABLE trials ADD COLUMN extends_id INTEGER REFERENCES trials (id);
CREATE INDEX trials_extensions ON trials (extends_id) WHERE extends_id IS NOT NULL;
