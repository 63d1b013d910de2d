-- Secrets that all gateways on one store must agree on, each made by whoever needs it first.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
