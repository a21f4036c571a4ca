//! Every key of the format in one table: its name, what its value looks like, what it means, and
//! whether this version carries it out.
//! Must never be a second opinion: a test holds the keys of the readers against these tables, and
//! schema, completion and the check of declared keys are made from nothing else.

mod process;
mod service;

pub(crate) use process::PHASES;
pub(crate) use service::ROOT;

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: &'static Shape,
    /// One sentence for people, in editors and on the reference page.
    pub(crate) meaning: &'static str,
    /// Whether this version carries it out. A deployment of a file that uses another is refused.
    pub(crate) served: bool,
}

/// What a value looks like.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Any text.
    Text,
    /// 1 to 64 of a-z, 0-9, `-`, `_` and `.`.
    Name,
    /// `15m`, `1h 30m`.
    Duration,
    /// `0.1%`.
    Percent,
    /// `256 MiB`.
    Size,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Flag,
    /// `2025-09-24`.
    Date,
    /// `0 0 * * *`.
    Cron,
    /// `< 200ms`, `> 80%`: a comparison with its limit.
    Limit,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// `secret://provider/name#field`.
    Secret,
    /// A list.
    List(&'static Shape),
    /// Keys that are in this table, and no others.
    Map(&'static [Key]),
    /// Keys that the writer names.
    Named(&'static Shape),
    /// Any of these.
    Any(&'static [Shape]),
    /// Whatever the tool behind it reads.
    Free,
}

/// A list of arguments, or a line for the shell.
pub(crate) const COMMAND: Shape = Shape::Any(&[
    Shape::List(&Shape::Text),
    Shape::Map(&[key("shell", &Shape::Text, "a line for `/bin/sh -c`")]),
]);

/// A key that this version carries out.
pub(crate) const fn key(name: &'static str, shape: &'static Shape, meaning: &'static str) -> Key {
    Key { name, shape, meaning, served: true }
}

/// A key that this version reads, checks and does not carry out.
pub(crate) const fn declared(
    name: &'static str,
    shape: &'static Shape,
    meaning: &'static str,
) -> Key {
    Key { name, shape, meaning, served: false }
}

/// The key at a path such as `deploy.smoke.suite`; `None` when no such key is in the table.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    walk(path).map(|(key, _)| key)
}

/// The shape of the value at a path, names that the writer chose included: `parts.web.probes.health`.
pub(crate) fn shape_at(path: &str) -> Option<&'static Shape> {
    walk(path).map(|(_, shape)| shape)
}

fn walk(path: &str) -> Option<(&'static Key, &'static Shape)> {
    let mut keys: &'static [Key] = ROOT;
    let mut found: Option<(&'static Key, &'static Shape)> = None;
    for segment in path.split('.') {
        let name = segment.split('[').next().unwrap_or(segment);
        // Below a map whose keys the writer names stands one shape for all of them.
        if let Some((key, inner)) = found.and_then(|(key, shape)| Some((key, named(shape)?))) {
            found = Some((key, inner));
            keys = maps(inner).unwrap_or(&[]);
            continue;
        }
        let key = keys.iter().find(|key| key.name == name)?;
        found = Some((key, key.shape));
        keys = maps(key.shape).unwrap_or(&[]);
    }
    found
}

/// The shape of the values of a map whose keys the writer names.
fn named(shape: &'static Shape) -> Option<&'static Shape> {
    match shape {
        Shape::Named(inner) => Some(inner),
        Shape::Any(shapes) => shapes.iter().find_map(named),
        _ => None,
    }
}

/// The keys of a shape that is a map, or may be one.
pub(crate) fn maps(shape: &'static Shape) -> Option<&'static [Key]> {
    match shape {
        Shape::Map(keys) => Some(keys),
        Shape::List(inner) => maps(inner),
        Shape::Any(shapes) => shapes.iter().find_map(maps),
        _ => None,
    }
}
