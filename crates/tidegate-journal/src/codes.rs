//! The codes of everything the store can say. Each has a page under `docs/errors/`.
//! Must never be reused for another meaning.

/// Another process holds the state directory.
pub const HELD: &str = "TG6001";
/// The state directory or the file in it cannot be opened or written.
pub const NOT_OPENED: &str = "TG6002";
/// The linked SQLite is older than the first without the known corruption in WAL mode.
pub const SQLITE_TOO_OLD: &str = "TG6003";
/// The state directory lies on a network file system.
pub const NETWORK_FILE_SYSTEM: &str = "TG6004";
/// No space is left.
pub const DISK_FULL: &str = "TG6005";
/// The store gave an error or no answer; whether it took effect is unknown.
pub const NO_ANSWER: &str = "TG6006";
/// More bytes or events than one append or snapshot may have.
pub const TOO_LARGE: &str = "TG6007";
/// The append is not one: numbers that do not follow, an event that cannot be read back.
pub const REFUSED: &str = "TG6008";
/// The queue before the writer stayed full; nothing was written.
pub const OVERLOADED: &str = "TG6009";
/// An entry is not what was written.
pub const CHANGED: &str = "TG6010";
/// Entries are missing or stand in another order.
pub const MISSING: &str = "TG6011";
/// A newer Tidegate wrote this entry, or nobody did.
pub const UNKNOWN_KIND: &str = "TG6012";
/// The journal is shorter than its checkpoint, or another one.
pub const BEHIND_CHECKPOINT: &str = "TG6013";
/// The file is not a readable database.
pub const MALFORMED: &str = "TG6014";
/// The list of deployments does not follow from the events.
pub const LIST_DIFFERS: &str = "TG6015";
/// A newer Tidegate has changed the layout of the file.
pub const NEWER_LAYOUT: &str = "TG6016";
/// A writer with a newer epoch has taken over.
pub const FENCED: &str = "TG6017";
