//! Lock files: what a release depends on, and what of it changed.
//! Must never take a file that it cannot read for one without dependencies.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{Error, broken};

/// Longest lock file, bytes: that of a very large web application has some 3 MB.
pub const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most packages of one file.
const PACKAGES_MAX: usize = 50_000;
/// Names of the files that are read.
pub const NAMES: [&str; 5] =
    ["Cargo.lock", "package-lock.json", "npm-shrinkwrap.json", "poetry.lock", "uv.lock"];

/// The packages of a file with their versions; one may be there in several.
pub type Packages = BTreeMap<String, BTreeSet<String>>;

/// A package that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// Its versions before; empty when it is new.
    pub before: BTreeSet<String>,
    /// Its versions now; empty when it is gone.
    pub after: BTreeSet<String>,
}

impl Changed {
    /// Whether the first number of its highest version differs, of a package that was there.
    #[must_use]
    pub fn is_major(&self) -> bool {
        let first = |versions: &BTreeSet<String>| {
            let numbers = versions.iter().filter_map(|version| version.split('.').next());
            numbers.filter_map(|number| number.trim_start_matches('v').parse::<u64>().ok()).max()
        };
        match (first(&self.before), first(&self.after)) {
            (Some(before), Some(after)) => before != after,
            _ => false,
        }
    }
}

/// Whether a path is that of a lock file that is read.
#[must_use]
pub fn is_read(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    NAMES.contains(&name)
}

/// Reads a lock file by its name.
///
/// # Errors
/// [`Error`] when it is no such file, or holds more than is read.
pub fn read(path: &str, bytes: &[u8]) -> Result<Packages, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_odd| Error::NotText)?;
    let found = if path.ends_with(".json") { npm(text)? } else { toml(text)? };
    let mut packages = Packages::new();
    for (name, version) in found {
        packages.entry(name).or_default().insert(version);
        if packages.len() > PACKAGES_MAX {
            return Err(Error::TooMany { most: PACKAGES_MAX, what: "packages" });
        }
    }
    Ok(packages)
}

/// What differs between two states of a file, by name.
#[must_use]
pub fn changes(before: &Packages, after: &Packages) -> Vec<Changed> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let none = BTreeSet::new();
    let changed = names.into_iter().filter_map(|name| {
        let (before, after) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        (before != after).then(|| Changed {
            name: name.clone(),
            before: before.clone(),
            after: after.clone(),
        })
    });
    changed.collect()
}

#[derive(Deserialize)]
struct Locked {
    #[serde(default)]
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: Option<String>,
}

/// Cargo, Poetry and uv write a table for each package.
fn toml(text: &str) -> Result<Vec<(String, String)>, Error> {
    let locked: Locked = toml::from_str(text).map_err(|error| broken(error.message()))?;
    let known = |package: LockedPackage| Some((package.name, package.version?));
    Ok(locked.package.into_iter().filter_map(known).collect())
}

#[derive(Deserialize)]
struct NpmLock {
    #[serde(rename = "lockfileVersion")]
    version: u64,
    packages: Option<BTreeMap<String, NpmPackage>>,
    dependencies: Option<BTreeMap<String, NpmDependency>>,
}

#[derive(Deserialize)]
struct NpmPackage {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    link: bool,
}

#[derive(Deserialize)]
struct NpmDependency {
    version: String,
    #[serde(default)]
    dependencies: BTreeMap<String, NpmDependency>,
}

/// npm's lock file of version 1 (nested dependencies), 2 and 3 (paths below `node_modules`).
fn npm(text: &str) -> Result<Vec<(String, String)>, Error> {
    let lock: NpmLock = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    let mut found = Vec::new();
    match (lock.version, lock.packages, lock.dependencies) {
        (2 | 3, Some(packages), _) => {
            // The one without a path is the application itself.
            for (path, package) in packages.into_iter().filter(|(path, _)| !path.is_empty()) {
                let by_path = || path.rsplit("node_modules/").next().map(str::to_owned);
                if let (Some(name), Some(version), false) =
                    (package.name.clone().or_else(by_path), package.version, package.link)
                {
                    found.push((name, version));
                }
            }
        }
        (1, _, dependencies) => nested(dependencies.unwrap_or_default(), &mut found),
        (version, ..) => return Err(broken(format!("lock file version {version} is not read"))),
    }
    Ok(found)
}

fn nested(dependencies: BTreeMap<String, NpmDependency>, found: &mut Vec<(String, String)>) {
    for (name, dependency) in dependencies {
        found.push((name, dependency.version));
        nested(dependency.dependencies, found);
    }
}

#[cfg(test)]
mod tests {
    use super::{changes, is_read, read};

    #[test]
    fn what_changed_between_two_lock_files_is_known_by_name() {
        let lock = |serde: &str, extra: &str| {
            let text = format!(
                "version = 4\n[[package]]\nname = \"serde\"\nversion = \"{serde}\"\n\
                 [[package]]\nname = \"same\"\nversion = \"0.1.0\"\n{extra}"
            );
            read("Cargo.lock", text.as_bytes()).unwrap()
        };
        let gone = "[[package]]\nname = \"gone\"\nversion = \"1.0.0\"\n";
        let found = changes(&lock("1.9.9", gone), &lock("2.0.0", ""));
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.is_major())).collect();
        assert_eq!(names, [("gone", false), ("serde", true)]);
        assert!(changes(&lock("1.9.9", gone), &lock("1.9.9", gone)).is_empty());
        assert!(!changes(&lock("1.9.9", ""), &lock("1.10.0", ""))[0].is_major());
    }

    #[test]
    fn npm_locks_of_every_version_are_read() {
        let three = r#"{"lockfileVersion": 3, "packages": {
            "": {"name": "shop", "version": "1.0.0"},
            "node_modules/a": {"version": "1.2.0"},
            "node_modules/a/node_modules/@x/b": {"version": "2.0.0"},
            "node_modules/linked": {"link": true, "resolved": "lib"}}}"#;
        let packages = read("web/package-lock.json", three.as_bytes()).unwrap();
        assert_eq!(packages.keys().collect::<Vec<_>>(), ["@x/b", "a"]);
        let one = r#"{"lockfileVersion": 1, "dependencies": {
            "a": {"version": "1.2.0", "dependencies": {"@x/b": {"version": "2.0.0"}}}}}"#;
        assert_eq!(read("package-lock.json", one.as_bytes()).unwrap(), packages);
        assert!(is_read("web/package-lock.json") && !is_read("package.json"));
    }

    #[test]
    fn what_cannot_be_read_is_no_empty_list() {
        for (path, text) in [
            ("package-lock.json", "{}"),
            ("package-lock.json", "{\"lockfileVersion\": 9}"),
            ("package-lock.json", "{\"lockfileVersion\": 3, \"packages\""),
            ("Cargo.lock", "[[package]]\nname = "),
            ("uv.lock", "\u{0}"),
        ] {
            assert!(read(path, text.as_bytes()).is_err(), "{path}: {text}");
        }
    }
}
