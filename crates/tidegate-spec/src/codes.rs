//! Every code that this crate reports, in one place so that none is given twice.
//! Must never change the meaning of a code: people search for it and scripts match it.
//! Each has a page of the same name under `docs/errors/`.

/// The file is larger than [`crate::SOURCE_BYTES_MAX`].
pub(crate) const TOO_LARGE: &str = "TG1001";
/// The bytes are not plain UTF-8 text.
pub(crate) const ENCODING: &str = "TG1002";
/// Not YAML.
pub(crate) const SYNTAX: &str = "TG1003";
/// A key is given twice.
pub(crate) const DUPLICATE_KEY: &str = "TG1004";
/// Nested too deeply, or too many values.
pub(crate) const TOO_COMPLEX: &str = "TG1005";
/// A part of YAML that is not read here: tags, merge keys, several documents.
pub(crate) const YAML_FEATURE: &str = "TG1006";
/// A key that means nothing here.
pub(crate) const UNKNOWN_KEY: &str = "TG1007";
/// A key that must be given is not.
pub(crate) const MISSING_KEY: &str = "TG1008";
/// A list where a text is expected, and the like.
pub(crate) const WRONG_KIND: &str = "TG1009";
/// The header `tidegate: 1` names a version that is not read here.
pub(crate) const SCHEMA_VERSION: &str = "TG1010";
/// A key whose meaning this version does not serve.
pub(crate) const NOT_SERVED: &str = "TG1011";
/// A text that cannot name anything.
pub(crate) const BAD_NAME: &str = "TG1012";
/// A duration without a unit, or out of range.
pub(crate) const BAD_DURATION: &str = "TG1013";
/// A percentage without `%`, or out of range.
pub(crate) const BAD_PERCENT: &str = "TG1014";
/// Traffic steps that fall, repeat, pass 100 % or do not end there.
pub(crate) const BAD_STEPS: &str = "TG1015";
/// A rule that is no comparison, or one that points the wrong way.
pub(crate) const BAD_RULE: &str = "TG1016";
/// A metric that does not exist.
pub(crate) const UNKNOWN_METRIC: &str = "TG1017";
/// `${...}` in a value.
pub(crate) const SUBSTITUTION: &str = "TG1018";
/// A command written as one text instead of a list.
pub(crate) const BAD_COMMAND: &str = "TG1019";
/// A number that is none, or out of range.
pub(crate) const BAD_NUMBER: &str = "TG1020";
/// An amount of memory without a unit, or out of range.
pub(crate) const BAD_SIZE: &str = "TG1021";
/// An address, host, path or header name that cannot be one.
pub(crate) const BAD_ROUTE: &str = "TG1022";
/// A word that is not among those allowed.
pub(crate) const BAD_CHOICE: &str = "TG1023";
/// Keys that exclude each other, or need each other.
pub(crate) const CONFLICT: &str = "TG1024";
/// A path that leaves the artifact.
pub(crate) const BAD_PATH: &str = "TG1025";
/// A variable that cannot be set.
pub(crate) const BAD_VARIABLE: &str = "TG1026";
/// Characters that make a line read other than it is.
pub(crate) const HIDDEN_CHARACTER: &str = "TG1027";
/// Two parts that claim the same requests.
pub(crate) const ROUTE_TAKEN: &str = "TG1028";
/// A rule on a metric that nothing in this file can measure.
pub(crate) const NO_READINGS: &str = "TG1029";
/// A value that would both advance and roll back.
pub(crate) const ZONES_OVERLAP: &str = "TG1030";
/// More findings than are shown.
pub(crate) const MORE: &str = "TG1031";
/// A file that is named and not there, or more of them than are read.
pub(crate) const INCLUDE: &str = "TG1032";
/// Files that include each other in a circle.
pub(crate) const INCLUDE_CYCLE: &str = "TG1033";
/// An environment, preset or variable that nothing declares.
pub(crate) const UNDECLARED: &str = "TG1034";
/// A reference to a secret that names none.
pub(crate) const BAD_SECRET: &str = "TG1035";
/// A date or a schedule that is none.
pub(crate) const BAD_DATE: &str = "TG1036";
/// A variable that has no value, or one of another kind.
pub(crate) const NO_VALUE: &str = "TG1037";
/// A question that is still open.
pub(crate) const OPEN_QUESTION: &str = "TG1038";
/// A condition that is none.
pub(crate) const BAD_CONDITION: &str = "TG1039";
/// Approvals that nobody can give.
pub(crate) const BAD_APPROVE: &str = "TG1060";

