//! Which crate may import which: the exhaustive list of the architecture.
//!
//! A line here is a decision with an ADR behind it. This file must never learn an edge from the
//! manifests: it is the other side of the comparison.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata};

use super::finding::Finding;

/// Importer, then what it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tidegate-audit", &[]),
    ("tidegate-core", &[]),
    ("tidegate-judge", &[]),
    ("tidegate-spec", &["tidegate-core"]),
    ("tidegate-evidence", &["tidegate-core"]),
    ("tidegate-engine", &["tidegate-audit", "tidegate-core", "tidegate-judge"]),
    ("tidegate-journal", &["tidegate-audit", "tidegate-core", "tidegate-engine"]),
    (
        "tidegate-drivers",
        &["tidegate-core", "tidegate-engine", "tidegate-evidence", "tidegate-proxy"],
    ),
    ("tidegate-proxy", &["tidegate-judge"]),
    (
        "tidegate",
        &[
            "tidegate-audit",
            "tidegate-core",
            "tidegate-drivers",
            "tidegate-engine",
            "tidegate-evidence",
            "tidegate-journal",
            "tidegate-judge",
            "tidegate-proxy",
            "tidegate-spec",
        ],
    ),
    ("xtask", &[]),
];

/// Edges that must be narrowed to exactly these features, without the defaults.
const NARROWED: &[(&str, &str, &[&str])] = &[("tidegate-drivers", "tidegate-proxy", &["wire"])];

const MEND_EDGE: &str = "move the code to the side that may know both, or write an ADR and add the edge to xtask/src/tidy/edges.rs";
const MEND_FEATURES: &str =
    "set default-features = false and exactly the features listed in xtask/src/tidy/edges.rs";
const MEND_MEMBER: &str = "write an ADR and give the crate a row in xtask/src/tidy/edges.rs";

/// One dependency between two members of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) manifest: String,
    pub(crate) from: String,
    pub(crate) to: String,
    /// A dependency of tests only.
    pub(crate) dev: bool,
    pub(crate) default_features: bool,
    pub(crate) features: BTreeSet<String>,
}

/// Every member, and every edge between members. Members without edges matter too: an unknown
/// crate is a finding of its own, so each contributes an edge to itself.
pub(crate) fn from_metadata(metadata: &Metadata) -> Vec<Edge> {
    let packages = metadata.workspace_packages();
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut edges = Vec::new();
    for package in &packages {
        let manifest = package.manifest_path.strip_prefix(&metadata.workspace_root);
        let manifest = manifest.unwrap_or(&package.manifest_path).to_string();
        edges.push(Edge::itself(&manifest, package.name.as_str()));
        for dependency in &package.dependencies {
            if !names.contains(dependency.name.as_str()) {
                continue;
            }
            edges.push(Edge {
                manifest: manifest.clone(),
                from: package.name.to_string(),
                to: dependency.name.clone(),
                dev: dependency.kind == DependencyKind::Development,
                default_features: dependency.uses_default_features,
                features: dependency.features.iter().cloned().collect(),
            });
        }
    }
    edges
}

/// Compares the edges with the list. An edge of tests may widen features, never the list.
pub(crate) fn check(edges: &[Edge]) -> Vec<Finding> {
    edges.iter().filter_map(wrong).collect()
}

fn wrong(edge: &Edge) -> Option<Finding> {
    let row = ALLOWED.iter().find(|(from, _)| *from == edge.from);
    let Some((_, targets)) = row else {
        let what = format!("crate {} is not in the list of crates", edge.from);
        return Some(Finding::new(&edge.manifest, 1, what, MEND_MEMBER));
    };
    if edge.from == edge.to {
        return None;
    }
    if !targets.contains(&edge.to.as_str()) {
        let what = format!("{} must not import {}", edge.from, edge.to);
        return Some(Finding::new(&edge.manifest, 1, what, MEND_EDGE));
    }
    let narrowed = NARROWED.iter().find(|(from, to, _)| *from == edge.from && *to == edge.to);
    let (_, _, features) = narrowed?;
    let wanted: BTreeSet<String> = features.iter().map(|f| (*f).to_owned()).collect();
    if edge.dev || (edge.features == wanted && !edge.default_features) {
        return None;
    }
    let what = format!(
        "{} imports {} with features {:?} (defaults: {}), allowed are {wanted:?}",
        edge.from, edge.to, edge.features, edge.default_features
    );
    Some(Finding::new(&edge.manifest, 1, what, MEND_FEATURES))
}

impl Edge {
    fn itself(manifest: &str, name: &str) -> Edge {
        Edge {
            manifest: manifest.into(),
            from: name.into(),
            to: name.into(),
            dev: false,
            default_features: false,
            features: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, features: &[&str]) -> Edge {
        let features = features.iter().map(|f| (*f).to_owned()).collect();
        Edge { to: to.into(), features, ..Edge::itself("crates/x/Cargo.toml", from) }
    }

    #[test]
    fn a_listed_edge_passes_and_any_other_fails() {
        assert!(check(&[edge("tidegate-journal", "tidegate-engine", &[])]).is_empty());
        let found = check(&[edge("tidegate-journal", "tidegate-drivers", &[])]);
        assert!(found[0].what.contains("tidegate-journal must not import tidegate-drivers"));
    }

    #[test]
    fn nothing_imports_the_binary_not_even_in_tests() {
        let dev = Edge { dev: true, ..edge("tidegate-engine", "tidegate", &[]) };
        assert_eq!(check(&[dev]).len(), 1);
    }

    #[test]
    fn drivers_see_the_wire_of_the_proxy_alone() {
        assert!(check(&[edge("tidegate-drivers", "tidegate-proxy", &["wire"])]).is_empty());
        assert_eq!(check(&[edge("tidegate-drivers", "tidegate-proxy", &["serve"])]).len(), 1);
        let defaults = Edge {
            default_features: true,
            ..edge("tidegate-drivers", "tidegate-proxy", &["wire"])
        };
        assert_eq!(check(&[defaults]).len(), 1);
        let dev = Edge { dev: true, ..edge("tidegate-drivers", "tidegate-proxy", &["serve"]) };
        assert!(check(&[dev]).is_empty());
    }

    #[test]
    fn an_unknown_crate_fails() {
        assert_eq!(check(&[Edge::itself("crates/new/Cargo.toml", "tidegate-new")]).len(), 1);
    }
}
