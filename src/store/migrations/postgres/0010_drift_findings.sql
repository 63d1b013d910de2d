-- As for SQLite.
CREATE TABLE drift_findings (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    operation TEXT NOT NULL,
    document TEXT NOT NULL,
    kind TEXT NOT NULL,
    pointer TEXT NOT NULL,
    detail TEXT,
    example TEXT,
    first_seen TEXT COLLATE "C" NOT NULL,
    last_seen TEXT COLLATE "C" NOT NULL,
    seen BIGINT NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX drift_findings_by_operation ON drift_findings (operation);
