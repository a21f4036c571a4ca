//! `Idempotency-Key`: a change that is sent again with the same key takes effect once, and gets the
//! first answer again. Must never answer one request with what another one was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use tidegate_core::digest::Digest;

use super::principal::Principal;
use super::{Api, BODY_BYTES_MAX};
use crate::problem::Problem;

/// The header of the key.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, bytes: a UUID has 36.
const KEY_BYTES_MAX: usize = 128;
/// How long an answer is kept; commands of deployments keep their key in the journal besides.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Most answers that are kept: the oldest gives way.
const ANSWERS_MAX: usize = 4_096;
/// Largest answer that is kept, bytes; a larger one is of a request that only looks.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Answers by caller and key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<BTreeMap<(String, String), Kept>>>);

#[derive(Debug, Clone)]
struct Kept {
    /// What was asked: method, path and body.
    asked: Digest,
    at: Timestamp,
    /// Nothing while the first request is in progress.
    answer: Option<(StatusCode, Option<HeaderValue>, Bytes)>,
}

/// What is known of a key.
enum Known {
    /// Nothing: go on, and keep the answer.
    New,
    /// The answer that was given.
    Answered(Response),
    /// It cannot be used for this.
    Refused(Problem),
}

impl Answers {
    fn ask(&self, caller: &(String, String), asked: &Digest, now: Timestamp) -> Known {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| now.duration_since(kept.at) < KEPT_FOR);
        match kept.get(caller) {
            Some(found) if found.asked != *asked => Known::Refused(
                Problem::new(422, "TG7055", "this key was used for another request")
                    .safe("nothing was changed")
                    .help("a new request has a new key"),
            ),
            Some(Kept { answer: Some((status, kind, body)), .. }) => {
                let mut response = (*status, body.clone()).into_response();
                let headers = response.headers_mut();
                headers.remove(CONTENT_TYPE);
                if let Some(kind) = kind {
                    headers.insert(CONTENT_TYPE, kind.clone());
                }
                headers.insert(REPLAYED, HeaderValue::from_static("true"));
                Known::Answered(response)
            }
            Some(_in_progress) => Known::Refused(
                Problem::new(409, "TG7056", "the first request with this key is in progress")
                    .retry_after(std::time::Duration::ZERO)
                    .safe("it takes effect at most once")
                    .help("ask again with the same key"),
            ),
            None => {
                while kept.len() >= ANSWERS_MAX {
                    let oldest = kept.iter().min_by_key(|(_, kept)| kept.at);
                    let Some(oldest) = oldest.map(|(caller, _)| caller.clone()) else { break };
                    kept.remove(&oldest);
                }
                kept.insert(caller.clone(), Kept { asked: asked.clone(), at: now, answer: None });
                Known::New
            }
        }
    }

    /// Keeps an answer; one that may be different next time frees the key instead.
    fn keep(
        &self,
        caller: &(String, String),
        status: StatusCode,
        kind: Option<HeaderValue>,
        body: &Bytes,
    ) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lasts = !status.is_server_error()
            && status != StatusCode::TOO_MANY_REQUESTS
            && status != StatusCode::UNAUTHORIZED
            && body.len() <= ANSWER_BYTES_MAX;
        if !lasts {
            kept.remove(caller);
        } else if let Some(found) = kept.get_mut(caller) {
            found.answer = Some((status, kind, body.clone()));
        }
    }
}

/// A request that went away frees its key: nobody keeps its answer.
struct Frees<'a>(&'a Answers, &'a (String, String), bool);

impl Drop for Frees<'_> {
    fn drop(&mut self) {
        if !self.2 {
            self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
        }
    }
}

