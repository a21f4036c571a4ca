//! References to secrets: `secret://provider/name#field`.
//! Must never hold a secret: only the name of one is written, read and shown.

use crate::codes;
use crate::fields::Field;
use crate::read;
use crate::report::Report;

/// A secret by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference<'t> {
    /// Who keeps it.
    pub(crate) provider: &'t str,
    /// What it is called there; may have slashes.
    pub(crate) name: &'t str,
    /// Which of its fields is meant.
    pub(crate) field: Option<&'t str>,
}

/// How a reference begins.
pub(crate) const SCHEME: &str = "secret://";
/// Longest reference, in bytes: providers allow names of at most 512.
const BYTES_MAX: usize = 1_024;
/// What to write instead.
const HELP: &str = "write `secret://provider/name`, or `secret://provider/name#field`";

/// A reference to a file of the server's `secrets`: the one source that is served.
pub(crate) fn of_file(entry: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(entry, report)?;
    match parse(text) {
        Ok(reference) if reference.provider == "file" && reference.field.is_none() => {
            return Some(text.to_owned());
        }
        Ok(reference) => {
            let message =
                format!("`{}`: secrets of `{}` are not served", entry.path, reference.provider);
            report
                .error(codes::NOT_SERVED, entry.at(), message)
                .help("write `secret://file/NAME` for a file of the server's `secrets`");
        }
        Err(help) => {
            let message = format!("`{}` names no secret", entry.path);
            report.error(codes::BAD_SECRET, entry.at(), message).help(help);
        }
    }
    None
}

/// Reads a reference.
pub(crate) fn parse(text: &str) -> Result<Reference<'_>, &'static str> {
    let rest = text.strip_prefix(SCHEME).ok_or(HELP)?;
    let (path, field) = match rest.split_once('#') {
        Some((path, field)) => (path, Some(field)),
        None => (rest, None),
    };
    let (provider, name) = path.split_once('/').ok_or(HELP)?;
    let plain = |piece: &str| {
        !piece.is_empty()
            && piece.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
            && !piece.split('/').any(|part| part.is_empty() || part == "..")
    };
    let sound = text.len() <= BYTES_MAX
        && plain(provider)
        && !provider.contains(['/', '.'])
        && plain(name)
        && field.is_none_or(|field| plain(field) && !field.contains('/'));
    if sound { Ok(Reference { provider, name, field }) } else { Err(HELP) }
}

#[cfg(test)]
mod tests {
    use super::{Reference, parse};

    #[test]
    fn a_reference_names_provider_secret_and_field() {
        let whole = Reference { provider: "vault", name: "shop/db", field: Some("password") };
        assert_eq!(parse("secret://vault/shop/db#password"), Ok(whole));
        let plain = Reference { provider: "env", name: "TOKEN", field: None };
        assert_eq!(parse("secret://env/TOKEN"), Ok(plain));
        for bad in [
            "secret://",
            "secret://vault",
            "secret://vault/",
            "secret:///x",
            "secret://vault/../x",
            "secret://vault/a//b",
            "secret://vault/x#",
            "secret://vault/x#a/b",
            "secret://vault/x y",
            "secret://va.ult/x",
            "vault/x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
