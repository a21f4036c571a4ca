//! What lines of runbooks mean: words, and the keys of the format that carry them out.
//! Must never bind a line to a key that does not do what the line asks for; what no rule knows is
//! reported as such.

mod evidence;
mod operation;

pub(super) use evidence::EVIDENCE;
pub(super) use operation::OPERATION;

/// One rule. The first whose words are all in a line, and that stands under the right heading, counts.
#[derive(Debug)]
pub(super) struct Rule {
    /// Each of them must occur; alternatives are separated by `|`.
    pub(super) words: &'static [&'static str],
    /// Something above must have one of these; empty for anywhere.
    pub(super) under: &'static str,
    pub(super) puts: &'static [Put],
    /// Why it is not exactly what was written; empty when it is.
    pub(super) but: &'static str,
}

/// What a line puts into the draft. In values `$t` is the line, `$1` its first quantity, `$2` the
/// second.
#[derive(Debug, Clone, Copy)]
pub(super) enum Put {
    /// A value at a path, written as YAML.
    Set(&'static str, &'static str),
    /// The line itself, at the end of a list.
    Say(&'static str),
    /// A text, at the end of a list.
    Add(&'static str, &'static str),
    /// A phase of every deployment does it.
    Phase(&'static str),
    /// A question: about a key, the words, and a proposal.
    Ask(&'static str, &'static str, &'static str),
}

pub(super) const fn exact(
    words: &'static [&'static str],
    under: &'static str,
    puts: &'static [Put],
) -> Rule {
    Rule { words, under, puts, but: "" }
}

pub(super) const fn near(
    words: &'static [&'static str],
    under: &'static str,
    puts: &'static [Put],
    but: &'static str,
) -> Rule {
    Rule { words, under, puts, but }
}

/// Why a gate is near what a line says.
pub(super) const REPORT: &str = "the document names no report: the path is a proposal";
/// Why a box stays a person's.
pub(super) const PERSON: &str = "a person says so: nothing that a machine sees would show it";
/// Why a line is no more than a step.
pub(super) const STEPS: &str = "kept as a step for people: nothing here carries it out";
