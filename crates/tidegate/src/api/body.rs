//! Bodies and queries of requests, with problems in place of the framework's plain texts.
//! Must never accept a body that is not JSON, or one past the limit.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(of_json(&rejection)),
        }
    }
}

fn of_json(rejection: &JsonRejection) -> Problem {
    let status = rejection.status().as_u16();
    let detail = rejection.body_text();
    let problem = match status {
        413 => Problem::new(413, "TG7004", "the body is larger than 640 KiB"),
        415 => Problem::new(415, "TG7003", "the body must be sent as application/json"),
        _ => Problem::new(400, "TG7003", detail),
    };
    problem.safe("nothing was changed")
}

/// The query of a request.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<axum::extract::Query<T>, QueryRejection> =
            axum::extract::Query::from_request_parts(parts, state).await;
        match query {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::bad_request(rejection.body_text())),
        }
    }
}