/// A variable that decides what a step runs.
pub(crate) const STEERING: &str = "TG6602";

/// A command that moves traffic with an option that does not exist.
pub(crate) const NO_SUCH_OPTION: &str = "TG2001";
/// A way back that can leave both slots empty.
pub(crate) const BOTH_EMPTY: &str = "TG2002";
/// A scan that cannot fail.
pub(crate) const NEVER_FAILS: &str = "TG2003";
/// An apply that is not of the plan that was reviewed.
pub(crate) const UNREVIEWED_APPLY: &str = "TG2004";
/// A command that waits for a person, or asserts nothing.
pub(crate) const INTERACTIVE: &str = "TG2005";
/// An image tag that can move.
pub(crate) const MUTABLE_TAG: &str = "TG2006";
/// A migration that a rollback of traffic does not undo.
pub(crate) const MIGRATION: &str = "TG2007";
/// The steps and the watch take longer than the declared target.
pub(crate) const TOO_SLOW: &str = "TG2008";
/// No dwell is written: the default applies to every step.
pub(crate) const DWELL_UNSAID: &str = "TG2009";
/// How many requests an error limit needs at the declared confidence.
pub(crate) const SAMPLE_SIZE: &str = "TG2010";
/// A way back that has become a cold start.
pub(crate) const COLD_ROLLBACK: &str = "TG2011";
/// A backup schedule that cannot meet the recovery point.
pub(crate) const RECOVERY_POINT: &str = "TG2012";
/// A limit that is finer than its samples.
pub(crate) const TOO_FINE: &str = "TG2013";
/// Two schedules that ask for the same health.
pub(crate) const TWO_SCHEDULES: &str = "TG2014";
/// A number that may be a count or a ratio.
pub(crate) const NO_UNIT: &str = "TG2015";
/// A build without the tools that it needs.
pub(crate) const NO_BUILD_TOOLS: &str = "TG2016";
/// A placeholder that nobody filled in.
pub(crate) const PLACEHOLDER: &str = "TG2017";
/// A service that its vendor has retired.
pub(crate) const RETIRED: &str = "TG2018";
/// A webhook of a chat that is retired.
pub(crate) const RETIRED_WEBHOOK: &str = "TG2019";
/// An address without a scheme.
pub(crate) const NO_SCHEME: &str = "TG2020";
/// Nothing is written for values between the limits: the default applies.
pub(crate) const BETWEEN_UNSAID: &str = "TG2021";
/// Slots named by colours.
pub(crate) const COLOURS: &str = "TG2022";
/// A limit that is named and has no number.
pub(crate) const NO_NUMBER: &str = "TG2023";
/// A latency limit without a percentile.
pub(crate) const NO_PERCENTILE: &str = "TG2024";
/// A contact that cannot be reached.
pub(crate) const UNREACHABLE: &str = "TG2025";
/// Text whose encoding was broken.
pub(crate) const BROKEN_TEXT: &str = "TG2026";
/// A review that is overdue.
pub(crate) const OVERDUE: &str = "TG2027";
/// A fault is noticed later than the target allows.
pub(crate) const DETECTED_LATE: &str = "TG2028";
/// The tag deployed does not match the pattern of releases.
pub(crate) const TAG_PATTERN: &str = "TG2030";
/// The environment asked for is not the one the file names.
pub(crate) const OTHER_ENVIRONMENT: &str = "TG2031";
/// `$NAME` in a list of arguments, which no shell reads.
pub(crate) const UNEXPANDED: &str = "TG2032";
/// No rule can roll back.
pub(crate) const NEVER_ROLLS_BACK: &str = "TG2033";
/// Nothing has to hold to advance.
pub(crate) const ALWAYS_ADVANCES: &str = "TG2034";
/// A value that looks like a secret.
pub(crate) const SECRET_IN_FILE: &str = "TG2035";
/// An accepted finding that is not found.
pub(crate) const ACCEPTED_ABSENT: &str = "TG2036";
/// A box of a checklist that nothing closes.
pub(crate) const NO_PROOF: &str = "TG2037";
/// A group that the file does not describe: the server's is meant.
pub(crate) const SERVER_GROUP: &str = "TG2060";
