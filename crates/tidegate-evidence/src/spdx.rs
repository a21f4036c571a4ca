//! SPDX documents, JSON, 2.2 and 2.3.
//! Must never take NOASSERTION or NONE for a licence.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::Components;

use crate::json::{self, Fold, Folded};
use crate::{Error, Licences, broken};

/// Most packages of one document: past it the document is refused, not cut.
const PACKAGES_MAX: usize = 200_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: String,
    #[serde(default)]
    packages: Folded<List>,
}

#[derive(Default)]
struct List(Vec<(String, Option<String>)>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: String,
    #[serde(default)]
    version_info: String,
    license_concluded: Option<String>,
    license_declared: Option<String>,
    primary_package_purpose: Option<String>,
}

impl Fold for List {
    type Item = Package;

    fn take(&mut self, package: Package) -> Result<(), String> {
        // What is described is no dependency of itself.
        let purpose = package.primary_package_purpose.as_deref();
        if matches!(purpose, Some("APPLICATION" | "SOURCE" | "OPERATING-SYSTEM" | "CONTAINER")) {
            return Ok(());
        }
        if self.0.len() >= PACKAGES_MAX {
            return Err(format!("it has more than {PACKAGES_MAX} packages"));
        }
        let stated = [package.license_concluded, package.license_declared];
        let licence = stated
            .into_iter()
            .flatten()
            .find(|text| !matches!(&**text, "NOASSERTION" | "NONE" | ""));
        self.0.push((
            format!("{} {}", package.name, package.version_info).trim().to_owned(),
            licence,
        ));
        Ok(())
    }
}

/// Reads a document.
///
/// # Errors
/// [`Error`] when it is cut off or no document of SPDX 2.
pub(crate) fn read(from: &mut impl BufRead, licences: &Licences) -> Result<Components, Error> {
    let document: Document = json::read(from)?;
    if !document.spdx_version.starts_with("SPDX-2.") {
        return Err(broken("it is no document of SPDX 2"));
    }
    let mut whole = Components::default();
    for (name, licence) in document.packages.0.unwrap_or_default().0 {
        licences.take(&mut whole, name, licence);
    }
    Ok(whole)
}
