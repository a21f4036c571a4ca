-- The journal. Times are microseconds since 1970, UTC. Types are those that PostgreSQL knows by
-- another name: INTEGER is its BIGINT, BLOB its BYTEA. STRICT makes SQLite keep to them.

-- One row an event, in the order in which they were written: `position` is the leaf's index.
CREATE TABLE events (
    position INTEGER NOT NULL PRIMARY KEY,
    stream   TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    epoch    INTEGER NOT NULL,
    at_us    INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    schema   INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    payload  TEXT    NOT NULL,
    leaf     BLOB    NOT NULL,
    UNIQUE (stream, seq)
) STRICT;

-- Against our own mistakes; who owns the file can drop them, and is found by the tree.
CREATE TRIGGER events_keep BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;

-- Where each stream ends: a stream that was cut is seen when it is read.
CREATE TABLE streams (
    stream TEXT    NOT NULL PRIMARY KEY,
    head   INTEGER NOT NULL
) STRICT;

-- The whole tree in one row: its size, and the roots of its complete subtrees from left to right.
CREATE TABLE tree (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    size     INTEGER NOT NULL,
    frontier BLOB    NOT NULL,
    root     BLOB    NOT NULL
) STRICT;

-- Roots at earlier sizes: they say where in a long journal something was changed.
CREATE TABLE checkpoints (
    size  INTEGER NOT NULL PRIMARY KEY,
    root  BLOB    NOT NULL,
    at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE lease (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    holder      TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    acquired_us INTEGER NOT NULL
) STRICT;

CREATE TABLE snapshots (
    stream TEXT    NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    bytes  BLOB    NOT NULL,
    digest BLOB    NOT NULL
) STRICT;

-- The list of deployments, derived from the events in the same transaction.
CREATE TABLE deployments (
    position   INTEGER NOT NULL PRIMARY KEY,
    deployment TEXT    NOT NULL UNIQUE,
    stream     TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    first_seq  INTEGER NOT NULL,
    last_seq   INTEGER,
    started_us INTEGER NOT NULL,
    started_by TEXT    NOT NULL,
    ended_us   INTEGER,
    ending     TEXT,
    why        TEXT
) STRICT;
CREATE INDEX deployments_of_stream ON deployments (stream, position);
