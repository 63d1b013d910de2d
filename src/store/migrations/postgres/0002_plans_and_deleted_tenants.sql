-- Plans themselves live in the settings; a tenant names one.
ALTER TABLE tenants ADD COLUMN plan TEXT NOT NULL DEFAULT 'default';

-- What is left of a tenant: its id, which nobody ever has again, and the change that tells gateways of its end.
CREATE TABLE deleted_tenants (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    deleted_at TEXT NOT NULL,
    change_number BIGINT NOT NULL
);
CREATE INDEX deleted_tenants_by_change ON deleted_tenants (change_number);
