//! Every statement, in one place. `$1` is understood by SQLite and PostgreSQL alike; what only
//! SQLite knows is marked. Must never hold a value: only the number of rows of an insert is decided
//! at run time.

/// Takes the write lock before the first read, so that what is read stays true. SQLite only.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(super) const COMMIT: &str = "COMMIT";
/// One view of everything for a long read. SQLite only.
pub(super) const BEGIN_READ: &str = "BEGIN DEFERRED";
/// SQLite only.
pub(super) const VERSION: &str = "SELECT sqlite_version()";
/// Everything as it stands at one moment into another file. SQLite only.
pub(super) const COPY: &str = "VACUUM INTO $1";

pub(super) const LEASE: &str = "SELECT epoch FROM lease WHERE id = 1";
pub(super) const PUT_LEASE: &str = "\
    INSERT INTO lease (id, holder, epoch, acquired_us) VALUES (1, $1, $2, $3) \
    ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, \
    acquired_us = excluded.acquired_us";

pub(super) const TREE: &str = "SELECT size, frontier, root FROM tree WHERE id = 1";
pub(super) const PUT_TREE: &str = "\
    INSERT INTO tree (id, size, frontier, root) VALUES (1, $1, $2, $3) \
    ON CONFLICT (id) DO UPDATE SET size = excluded.size, frontier = excluded.frontier, \
    root = excluded.root";
pub(super) const PUT_CHECKPOINT: &str = "\
    INSERT INTO checkpoints (size, root, at_us) VALUES ($1, $2, $3) ON CONFLICT (size) DO NOTHING";
pub(super) const CHECKPOINTS: &str = "SELECT size, root FROM checkpoints ORDER BY size";

pub(super) const HEAD: &str = "SELECT head FROM streams WHERE stream = $1";
/// Followed by the streams as rows of one column.
pub(super) const HEADS_OF: &str = "SELECT stream, head FROM streams WHERE (stream) IN ";
pub(super) const HEADS: &str = "SELECT stream, head FROM streams ORDER BY stream";
/// Followed by rows of stream and sequence, and by [`PUT_HEADS_AGAIN`].
pub(super) const PUT_HEADS: &str = "INSERT INTO streams (stream, head) ";
pub(super) const PUT_HEADS_AGAIN: &str = " ON CONFLICT (stream) DO UPDATE SET head = excluded.head";

/// Followed by rows of these ten columns.
pub(super) const PUT_EVENTS: &str = "\
    INSERT INTO events \
    (position, stream, seq, epoch, at_us, kind, schema, actor, payload, leaf) ";
/// A payload above the limit comes as NULL: it is refused without being loaded.
pub(super) const EVENTS: &str = "\
    SELECT position, stream, seq, epoch, at_us, kind, schema, actor, \
    CASE WHEN octet_length(payload) <= $4 THEN payload END AS payload, leaf \
    FROM events WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3";
pub(super) const ALL_EVENTS: &str = "\
    SELECT position, stream, seq, epoch, at_us, kind, schema, actor, \
    CASE WHEN octet_length(payload) <= $3 THEN payload END AS payload, leaf \
    FROM events WHERE position >= $1 ORDER BY position LIMIT $2";

pub(super) const RECENT: &str = "\
    SELECT position, stream, seq, epoch, at_us, kind, schema, actor, \
    CASE WHEN octet_length(payload) <= $3 THEN payload END AS payload, leaf \
    FROM events WHERE position < $1 ORDER BY position DESC LIMIT $2";
/// The order of a stream's sequence is that of its positions.
pub(super) const RECENT_OF: &str = "\
    SELECT position, stream, seq, epoch, at_us, kind, schema, actor, \
    CASE WHEN octet_length(payload) <= $3 THEN payload END AS payload, leaf \
    FROM events WHERE stream = $4 AND position < $1 ORDER BY seq DESC LIMIT $2";
/// Followed by most bytes of a payload, [`ENTRIES_FROM`] with a position, conditions, and
/// [`IN_ORDER_AT_MOST`] with a number.
pub(super) const ENTRIES_PAYLOAD: &str = "\
    SELECT position, stream, seq, epoch, at_us, kind, schema, actor, leaf, \
    CASE WHEN octet_length(payload) <= ";
pub(super) const ENTRIES_FROM: &str = " \
    THEN payload END AS payload FROM events WHERE position >= ";
pub(super) const AND_STREAM: &str = " AND stream = ";
pub(super) const AND_KIND: &str = " AND kind = ";
pub(super) const AND_ACTOR: &str = " AND actor = ";
pub(super) const AND_SINCE: &str = " AND at_us >= ";
pub(super) const AND_UNTIL: &str = " AND at_us < ";
pub(super) const IN_ORDER_AT_MOST: &str = " ORDER BY position LIMIT ";
pub(super) const LEAVES: &str = "\
    SELECT position, leaf FROM events WHERE position >= $1 ORDER BY position LIMIT $2";

pub(super) const PUT_SNAPSHOT: &str = "\
    INSERT INTO snapshots (stream, seq, schema, bytes, digest) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq, schema = excluded.schema, \
    bytes = excluded.bytes, digest = excluded.digest";
pub(super) const SNAPSHOT: &str = "\
    SELECT s.seq, s.schema, s.bytes, s.digest FROM snapshots s \
    JOIN streams h ON h.stream = s.stream WHERE s.stream = $1 AND s.seq <= h.head \
    AND octet_length(s.bytes) <= $2";

pub(super) const PUT_STARTED: &str = "\
    INSERT INTO deployments \
    (position, deployment, stream, version, first_seq, started_us, started_by) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub(super) const PUT_ENDED: &str = "\
    UPDATE deployments SET last_seq = $2, ended_us = $3, ending = $4, why = $5 \
    WHERE deployment = $1";
pub(super) const OWNER: &str = "SELECT stream FROM deployments WHERE deployment = $1";
pub(super) const DEPLOYMENT: &str = "\
    SELECT deployment, stream, version, first_seq, last_seq, started_us, started_by, ended_us, \
    ending, why FROM deployments WHERE deployment = $1";
/// Below the position of `$1`; of all when that is NULL, of none when it has no row.
pub(super) const DEPLOYMENTS: &str = "\
    SELECT deployment, stream, version, first_seq, last_seq, started_us, started_by, ended_us, \
    ending, why FROM deployments WHERE position < CASE WHEN $1 IS NULL THEN 9223372036854775807 \
    ELSE COALESCE((SELECT position FROM deployments WHERE deployment = $1), 0) END \
    ORDER BY position DESC LIMIT $2";
pub(super) const DEPLOYMENTS_OF: &str = "\
    SELECT deployment, stream, version, first_seq, last_seq, started_us, started_by, ended_us, \
    ending, why FROM deployments WHERE stream = $3 AND position < CASE WHEN $1 IS NULL \
    THEN 9223372036854775807 \
    ELSE COALESCE((SELECT position FROM deployments WHERE deployment = $1), 0) END \
    ORDER BY position DESC LIMIT $2";
