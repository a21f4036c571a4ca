//! Alert rules of Prometheus: each is a rule that would roll back.
//! Must never make a rule that cannot tell the new version from the live one.

use super::super::binding::Bound;
use super::super::draft::Draft;
use super::{Leaf, compared, measured, name_of, question};

pub(super) fn bind(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    Some(match leaf.path.as_str() {
        "groups[].name" | "spec.groups[].name" => Bound::dropped("a heading: rules stand alone"),
        "groups[].interval" | "spec.groups[].interval" => {
            Bound::dropped("how often: `every` of each metric")
        }
        "groups[].rules[].alert" | "spec.groups[].rules[].alert" => {
            Bound::near("metrics", name_of(leaf.text), "it is named by its expression, see there")
        }
        "groups[].rules[].expr" | "spec.groups[].rules[].expr" => expression(leaf, draft),
        "groups[].rules[].for" | "spec.groups[].rules[].for" => Bound::near(
            "traffic.rollback_if",
            format!("for {}", leaf.text),
            "it stands in the rule that the expression becomes",
        ),
        "groups[].rules[].record" | "spec.groups[].rules[].record" => {
            Bound::dropped("a recorded series is no rule; a query may name it")
        }
        path if path.contains(".labels.severity") => Bound::near(
            "traffic.rollback_if",
            leaf.text,
            "a rule rolls back, whatever it is called; what only pages is not for a rollout",
        ),
        path if path.contains(".annotations.") => {
            Bound::dropped("messages have the numbers, and the sentence of the verdict")
        }
        path if path.contains(".labels.") => Bound::dropped("routing of messages"),
        "apiVersion" | "kind" => Bound::dropped("says which tool it is for"),
        path if path.starts_with("metadata.") => Bound::dropped("Kubernetes' own"),
        _ => return None,
    })
}

fn expression(leaf: &Leaf<'_>, draft: &mut Draft) -> Bound {
    let name = name_of(leaf.beside("alert").unwrap_or("alert"));
    let lasting = leaf.beside("for").map(|time| format!(" for {time}")).unwrap_or_default();
    match compared(leaf.text) {
        Some((_, sign, limit)) => {
            measured(leaf, draft, &name, &format!("{name} {sign} {limit}{lasting}"))
        }
        None => question(
            leaf,
            draft,
            &format!("metrics.{name}"),
            "the expression compares nothing with a number: what is too much?",
        ),
    }
}
