-- The order of records is that in which they were written: a clock that was set back would break the order of times.
CREATE TABLE audit_in_sequence (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    tenant_name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    environment TEXT,
    outcome TEXT NOT NULL,
    status BIGINT,
    error TEXT,
    request_id TEXT NOT NULL,
    repeats BIGINT NOT NULL,
    change_json TEXT
);
INSERT INTO audit_in_sequence (id, at, tenant_id, tenant_name, key_id, operation, environment, outcome, status, error, request_id, repeats, change_json)
    SELECT id, at, tenant_id, tenant_name, key_id, operation, environment, outcome, status, error, request_id, repeats, change_json
    FROM audit ORDER BY id;
DROP TABLE audit;
ALTER TABLE audit_in_sequence RENAME TO audit;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_tenant_id ON audit (tenant_id, sequence);
CREATE INDEX audit_by_tenant_name ON audit (tenant_name, sequence);
CREATE INDEX audit_by_environment ON audit (environment, sequence);
-- How late it is by all that retention has seen: one row, or none before it has looked for the first time.
CREATE TABLE audit_clock (
    id BIGINT NOT NULL PRIMARY KEY,
    at TEXT NOT NULL
);
