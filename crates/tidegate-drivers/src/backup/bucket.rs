//! Copies in an object store that speaks the API of S3: put, read back, removed.
//!
//! Needs: `s3:PutObject`, `s3:GetObject` and `s3:DeleteObject` on the objects of its prefix, and
//! credentials as the JSON that a `credential_process` prints, in a file of `secrets`.
//! To undo by hand: remove the objects under the name of a backup.
//!
//! It must never take the store's word for what it holds: what counts is what was read back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use reqwest::header::CONTENT_LENGTH;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rusty_s3::{Credentials, S3Action, UrlStyle};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tidegate_core::digest::Digest;
use tidegate_core::plan::Bucket;
use tidegate_engine::ports::Failure;
use tokio::io::AsyncWriteExt;

use super::failed;
use crate::work::secrets;

/// Largest object that is put in one request, as the API defines it: 5 GiB.
pub(super) const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// How long a signature is valid; a request begins at once.
const SIGNED_FOR: Duration = Duration::from_secs(900);
/// A store that is there takes a connection within this.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How much of a refusal is shown, characters.
const SAID_CHARS_MAX: usize = 300;

/// Credentials as a `credential_process` prints them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// An open bucket.
pub(super) struct Objects {
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
    http: Client,
}

impl Objects {
    /// Reads the credentials; connects to nothing yet.
    pub(super) fn open(
        state_dir: &Path,
        bucket: &Bucket,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let refused = |what: String| Failure::permanent("TG6606", what);
        let text = secrets::one(state_dir, &bucket.credentials).map_err(refused)?;
        let printed: Printed = serde_json::from_slice(&text).map_err(|_unsaid| {
            // What is in the file is a secret, and so is the place of its mistake.
            let from = &bucket.credentials;
            refused(format!("{from} is not `{{\"AccessKeyId\": …, \"SecretAccessKey\": …}}`"))
        })?;
        let Printed { access_key_id: key, secret_access_key: secret, session_token } = printed;
        let credentials = match session_token {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        let wrong = |what: String| Failure::permanent("TG6620", what);
        let endpoint = bucket.endpoint.parse().map_err(|error| wrong(format!("{error}")))?;
        let name = bucket.name.clone();
        let bucket = rusty_s3::Bucket::new(endpoint, UrlStyle::Path, name, bucket.region.clone())
            .map_err(|error| wrong(error.to_string()))?;
        let http = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_WITHIN);
        let http = http.timeout(limit).build().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { bucket, credentials, http })
    }

    /// Puts a file under a name.
    pub(super) async fn put(&self, name: &str, file: &Path) -> Result<(), Failure> {
        let file = tokio::fs::File::open(file).await.map_err(failed)?;
        let bytes = file.metadata().await.map_err(failed)?.len();
        if bytes > OBJECT_BYTES_MAX {
            let what = format!("{bytes} bytes are more than one object takes ({OBJECT_BYTES_MAX})");
            return Err(Failure::permanent("TG6620", what));
        }
        let url = self.bucket.put_object(Some(&self.credentials), name).sign(SIGNED_FOR);
        let asked = self.http.put(url).header(CONTENT_LENGTH, bytes).body(file);
        answered(name, asked.send().await).await.map(drop)
    }

    /// Reads an object, into a file where one is named, and says what it is. Reading ends where
    /// it is longer than it was.
    pub(super) async fn get(
        &self,
        name: &str,
        into: Option<PathBuf>,
        bytes_max: u64,
    ) -> Result<(Digest, u64), Failure> {
        let url = self.bucket.get_object(Some(&self.credentials), name).sign(SIGNED_FOR);
        let mut answer = answered(name, self.http.get(url).send().await).await?;
        let mut file = match into {
            Some(path) => Some(tokio::fs::File::create_new(path).await.map_err(failed)?),
            None => None,
        };
        let (mut hasher, mut total) = (Sha256::new(), 0_u64);
        while let Some(chunk) = answer.chunk().await.map_err(|error| lost(name, error))? {
            total += chunk.len() as u64;
            if total > bytes_max {
                break;
            }
            hasher.update(&chunk);
            if let Some(file) = &mut file {
                file.write_all(&chunk).await.map_err(failed)?;
            }
        }
        if let Some(file) = &mut file {
            file.flush().await.map_err(failed)?;
        }
        let digest = Digest::of_hex(&HEXLOWER.encode(&hasher.finalize()));
        let digest = digest.ok_or_else(|| Failure::permanent("TG6621", "no digest"))?;
        Ok((digest, total))
    }

    /// Removes an object. One that is gone is none to miss.
    pub(super) async fn remove(&self, name: &str) -> Result<(), Failure> {
        let url = self.bucket.delete_object(Some(&self.credentials), name).sign(SIGNED_FOR);
        let answer = self.http.delete(url).send().await.map_err(|error| lost(name, error))?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(()),
            _ => answered(name, Ok(answer)).await.map(drop),
        }
    }
}

fn lost(name: &str, error: reqwest::Error) -> Failure {
    // The address carries the signature.
    Failure::retryable("TG6620", format!("{name}: {}", error.without_url()))
}

async fn answered(name: &str, answer: reqwest::Result<Response>) -> Result<Response, Failure> {
    let mut answer = answer.map_err(|error| lost(name, error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    // What it says is only for people: without it there is the status.
    let said = answer.chunk().await.ok().flatten().unwrap_or_default();
    let said = crate::text::printable(&String::from_utf8_lossy(&said), SAID_CHARS_MAX);
    let what = format!("{name}: the object store answered {status}: {said}");
    Err(match status {
        StatusCode::NOT_FOUND => Failure::permanent("TG6621", what),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Failure::retryable("TG6620", what)
        }
        _ => Failure::permanent("TG6620", what),
    })
}
