-- Which lease an attempt was given by. After a power cut the store may have forgotten leases that were sent, and gives their numbers again.

-- Drawn at random for each write of leases, and carried by all that is said of its attempts: what names another token than the attempt
-- that runs under its number is refused. 0 in attempts from before.
ALTER TABLE attempts ADD COLUMN token INTEGER NOT NULL DEFAULT 0 CHECK (token >= 0);
