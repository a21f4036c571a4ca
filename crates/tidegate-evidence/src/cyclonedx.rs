//! CycloneDX bills of materials, JSON, 1.2 to 1.7.
//! Must never take a bill without components for a release without dependencies.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::Components;

use crate::json::{self, Fold, Folded};
use crate::{Error, Licences, broken};

/// Most components of one bill: past it the bill is refused, not cut.
const COMPONENTS_MAX: usize = 200_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bill {
    bom_format: String,
    spec_version: String,
    #[serde(default)]
    components: Folded<List>,
}

#[derive(Default)]
struct List(Vec<(String, Option<String>)>);

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "type", default)]
    kind: String,
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    licenses: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    expression: Option<String>,
    license: Option<Licence>,
}

#[derive(Deserialize)]
struct Licence {
    id: Option<String>,
    name: Option<String>,
}

impl Fold for List {
    type Item = Component;

    fn take(&mut self, component: Component) -> Result<(), String> {
        // The file that lists dependencies, or the system below, is no dependency itself.
        if matches!(component.kind.as_str(), "application" | "operating-system" | "file") {
            return Ok(());
        }
        if self.0.len() >= COMPONENTS_MAX {
            return Err(format!("it has more than {COMPONENTS_MAX} components"));
        }
        let name = format!("{} {}", component.name, component.version).trim().to_owned();
        self.0.push((name, licence(component.licenses)));
        Ok(())
    }
}

/// Several licences of one component all apply.
fn licence(choices: Vec<Choice>) -> Option<String> {
    let named = choices.into_iter().filter_map(|choice| {
        let single = choice.license.and_then(|licence| licence.id.or(licence.name));
        choice.expression.map(|text| format!("({text})")).or(single)
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| named.join(" AND "))
}

/// Reads a bill.
///
/// # Errors
/// [`Error`] when it is cut off or no bill of CycloneDX.
pub(crate) fn read(from: &mut impl BufRead, licences: &Licences) -> Result<Components, Error> {
    let bill: Bill = json::read(from)?;
    if bill.bom_format != "CycloneDX" || !bill.spec_version.starts_with("1.") {
        return Err(broken("it is no bill of materials of CycloneDX 1"));
    }
    let mut whole = Components::default();
    for (name, licence) in bill.components.0.unwrap_or_default().0 {
        licences.take(&mut whole, name, licence);
    }
    Ok(whole)
}
