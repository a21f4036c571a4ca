//! Licence expressions held against lists of allowed and refused licences.
//! Must never read a licence out of free text: what is no SPDX expression is unknown.

use spdx::{Expression, LicenseReq, ParseMode};
use tidegate_core::fact::Components;

/// Longest expression read, bytes.
const EXPRESSION_BYTES_MAX: usize = 2_000;

/// Which licences a gate allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Licences {
    /// SPDX ids that are allowed, with an exception as `ID WITH EXCEPTION`; empty allows all that
    /// [`Self::deny`] does not name.
    pub allow: Vec<String>,
    /// SPDX ids that are not. `GPL-3.0` names `GPL-3.0-only` and `GPL-3.0-or-later` as well.
    pub deny: Vec<String>,
}

/// What the lists say to a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Allowed,
    Refused,
    Unknown,
}

impl Licences {
    /// Whether one licence of an expression may be taken.
    fn permits(&self, requirement: &LicenseReq) -> bool {
        let full = requirement.to_string();
        let plain = full.split(" WITH ").next().unwrap_or_default();
        let named = |list: &[String], id: &str| {
            list.iter().any(|entry| entry.eq_ignore_ascii_case(id) || base(entry) == base(id))
        };
        let exactly = |list: &[String]| list.iter().any(|entry| entry.eq_ignore_ascii_case(&full));
        if exactly(&self.allow) {
            return true;
        }
        // An exception only gives more rights, so a licence that is allowed is so with one.
        !exactly(&self.deny)
            && !named(&self.deny, plain)
            && (self.allow.is_empty() || named(&self.allow, plain))
    }

    fn judge(&self, expression: Option<&str>) -> Word {
        let Some(text) = expression.filter(|text| text.len() <= EXPRESSION_BYTES_MAX) else {
            return Word::Unknown;
        };
        let Ok(parsed) = Expression::parse_mode(text, ParseMode::LAX) else {
            return Word::Unknown;
        };
        // `MIT OR GPL-3.0` may be taken as MIT; of `MIT AND GPL-3.0` both must be allowed.
        if parsed.evaluate(|requirement| self.permits(requirement)) {
            Word::Allowed
        } else {
            Word::Refused
        }
    }

    /// Counts a component with its licence; `None` when it states none.
    pub(crate) fn take(&self, whole: &mut Components, name: String, licence: Option<String>) {
        whole.count += 1;
        match self.judge(licence.as_deref()) {
            Word::Allowed => {}
            Word::Refused => {
                let licence = licence.as_deref().unwrap_or_default();
                whole.refused.push(format!("{name} ({licence:.80})"));
            }
            Word::Unknown => {
                let stated = licence.as_deref().map(|text| format!(" ({text:.80})"));
                whole.unknown.push(format!("{name}{}", stated.unwrap_or_default()));
            }
        }
        whole.listed.insert(name, licence);
    }
}

/// An id without what says which later versions count.
fn base(id: &str) -> String {
    let id = id.to_ascii_lowercase();
    let id = id.strip_suffix('+').unwrap_or(&id);
    let id = id.strip_suffix("-only").or_else(|| id.strip_suffix("-or-later")).unwrap_or(id);
    id.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Licences, Word};

    #[test]
    fn an_expression_is_as_good_as_its_best_choice() {
        let lists = Licences {
            allow: Vec::new(),
            deny: vec!["GPL-3.0".to_owned(), "AGPL-3.0-only".to_owned()],
        };
        for (expression, word) in [
            ("MIT", Word::Allowed),
            ("MIT OR GPL-3.0", Word::Allowed),
            ("MIT AND GPL-3.0-or-later", Word::Refused),
            ("GPL-3.0-only", Word::Refused),
            ("GPL-3.0+", Word::Refused),
            ("GPL-3.0-only WITH GCC-exception-3.1", Word::Refused),
            ("Apache-2.0 AND (MIT OR AGPL-3.0-only)", Word::Allowed),
            ("Some licence of ours", Word::Unknown),
            ("", Word::Unknown),
        ] {
            assert_eq!(lists.judge(Some(expression)), word, "{expression}");
        }
        assert_eq!(lists.judge(None), Word::Unknown);
    }

    #[test]
    fn an_exception_is_allowed_by_name() {
        let lists = Licences {
            allow: vec!["MIT".to_owned(), "GPL-2.0-only WITH Classpath-exception-2.0".to_owned()],
            deny: vec!["GPL-2.0".to_owned()],
        };
        assert_eq!(lists.judge(Some("GPL-2.0-only WITH Classpath-exception-2.0")), Word::Allowed);
        assert_eq!(lists.judge(Some("GPL-2.0-only")), Word::Refused);
        assert_eq!(lists.judge(Some("BSD-3-Clause")), Word::Refused);
        assert_eq!(lists.judge(Some("LicenseRef-ours")), Word::Refused);
    }
}
