-- What each change wrote beside its number, at random. A gateway asks for the token of the number that it knows: where
-- it is missing or another, the database was put back to an earlier state and has gone on from there.
CREATE TABLE revision_tokens (
    number BIGINT NOT NULL PRIMARY KEY,
    token TEXT COLLATE "C" NOT NULL
);
INSERT INTO revision_tokens (number, token) SELECT number, md5(random()::text || clock_timestamp()::text) FROM directory_change;
