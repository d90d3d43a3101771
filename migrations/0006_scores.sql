-- The sweep's metric, the mean over a trial's results so far; NULL without any. Kept with each result, so that the best of 10^5 trials are
-- found without looking at all.
ALTER TABLE trials ADD COLUMN score REAL;
UPDATE trials SET score = (
    SELECT AVG(m.value) FROM sweeps s JOIN replicates r ON r.trial_id = trials.id AND r.state = 'completed'
    JOIN final_metrics m ON m.replicate_id = r.id AND m.name = s.metric WHERE s.sequence = trials.sweep_sequence);
CREATE INDEX trials_by_score ON trials (sweep_sequence, score) WHERE score IS NOT NULL;
