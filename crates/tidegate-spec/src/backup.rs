//! Reads `backup`: the copy that is made before anything changes.
//! Must never take a password: what stands in this file stands in the journal.

use jiff::SignedDuration;
use tidegate_core::plan::{Backup, BackupOf};

use crate::codes;
use crate::command;
use crate::fields::{Field, Fields, shorten};
use crate::read;
use crate::report::Report;

/// How long a copy is kept when nothing is said.
const KEEP: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Bounds of that: an hour, and ten years.
const KEEP_BOUNDS: (SignedDuration, SignedDuration) =
    (SignedDuration::from_hours(1), SignedDuration::from_hours(10 * 366 * 24));
/// How long making or restoring it may take when nothing is said.
const TIMEOUT: SignedDuration = SignedDuration::from_mins(30);
/// Bounds of that.
const TIMEOUT_BOUNDS: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(1), SignedDuration::from_hours(24));
/// Bounds of the age of one that serves as well.
const AGE_BOUNDS: (SignedDuration, SignedDuration) =
    (SignedDuration::ZERO, SignedDuration::from_hours(7 * 24));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Postgres,
    Sqlite,
    Files,
    Exec,
}

/// Reads the whole key.
pub(crate) fn backup(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<Backup> {
    let field = field?;
    let mut fields = Fields::of(&field, report);
    let ways = [
        ("postgres", By::Postgres),
        ("sqlite", By::Sqlite),
        ("files", By::Files),
        ("exec", By::Exec),
    ];
    let by = fields.need("by", "postgres", report);
    let known = by.is_some();
    let by = read::choice(by, &ways, By::Exec, report);
    let of = what(by, &mut fields, report);
    let to = fields.get("to").and_then(|field| absolute(&field, report));
    let newer_than =
        read::duration(fields.get("newer_than"), SignedDuration::ZERO, AGE_BOUNDS, report);
    let drill = [("restore", true), ("checksum", false)];
    let verify = fields.get("verify");
    let verify_at = verify.as_ref().map(Field::at);
    let drill = read::choice(verify, &drill, true, report);
    let drill_at = fields.get("drill_at").and_then(|field| address(&field, report));
    let keep = read::duration(fields.get("keep"), KEEP, KEEP_BOUNDS, report);
    let timeout = read::duration(fields.get("timeout"), TIMEOUT, TIMEOUT_BOUNDS, report);
    fields.finish(&["encrypted"], report);
    if let Some(BackupOf::Exec { restore: None, .. }) = &of
        && drill
    {
        report
            .error(
                codes::CONFLICT,
                verify_at.unwrap_or_else(|| field.at()),
                "nobody can restore this copy",
            )
            .help("give it a `restore` command, or say `verify: checksum`");
    }
    let of = of.filter(|_| known)?;
    Some(Backup { of, to, newer_than, drill, drill_at, keep, timeout })
}

fn what(by: By, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<BackupOf> {
    if by == By::Exec {
        let make = command::run_or_shell(fields, report)?;
        let restore = fields.get("restore").and_then(|field| command::command(&field, report));
        let env = fields.get("env").map(|field| command::env(&field, report)).unwrap_or_default();
        return Some(BackupOf::Exec { make, restore, env });
    }
    let example =
        if by == By::Postgres { "postgres://shop@localhost/shop" } else { "/srv/shop.db" };
    let of = fields.need("of", example, report)?;
    match by {
        By::Postgres => address(&of, report).map(|url| BackupOf::Postgres { url }),
        By::Sqlite => absolute(&of, report).map(|path| BackupOf::Sqlite { path }),
        By::Files | By::Exec => absolute(&of, report).map(|path| BackupOf::Files { path }),
    }
}

/// A connection without a password.
fn address(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let Some(rest) = rest.filter(|_| !text.chars().any(|c| c.is_whitespace() || c.is_control()))
    else {
        let message = format!("`{}` is no address of a database", field.path);
        report
            .error(codes::BAD_ROUTE, field.at(), message)
            .help("write for example `postgres://shop@localhost/shop`");
        return None;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') || rest.contains("password=") {
        let message = format!("`{}` has a password in it", field.path);
        report
            .error(codes::SECRET_IN_FILE, field.at(), message)
            .help("leave it away: it is taken from `~/.pgpass` of the server's user");
        return None;
    }
    Some(text.to_owned())
}

fn absolute(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    if text.starts_with('/') && !text.split('/').any(|piece| piece == "..") {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, not an absolute path", field.path, shorten(text));
    report.error(codes::BAD_PATH, field.at(), message);
    None
}
