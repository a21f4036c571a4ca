//! Puts values in the place of `${env.NAME}`, `${release.version}` and `${release.commit}`.
//! Must never take a value from anywhere but the file and the caller, and never leave a `${` that
//! nobody replaced: the application would see it as it stands.

use std::collections::BTreeMap;

use tidegate_core::plan::Release;

use crate::codes;
use crate::fields::shorten;
use crate::node::{Kind, Node, below};
use crate::report::{Purpose, Report, Span};
use crate::words;

/// Most variables of one file.
const VARIABLES_MAX: usize = 256;

/// What may be put in.
pub(crate) struct Values<'a> {
    pub(crate) release: &'a Release,
    /// Values that the caller gives, which win over those of the file.
    pub(crate) given: &'a BTreeMap<String, String>,
}

struct Declared {
    value: Option<String>,
    at: Span,
}

/// Replaces every reference in a tree, keys excepted.
pub(crate) fn substitute(root: &mut Node, values: &Values<'_>, report: &mut Report<'_>) {
    let declared = declared(root, values, report);
    for name in values.given.keys().filter(|name| !declared.contains_key(*name)) {
        let message = format!("`{}` is given a value and is not declared", shorten(name));
        let at = root.get("variables").map_or(Span::START, |node| node.at);
        report
            .error(codes::UNDECLARED, at, message)
            .help(format!("declare it: `variables: {{{}: {{type: text}}}}`", shorten(name)));
    }
    let lookup = Lookup { declared, release: values.release };
    lookup.visit(root, "", report);
}

fn declared(
    root: &Node,
    values: &Values<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<String, Declared> {
    let mut declared = BTreeMap::new();
    let Some(Kind::Map(entries)) = root.get("variables").map(|node| &node.kind) else {
        return declared;
    };
    if entries.len() > VARIABLES_MAX {
        let at = root.get("variables").map_or(Span::START, |node| node.at);
        report.error(codes::TOO_COMPLEX, at, format!("more than {VARIABLES_MAX} variables"));
        return declared;
    }
    for (key, node) in entries {
        let path = format!("variables.{}", shorten(&key.text));
        if !crate::command::is_variable(&key.text) {
            report
                .error(codes::BAD_VARIABLE, key.at, format!("`{path}` is no name of a variable"))
                .help("use A-Z, 0-9 and `_`");
            continue;
        }
        let written = match &node.kind {
            Kind::Map(_) => node.get("value").and_then(Node::text),
            Kind::Scalar { .. } => node.text(),
            Kind::List(_) => None,
        };
        let value = values.given.get(&key.text).cloned().or_else(|| written.map(str::to_owned));
        let kind = node.get("type").and_then(Node::text).unwrap_or("text");
        if let Some(value) = &value
            && !is_of(kind, value)
        {
            let message = format!("`{path}` is `{}`, not a {kind}", shorten(value));
            report.error(codes::NO_VALUE, node.at, message).help(if kind == "url" {
                "write it with its scheme, `https://...`"
            } else {
                "write digits"
            });
        }
        declared.insert(key.text.clone(), Declared { value, at: key.at });
    }
    declared
}

fn is_of(kind: &str, value: &str) -> bool {
    match kind {
        "url" => value.split_once("://").is_some_and(|(scheme, rest)| {
            !rest.is_empty()
                && !scheme.is_empty()
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
        }),
        "number" => value.parse::<f64>().is_ok_and(f64::is_finite),
        _ => true,
    }
}

struct Lookup<'a> {
    declared: BTreeMap<String, Declared>,
    release: &'a Release,
}