/// Answers a change that was answered before as it was answered then.
pub(super) async fn once(State(api): State<Api>, request: Request, next: Next) -> Response {
    let who = request.extensions().get::<Principal>().map(|principal| principal.name.clone());
    let (Some(key), Some(who)) = (request.headers().get(KEY), who) else {
        return next.run(request).await;
    };
    // Reports are kept by their digest: twice the same is once.
    let streams = request.uri().path() == "/v1/evidence";
    if *request.method() != Method::POST || streams {
        return next.run(request).await;
    }
    let Some(key) = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len())) else {
        let what = format!("Idempotency-Key has 1 to {KEY_BYTES_MAX} visible characters");
        return Problem::bad_request(what).into_response();
    };
    let caller = (who, key.to_owned());
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let problem = Problem::new(413, "TG7004", "the body is larger than 640 KiB");
        return problem.safe("nothing was changed").into_response();
    };
    let asked =
        [parts.method.as_str(), &parts.uri.to_string(), Digest::of(&body).as_str()].join(" ");
    let answers = &api.parts().answers;
    match answers.ask(&caller, &Digest::of(asked.as_bytes()), api.now()) {
        Known::New => {}
        Known::Answered(response) => return response,
        Known::Refused(problem) => return problem.into_response(),
    }
    let mut frees = Frees(answers, &caller, false);
    let body = with_key(parts.uri.path(), &body, &caller.1);
    let mut request = Request::from_parts(parts, Body::from(body));
    // The body has another length now, and says it itself.
    request.headers_mut().remove(CONTENT_LENGTH);
    let response = next.run(request).await;
    let (head, body) = response.into_parts();
    let Ok(body) = to_bytes(Body::new(body), usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    answers.keep(&caller, head.status, head.headers.get(CONTENT_TYPE).cloned(), &body);
    frees.2 = true;
    Response::from_parts(head, Body::from(body))
}

/// Commands of services have a `key` of their own, which outlives this process in the journal.
fn with_key(path: &str, body: &Bytes, key: &str) -> Bytes {
    let commands = path.starts_with("/v1/deployments")
        || path.starts_with("/v1/waivers")
        || (path.starts_with("/v1/services/") && path.ends_with("/rollback"));
    if !commands {
        return body.clone();
    }
    // What is no object is refused by its own reader, which says what is wrong.
    let Ok(serde_json::Value::Object(mut asked)) = serde_json::from_slice(body) else {
        return body.clone();
    };
    asked.entry("key").or_insert_with(|| key.into());
    serde_json::to_vec(&asked).map_or_else(|_same| body.clone(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::http::StatusCode;
    use jiff::Timestamp;
    use tidegate_core::digest::Digest;

    use super::{ANSWERS_MAX, Answers, Known, with_key};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_key_belongs_to_one_request_of_one_caller_for_an_hour() {
        let answers = Answers::default();
        let caller = ("mira".to_owned(), "k".to_owned());
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        assert!(matches!(answers.ask(&caller, &one, at(0)), Known::New));
        let Known::Refused(busy) = answers.ask(&caller, &one, at(1)) else { panic!() };
        assert_eq!(busy.code, "TG7056");
        answers.keep(&caller, StatusCode::OK, None, &Bytes::from_static(b"{}"));
        assert!(matches!(answers.ask(&caller, &one, at(2)), Known::Answered(_)));
        let Known::Refused(reused) = answers.ask(&caller, &other, at(2)) else { panic!() };
        assert_eq!(reused.code, "TG7055");
        let kofi = ("kofi".to_owned(), "k".to_owned());
        assert!(matches!(answers.ask(&kofi, &other, at(2)), Known::New));
        assert!(matches!(answers.ask(&caller, &other, at(3_600)), Known::New));
        // What went wrong by itself may go right the next time.
        answers.keep(&caller, StatusCode::SERVICE_UNAVAILABLE, None, &Bytes::new());
        assert!(matches!(answers.ask(&caller, &other, at(3_601)), Known::New));
    }

    #[test]
    fn keys_are_kept_to_a_limit() {
        let answers = Answers::default();
        for number in 0..=ANSWERS_MAX {
            let caller = ("mira".to_owned(), number.to_string());
            assert!(matches!(
                answers.ask(&caller, &Digest::of(b"x"), at(i64::try_from(number).unwrap() / 10)),
                Known::New
            ));
        }
        assert_eq!(answers.0.lock().unwrap().len(), ANSWERS_MAX);
    }

    #[test]
    fn a_command_keeps_its_key_in_the_journal() {
        let body = Bytes::from_static(b"{\"a\":1}");
        assert_eq!(with_key("/v1/deployments/d-a/hold", &body, "k"), "{\"a\":1,\"key\":\"k\"}");
        assert_eq!(with_key("/v1/tokens", &body, "k"), body);
        let own = Bytes::from_static(b"{\"key\":\"mine\"}");
        assert_eq!(with_key("/v1/waivers", &own, "k"), own);
        assert_eq!(with_key("/v1/waivers", &Bytes::from_static(b"["), "k"), "[");
    }
}
