//! Reads `backup`: the copy that is made before anything changes, and what recovery must reach.
//! Must never take a password: what stands in this file stands in the journal.

use jiff::SignedDuration;
use tidegate_core::plan::{Backup, BackupOf, Bucket, Encryption, Place, Targets};

use crate::codes;
use crate::command;
use crate::declared;
use crate::fields::{Field, Fields, shorten};
use crate::read;
use crate::report::Report;
use crate::{secret, units};

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
    Mysql,
    Sqlite,
    Files,
    Exec,
}

/// Reads the whole key; `recovery` holds what it must reach.
pub(crate) fn backup(
    field: Option<Field<'_>>,
    recovery: Option<Field<'_>>,
    report: &mut Report<'_>,
) -> Option<Backup> {
    if let Some(recovery) = &recovery {
        declared::check(recovery, report);
    }
    let field = field?;
    let mut fields = Fields::of(&field, report);
    let ways = [
        ("postgres", By::Postgres),
        ("mysql", By::Mysql),
        ("sqlite", By::Sqlite),
        ("files", By::Files),
        ("exec", By::Exec),
    ];
    let by = fields.need("by", "postgres", report);
    let known = by.is_some();
    let by = read::choice(by, &ways, By::Exec, report);
    let of = what(by, &mut fields, report);
    let to = place(fields.get("to"), report);
    let newer_than =
        read::duration(fields.get("newer_than"), SignedDuration::ZERO, AGE_BOUNDS, report);
    let drill = [("restore", true), ("checksum", false)];
    let verify = fields.get("verify");
    let verify_at = verify.as_ref().map_or_else(|| field.at(), Field::at);
    let drill = read::choice(verify, &drill, true, report);
    let drill_at = fields.get("drill_at").and_then(|field| address(&field, by, report));
    let encrypt = fields.get("encrypt").and_then(|field| encryption(&field, report));
    let keep = read::long_duration(fields.get("keep"), KEEP, KEEP_BOUNDS, report);
    let timeout = read::duration(fields.get("timeout"), TIMEOUT, TIMEOUT_BOUNDS, report);
    fields.finish(&[], report);
    if drill && let Some((why, help)) = beyond_restoring(of.as_ref(), encrypt.as_ref()) {
        report.error(codes::CONFLICT, verify_at, why).help(help);
    }
    let of = of.filter(|_| known)?;
    let targets = targets(recovery);
    Some(Backup { of, to, newer_than, drill, drill_at, encrypt, keep, timeout, targets })
}

/// Why a copy cannot be restored for a drill, and what helps.
fn beyond_restoring(
    of: Option<&BackupOf>,
    encrypt: Option<&Encryption>,
) -> Option<(&'static str, &'static str)> {
    if let Some(BackupOf::Exec { restore: None, .. }) = of {
        let help = "give it a `restore` command, or say `verify: checksum`";
        return Some(("nobody can restore this copy", help));
    }
    encrypt.filter(|encrypt| encrypt.key.is_none())?;
    let help = "name the file of the key, `encrypt: {to: age1…, key: /etc/tidegate/backup.key}`, \
                or say `verify: checksum`";
    Some(("nobody here can decrypt this copy", help))
}

/// What `recovery` demands; its shape was checked already, and a lint reads it too.
fn targets(recovery: Option<Field<'_>>) -> Targets {
    let Some(recovery) = recovery else { return Targets::default() };
    let duration = |key: &str| {
        let text = recovery.node.get(key).and_then(crate::node::Node::text)?;
        units::long_duration(text).ok()
    };
    Targets { rpo: duration("rpo"), rto: duration("rto") }
}

