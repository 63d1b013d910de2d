-- In what the upstream's replies differ from the contract. The id is made of what a finding is, so that it is the same for
-- every gateway. There is no value of anybody's in it.
CREATE TABLE drift_findings (
    id TEXT NOT NULL PRIMARY KEY,
    operation TEXT NOT NULL,
    document TEXT NOT NULL,
    kind TEXT NOT NULL,
    pointer TEXT NOT NULL,
    detail TEXT,
    example TEXT,
    first_seen TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    seen BIGINT NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX drift_findings_by_operation ON drift_findings (operation);
