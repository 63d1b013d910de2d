-- Environments that became another tenant's, for gateways to forget whose they were. A row is of no use once it is
-- older than anything that a gateway remembers.
CREATE TABLE adoptions (
    environment_id TEXT NOT NULL PRIMARY KEY,
    adopted_at TEXT NOT NULL,
    change_number BIGINT NOT NULL
);
CREATE INDEX adoptions_by_change ON adoptions (change_number);
