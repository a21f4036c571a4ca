//! Webhooks: somebody says that a repository has news. All that follows is a look at the
//! repository itself. Must never believe a word of the body, nor hold it in memory.

use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use futures_util::StreamExt as _;

use super::Api;
use crate::problem::Problem;
use crate::server::settings::Secret;

/// Largest body, bytes: GitHub sends at most 25 MB.
const BODY_BYTES_MAX: usize = 26 * 1024 * 1024;
/// How far the time of a signed webhook may be from ours.
const CLOCKS_APART: Duration = Duration::from_mins(5);
/// Longest id or time of a webhook, bytes.
const WORD_BYTES_MAX: usize = 256;

/// Say that a repository has news. The body is held against one of the trigger's secrets: by
/// `X-Hub-Signature-256` (GitHub, Gitea, Forgejo), `X-Gitlab-Token`, or Standard Webhooks.
#[utoipa::path(
    post,
    path = "/v1/hooks/{name}",
    tag = "triggers",
    params(("name" = String, Path, description = "The trigger")),
    request_body(content = Vec<u8>, content_type = "application/json"),
    responses(
        (status = 202, description = "The repository is looked at"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn ring(
    State(api): State<Api>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    // Who may not know learns nothing about which triggers there are.
    let watch = api.parts().triggers.get(&name).ok_or_else(unknown)?;
    let secrets = &watch.settings.secrets;
    let (parts, body) = request.into_parts();
    let mut proofs = proofs(&parts.headers, secrets, api.now().as_second())?;
    let mut read = 0;
    let mut body = body.into_data_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| Problem::bad_request(format!("the body: {error}")))?;
        read += piece.len();
        if read > BODY_BYTES_MAX {
            return Err(Problem::new(413, "TG7061", "the webhook is larger than 26 MiB")
                .safe("nothing was looked at; the next look comes by itself"));
        }
        proofs.iter_mut().for_each(|proof| proof.read(&piece));
    }
    if !proofs.into_iter().any(Proof::holds) {
        return Err(unknown());
    }
    watch.ring();
    Ok((StatusCode::ACCEPTED, "the repository is looked at\n").into_response())
}

fn unknown() -> Problem {
    Problem::new(401, "TG7060", "no trigger has a secret that this webhook is signed with")
        .safe("nothing was looked at; the next look comes by itself")
        .help("put the secret of the forge into a file that `triggers:` in server.yaml names")
}

/// What one secret has to come to.
enum Proof {
    /// A MAC over the body, maybe after a prefix.
    Mac { context: Box<hmac::Context>, due: Vec<u8> },
    /// The secret itself was shown.
    Shown(bool),
}

impl Proof {
    fn read(&mut self, piece: &[u8]) {
        if let Self::Mac { context, .. } = self {
            context.update(piece);
        }
    }

    fn holds(self) -> bool {
        match self {
            Self::Mac { context, due } => {
                let tag = context.sign();
                constant_time::verify_slices_are_equal(tag.as_ref(), &due).is_ok()
            }
            Self::Shown(same) => same,
        }
    }
}

/// What is to be shown, one a secret and signature.
fn proofs(headers: &HeaderMap, secrets: &[Secret], now_s: i64) -> Result<Vec<Proof>, Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mac = |key: &[u8], prefix: &[u8], due: &[u8]| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        context.update(prefix);
        Proof::Mac { context: Box::new(context), due: due.to_vec() }
    };
    let hex = text("x-hub-signature-256").map(|value| value.strip_prefix("sha256=").unwrap_or(""));
    let hex = hex.or_else(|| text("x-gitea-signature"));
    if let Some(hex) = hex {
        let due = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_odd| unknown())?;
        return Ok(secrets.iter().map(|secret| mac(secret.bytes(), b"", &due)).collect());
    }
    if let Some(token) = text("x-gitlab-token") {
        let same = |secret: &Secret| {
            constant_time::verify_slices_are_equal(secret.bytes(), token.as_bytes()).is_ok()
        };
        return Ok(secrets.iter().map(|secret| Proof::Shown(same(secret))).collect());
    }
    let (Some(id), Some(at), Some(signatures)) =
        (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"))
    else {
        return Err(unknown());
    };
    let apart = at.parse::<i64>().map_err(|_odd| unknown())?.abs_diff(now_s);
    if apart > CLOCKS_APART.as_secs() || id.len() > WORD_BYTES_MAX || at.len() > WORD_BYTES_MAX {
        return Err(unknown());
    }
    let prefix = format!("{id}.{at}.");
    let given = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    // A rotation signs with two keys; more is noise.
    let given: Vec<Vec<u8>> =
        given.take(2).filter_map(|one| BASE64.decode(one.as_bytes()).ok()).collect();
    let each = secrets.iter().flat_map(|secret| {
        given.iter().map(|due| mac(&secret.standard(), prefix.as_bytes(), due)).collect::<Vec<_>>()
    });
    Ok(each.collect())
}
