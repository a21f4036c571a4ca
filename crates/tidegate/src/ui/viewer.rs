//! Who looks at a page: `Viewer` where somebody must have signed in, `Visitor` where nobody need.
//! Must never show a page of this server's state to somebody who may not read it.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use tidegate_core::rights::Act;

use super::{Refusal, Shell};
use crate::api::Api;
use crate::api::principal::Principal;
use crate::client::encode;
use crate::problem::Problem;

/// Whoever asks for a page.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Who it is, when they signed in.
    pub(crate) principal: Option<Principal>,
    /// The token of their forms; empty when they have no cookie yet.
    pub(crate) form_token: String,
    /// Whether TLS protects the way.
    pub(crate) encrypted: bool,
    /// From where.
    pub(crate) address: Option<IpAddr>,
}

impl Visitor {
    /// What a page shows around its own words.
    pub(crate) fn shell(&self, title: &'static str) -> Shell {
        let viewer = self.principal.as_ref().map(|principal| principal.name.clone());
        Shell { title, viewer, form_token: self.form_token.clone(), waiting: 0, pages: Vec::new() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        // The guard puts it there; without it nothing is shown.
        let nobody = || Refusal(Problem::new(500, "TG7044", "the guard was not asked"));
        parts.extensions.get::<Self>().cloned().ok_or_else(nobody)
    }
}

/// Somebody who signed in and may read. Anybody else is led to the door.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    /// Who it is, for the functions of the API.
    pub(crate) principal: Principal,
    visitor: Visitor,
}

impl Viewer {
    /// What a page shows around its own words.
    pub(crate) fn shell(&self, title: &'static str) -> Shell {
        self.visitor.shell(title)
    }

    /// Whether they may do something, to show or to leave out a button. The append decides.
    pub(crate) fn may(&self, api: &Api, act: Act) -> bool {
        api.ports().people.grant(&self.principal.actor()).allows(act, None)
    }
}

impl Viewer {
    /// Refuses who may not do that.
    ///
    /// # Errors
    /// TG7012.
    pub(crate) fn needs(&self, api: &Api, act: Act) -> Result<(), Refusal> {
        if self.may(api, act) {
            return Ok(());
        }
        let what = format!("{} has no role that may {}", self.principal.name, act.word());
        Err(Refusal(Problem::new(403, "TG7012", what).safe("nothing was changed")))
    }
}

impl FromRequestParts<Api> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let visitor =
            Visitor::from_request_parts(parts, api).await.map_err(IntoResponse::into_response)?;
        let Some(principal) = visitor.principal.clone() else {
            let wanted = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            return Err(Redirect::to(&format!("/login?next={}", encode(wanted))).into_response());
        };
        let viewer = Self { principal, visitor };
        if viewer.may(api, Act::Read) {
            return Ok(viewer);
        }
        let what = format!("{} has no role that may read", viewer.principal.name);
        let problem = Problem::new(403, "TG7012", what).safe("nothing was changed");
        Err(Refusal(problem).into_response())
    }
}
