//! Encryption of copies by the program `age`: to a recipient, so that who makes them need not be
//! able to read them. Must never leave a plain copy beside an encrypted one.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidegate_engine::ports::Failure;

use super::{exec, failed};

/// Encrypts a file in its place.
pub(super) async fn seal(to: &str, file: &Path, limit: Duration) -> Result<(), Failure> {
    let sealed = file.with_extension("age");
    let words = ["age", "--encrypt", "--recipient", to, "--output"].map(str::to_owned);
    run(&words, &sealed, file, limit).await?;
    // failpoint: copy.seal.before
    std::fs::rename(&sealed, file).map_err(failed)?;
    // failpoint: copy.seal.after
    Ok(())
}

/// Decrypts a file into another.
pub(super) async fn open(
    key: &str,
    file: &Path,
    into: &Path,
    limit: Duration,
) -> Result<(), Failure> {
    let words = ["age", "--decrypt", "--identity", key, "--output"].map(str::to_owned);
    run(&words, into, file, limit).await
}

async fn run(
    words: &[String],
    output: &Path,
    input: &Path,
    limit: Duration,
) -> Result<(), Failure> {
    let paths = [output, input].map(|path| path.to_string_lossy().into_owned());
    let argv: Vec<String> = words.iter().cloned().chain(paths).collect();
    exec::program(&argv, BTreeMap::new(), Path::new("/"), limit).await.map(drop)
}
