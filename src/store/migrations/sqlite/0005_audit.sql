-- Who changed which environment, or was refused to. An id begins with its time, so the order of ids is that of times.
-- There is no reference to tenants: records outlive them. change_json is an RFC 6902 patch without secrets.
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
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
CREATE INDEX audit_by_tenant_id ON audit (tenant_id, id);
CREATE INDEX audit_by_tenant_name ON audit (tenant_name, id);
CREATE INDEX audit_by_environment ON audit (environment, id);