impl Lookup<'_> {
    fn visit(&self, node: &mut Node, path: &str, report: &mut Report<'_>) {
        let at = node.at;
        match &mut node.kind {
            Kind::Scalar { text, .. } if text.contains("${") => {
                *text = self.replaced(text, path, at, report);
            }
            Kind::Scalar { .. } => {}
            Kind::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.visit(item, &format!("{path}[{}]", index + 1), report);
                }
            }
            Kind::Map(entries) => {
                for (key, value) in
                    entries.iter_mut().filter(|(key, _)| !key.text.starts_with("x-"))
                {
                    self.visit(value, &below(path, &shorten(&key.text)), report);
                }
            }
        }
    }

    fn replaced(&self, text: &str, path: &str, at: Span, report: &mut Report<'_>) -> String {
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            whole.push_str(before);
            let Some((name, behind)) = behind.split_once('}') else {
                report
                    .error(
                        codes::SUBSTITUTION,
                        at,
                        format!("`{path}` has a `${{` that does not end"),
                    )
                    .help("close it with `}`");
                return whole;
            };
            whole.push_str(&self.value(name, path, at, report));
            rest = behind;
        }
        whole.push_str(rest);
        whole
    }

    fn value(&self, name: &str, path: &str, at: Span, report: &mut Report<'_>) -> String {
        match name {
            "release.version" => return self.release.version.clone(),
            "release.commit" => return self.release.commit.clone(),
            _ => {}
        }
        let Some(variable) = name.strip_prefix("env.") else {
            report
                .error(
                    codes::SUBSTITUTION,
                    at,
                    format!(
                        "`{path}` has `${{{}}}`, and nothing is put in its place",
                        shorten(name)
                    ),
                )
                .help(
                    "known are `${env.NAME}` of a declared variable, `${release.version}` and \
                     `${release.commit}`; in a `shell:` line write `$NAME` for variables of the \
                     process",
                );
            return String::new();
        };
        match self.declared.get(variable) {
            Some(Declared { value: Some(value), .. }) => value.clone(),
            Some(Declared { value: None, at: declared }) => {
                // Who only looks needs no values; a stand-in keeps the rest checkable.
                if report.purpose() == Purpose::Deploy {
                    report
                        .error(
                            codes::NO_VALUE,
                            *declared,
                            format!("`{}` has no value", shorten(variable)),
                        )
                        .help(format!("give one: `--set {variable}=...`, or `value:` in the file"));
                }
                format!("<{variable}>")
            }
            None => {
                let known = self.declared.keys().map(String::as_str);
                let nearest = words::nearest_word(variable, known);
                let finding = report.error(
                    codes::UNDECLARED,
                    at,
                    format!("`{path}` uses `{}`, which is not declared", shorten(variable)),
                );
                match nearest {
                    Some(meant) => finding.help(format!("did you mean `${{env.{meant}}}`?")),
                    None => finding.help(format!(
                        "declare it: `variables: {{{}: {{type: text}}}}`",
                        shorten(variable)
                    )),
                }
                String::new()
            }
        }
    }
}

/// Every reference to a secret: its form is checked, and that nobody resolves it yet is said.
pub(crate) fn secrets(root: &Node, report: &mut Report<'_>) {
    root.scalars("", &mut |path, node| {
        let Some(text) = node.text().filter(|text| text.starts_with(crate::secret::SCHEME)) else {
            return;
        };
        // Steps and backups are handed their secrets, and say themselves which they take.
        if path.starts_with("steps.") && path.contains(".secrets.")
            || path == "backup.to.credentials"
        {
            return;
        }
        let declared = path.split(['.', '[']).next().and_then(crate::format::find);
        if declared.is_some_and(|key| !key.served) {
            // The section as a whole is reported.
            return;
        }
        match crate::secret::parse(text) {
            Err(help) => {
                let message = format!("`{path}` is no reference to a secret");
                report.error(codes::BAD_SECRET, node.at, message).help(help);
            }
            Ok(reference) => {
                let message = format!(
                    "`{path}` takes `{}` from `{}`, and no keeper of secrets is bound",
                    shorten(reference.name),
                    shorten(reference.provider)
                );
                report.unserved(
                    path,
                    node.at,
                    message,
                    "let the application read it from a file on the machine",
                );
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn an_address_has_a_scheme() {
        assert!(is_of("url", "https://api.example"));
        assert!(is_of("url", "postgres://db/shop"));
        assert!(!is_of("url", "prod-db.example"));
        assert!(!is_of("url", "https://"));
        assert!(is_of("number", "2.5"));
        assert!(!is_of("number", "many"));
        assert!(is_of("text", ""));
    }
}
