-- As for SQLite, with the names that PostgreSQL has for types. Texts are ordered by their bytes there and so here.

-- One row. Every change of a tenant or a key raises the number and stamps the changed row with it, in one
-- transaction, so whoever knows a number can ask for all that came after it.
CREATE TABLE directory_change (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);
INSERT INTO directory_change (id, number) VALUES (1, 0);

CREATE TABLE tenants (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    is_suspended BIGINT NOT NULL,
    change_number BIGINT NOT NULL
);
CREATE INDEX tenants_by_change ON tenants (change_number);

-- A key's text is never stored: digest is its SHA-256, id its visible prefix.
CREATE TABLE keys (
    digest BYTEA NOT NULL PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL,
    tenant_id TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    created_at TEXT NOT NULL,
    revoked_at TEXT,
    change_number BIGINT NOT NULL
);
CREATE INDEX keys_by_id ON keys (id);
CREATE INDEX keys_by_tenant ON keys (tenant_id);
CREATE INDEX keys_by_change ON keys (change_number);

-- The resource is one JSON document; beside it stands what the queries need of it.
CREATE TABLE environments (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at_micros BIGINT NOT NULL,
    is_archived BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX environments_by_creation ON environments (created_at_micros, id);