fn what(by: By, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<BackupOf> {
    if by == By::Exec {
        let make = command::run_or_shell(fields, report)?;
        let restore = fields.get("restore").and_then(|field| command::command(&field, report));
        let env = fields.get("env").map(|field| command::env(&field, report)).unwrap_or_default();
        return Some(BackupOf::Exec { make, restore, env });
    }
    let example = match by {
        By::Postgres => "postgres://shop@localhost/shop",
        By::Mysql => "mysql://shop@localhost/shop",
        By::Sqlite | By::Files | By::Exec => "/srv/shop.db",
    };
    let of = fields.need("of", example, report)?;
    match by {
        By::Postgres => address(&of, by, report).map(|url| BackupOf::Postgres { url }),
        By::Mysql => address(&of, by, report).map(|url| BackupOf::Mysql { url }),
        By::Sqlite => absolute(&of, report).map(|path| BackupOf::Sqlite { path }),
        By::Files | By::Exec => absolute(&of, report).map(|path| BackupOf::Files { path }),
    }
}

/// A folder by its path, or a bucket with all that reaching it needs.
fn place(field: Option<Field<'_>>, report: &mut Report<'_>) -> Place {
    let Some(field) = field else { return Place::Own };
    if matches!(field.node.kind, crate::node::Kind::Scalar { .. }) {
        return absolute(&field, report).map(Place::Folder).unwrap_or_default();
    }
    let mut fields = Fields::of(&field, report);
    let mut need = |key: &'static str, example: &'static str| {
        let field = fields.need(key, example, report)?;
        let text = read::text(&field, report)?.to_owned();
        Some((field, text))
    };
    let name = need("bucket", "copies");
    let endpoint = need("endpoint", "https://s3.eu-central-1.amazonaws.com");
    let region = need("region", "eu-central-1");
    let credentials = fields.need("credentials", "secret://file/s3", report);
    let credentials = credentials.and_then(|field| secret::of_file(&field, report));
    let prefix =
        fields.get("prefix").and_then(|field| read::text(&field, report).map(str::to_owned));
    fields.finish(&[], report);
    let (Some(name), Some(endpoint), Some(region), Some(credentials)) =
        (name, endpoint, region, credentials)
    else {
        return Place::Own;
    };
    bucket_name(&name.0, &name.1, report);
    if !endpoint.1.starts_with("https://") && !endpoint.1.starts_with("http://127.0.0.1") {
        let message = format!("`{}` is no address of an object store", endpoint.0.path);
        report
            .error(codes::BAD_ROUTE, endpoint.0.at(), message)
            .help("write for example `https://s3.eu-central-1.amazonaws.com`");
    }
    Place::Bucket(Bucket {
        name: name.1,
        prefix: prefix.unwrap_or_default().trim_matches('/').to_owned(),
        endpoint: endpoint.1,
        region: region.1,
        credentials,
    })
}

fn bucket_name(field: &Field<'_>, name: &str, report: &mut Report<'_>) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if (3..=63).contains(&name.len()) && name.chars().all(plain) {
        return;
    }
    let message = format!("`{}` is `{}`, not the name of a bucket", field.path, shorten(name));
    report.error(codes::BAD_NAME, field.at(), message).help("3 to 63 of a-z, 0-9, `-` and `.`");
}

fn encryption(field: &Field<'_>, report: &mut Report<'_>) -> Option<Encryption> {
    let mut fields = Fields::of(field, report);
    let to = fields.need("to", "age1…", report);
    let key = fields.get("key").and_then(|field| absolute(&field, report));
    fields.finish(&[], report);
    let to = to?;
    let text = read::text(&to, report)?;
    if text.starts_with("age1") && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Some(Encryption { to: text.to_owned(), key });
    }
    let message = format!("`{}` is no recipient of age", to.path);
    report
        .error(codes::BAD_SECRET, to.at(), message)
        .help("write the public key that `age-keygen` prints, `age1…`");
    None
}

/// A connection without a password.
fn address(field: &Field<'_>, by: By, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    let (schemes, example, file): (&[&str], _, _) = match by {
        By::Mysql => (&["mysql://"], "mysql://shop@localhost/shop", "~/.my.cnf"),
        _ => (&["postgres://", "postgresql://"], "postgres://shop@localhost/shop", "~/.pgpass"),
    };
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    let Some(rest) = rest.filter(|_| !text.chars().any(|c| c.is_whitespace() || c.is_control()))
    else {
        let message = format!("`{}` is no address of a database", field.path);
        report
            .error(codes::BAD_ROUTE, field.at(), message)
            .help(format!("write for example `{example}`"));
        return None;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') || rest.contains("password=") {
        let message = format!("`{}` has a password in it", field.path);
        report
            .error(codes::SECRET_IN_FILE, field.at(), message)
            .help(format!("leave it away: it is taken from `{file}` of the server's user"));
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
