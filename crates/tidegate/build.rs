//! Makes the table of error pages from `docs/errors/`, so that the binary carries every page.
//! It must never reach outside of that folder.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked when it runs, not when it is compiled: a build cache may come from another clone.
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .ok_or_else(|| io::Error::other("CARGO_MANIFEST_DIR is not set"))?;
    let pages = Path::new(&here).join("../../docs/errors");
    println!("cargo::rerun-if-changed={}", pages.display());
    let mut codes = Vec::new();
    for entry in fs::read_dir(&pages)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if stem.starts_with("TG") && path.extension().is_some_and(|extension| extension == "md") {
            codes.push((stem, fs::canonicalize(path)?));
        }
    }
    codes.sort();
    let mut table = String::from("static PAGES: &[(&str, &str)] = &[\n");
    for (code, path) in codes {
        // Writing to a string cannot fail.
        let _infallible = writeln!(table, "    ({code:?}, include_str!({path:?})),");
    }
    table.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    fs::write(Path::new(&out).join("pages.rs"), table)
}
