//! Finds values that cannot be meant as they stand: placeholders, retired services, bare addresses.
//! Must never follow an address: a value is known by its letters.

use crate::codes;
use crate::lint::commands::Finding;

/// Services that their vendors have switched off, by a word that names them.
/// Azure CDN from Verizon: retired 15 January 2025 (Microsoft Learn, "Azure CDN from Edgio
/// retirement FAQ"). Azure CDN Standard from Akamai: retired 31 October 2023. AWS OpsWorks: end of
/// life 26 May 2024. Google Container Registry: shut down 18 March 2025.
const RETIRED: [(&str, &str, &str); 6] = [
    (
        "premium_verizon",
        "Azure CDN from Verizon was retired on 15 January 2025",
        "Azure Front Door is its successor",
    ),
    (
        "standard_verizon",
        "Azure CDN from Verizon was retired on 15 January 2025",
        "Azure Front Door is its successor",
    ),
    (
        "standard_akamai",
        "Azure CDN from Akamai was retired on 31 October 2023",
        "Azure Front Door is its successor",
    ),
    (
        "azureedge.net",
        "Azure CDN from Edgio was retired on 15 January 2025",
        "Azure Front Door is its successor",
    ),
    ("opsworks", "AWS OpsWorks ended on 26 May 2024", "AWS Systems Manager is its successor"),
    (
        "gcr.io/",
        "Google Container Registry was shut down on 18 March 2025",
        "Artifact Registry is its successor",
    ),
];

/// Texts that somebody meant to replace.
const PLACEHOLDERS: [&str; 8] =
    ["xxx.xxx", "changeme", "change-me", "todo", "fixme", "your-", "example.com", "<commit-hash>"];

/// Everything that is wrong with one value; `name` is the key or variable it belongs to.
pub(crate) fn value(name: &str, text: &str) -> Vec<Finding> {
    [placeholder(text), retired(text), retired_webhook(name, text), bare_address(name, text)]
        .into_iter()
        .flatten()
        .collect()
}

/// A placeholder, where words end.
pub(crate) fn placeholder(text: &str) -> Option<Finding> {
    let lower = text.to_lowercase();
    let found = PLACEHOLDERS.iter().find(|word| {
        lower.match_indices(**word).any(|(at, _)| {
            let before = lower.get(..at).and_then(|head| head.chars().next_back());
            let after = lower.get(at + word.len()..).and_then(|tail| tail.chars().next());
            let open_end = word.ends_with('-') || word.contains('.');
            !before.is_some_and(char::is_alphanumeric)
                && (open_end || !after.is_some_and(char::is_alphanumeric))
        })
    })?;
    Some(Finding {
        code: codes::PLACEHOLDER,
        message: format!("`{found}` stands where a value belongs"),
        help: "write the value, or an `ask:` entry until somebody knows it",
    })
}

fn retired(text: &str) -> Option<Finding> {
    let lower = text.to_lowercase();
    let (_, message, help) = RETIRED.iter().find(|(word, ..)| lower.contains(word))?;
    Some(Finding { code: codes::RETIRED, message: (*message).to_owned(), help })
}

/// Office 365 connectors in Teams are retired; only the addresses of workflows work.
fn retired_webhook(name: &str, text: &str) -> Option<Finding> {
    let lower = text.to_lowercase();
    let name = name.to_lowercase();
    let address =
        lower.contains("webhook.office.com") || lower.contains("outlook.office.com/webhook");
    let named = name.contains("teams_webhook")
        || lower.contains("teams_webhook")
        || lower.contains("teams webhook");
    (address || named).then(|| Finding {
        code: codes::RETIRED_WEBHOOK,
        message: "webhooks of Teams connectors are retired".to_owned(),
        help: "make a workflow that takes a webhook, and send one message to it",
    })
}

/// `DATABASE_URL=db.example.net`: a name where an address is promised.
pub(crate) fn bare_address(name: &str, text: &str) -> Option<Finding> {
    let promised = name.ends_with("_URL") || name.ends_with("_URI") || name.ends_with("_DSN");
    let bare = !text.contains("://") && !text.contains("${") && !text.is_empty();
    (promised && bare && !text.starts_with(['/', '<'])).then(|| Finding {
        code: codes::NO_SCHEME,
        message: format!("`{name}` is `{text}`, which has no scheme"),
        help: "write it whole, as in `postgres://...` or `https://...`",
    })
}

/// A telephone number with letters in it, or too short to be one.
pub(crate) fn undiallable(text: &str) -> Option<Finding> {
    let letters = text.chars().any(|c| c.is_ascii_alphabetic());
    let digits = text.chars().filter(char::is_ascii_digit).count();
    (letters || !(7..=15).contains(&digits)).then(|| Finding {
        code: codes::UNREACHABLE,
        message: format!("`{text}` cannot be dialled"),
        help: "write the number in full, as in `+49 30 1234567`, and call it once",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_be_meant_are_found() {
        let codes = |name: &str, text: &str| -> Vec<&str> {
            value(name, text).into_iter().map(|finding| finding.code).collect()
        };
        assert_eq!(codes("ranges", "xxx.xxx.xxx.xxx/24"), ["TG2017"]);
        assert_eq!(codes("commit", "<commit-hash>"), ["TG2017"]);
        assert_eq!(codes("profile", "Premium_Verizon"), ["TG2018"]);
        assert_eq!(codes("PROD_TEAMS_WEBHOOK_URL", "https://a.b"), ["TG2019"]);
        assert_eq!(codes("DATABASE_URL", "prod-db.shop.net"), ["TG2020"]);
        for (name, text) in [
            ("API_URL", "https://api.shop.net"),
            ("note", "todos are listed"),
            ("host", "shop.example"),
            ("DATABASE_URL", "${env.DATABASE_URL}"),
        ] {
            assert_eq!(codes(name, text), [""; 0], "{name} {text}");
        }
        assert!(undiallable("+1-555-DEVOPS").is_some());
        assert!(undiallable("+49 30 1234567").is_none());
    }
}
