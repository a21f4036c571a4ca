//! Where the command menu leads: pages, services, what is in flight. Must never lead where who looks
//! may not go.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::Api;
use crate::client::encode;
use crate::ui::Viewer;

/// One line of the menu.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    href: String,
    kind: &'static str,
}

/// Everything that the menu knows.
pub(crate) async fn show(State(api): State<Api>, viewer: Viewer) -> Response {
    let shell = super::shell(&api, &viewer, "Menu");
    let page = |link: &super::Link| Entry {
        name: link.name.to_owned(),
        href: link.href.to_owned(),
        kind: "page",
    };
    let mut entries: Vec<Entry> = shell.pages.iter().map(page).collect();
    for scope in api.engine().scopes() {
        let (service, environment) = (scope.service.as_str(), scope.environment.as_str());
        let name = format!("{service} in {environment}");
        let state = api.engine().state(&scope);
        if let Some(current) = state.as_ref().and_then(|state| state.current.as_ref()) {
            entries.push(Entry {
                name: format!("{name}: {} {}", current.plan.release.version, current.id),
                href: format!("/d/{}", encode(current.id.as_str())),
                kind: "in flight",
            });
        }
        let href = format!("/s/{}/{}", encode(service), encode(environment));
        entries.push(Entry { name: name.clone(), href, kind: "service" });
        let href = format!("/policy/{}?environment={}", encode(service), encode(environment));
        entries.push(Entry { name: format!("{name}: policy"), href, kind: "policy" });
    }
    for entry in &mut entries {
        entry.name = crate::text::plain(&entry.name);
    }
    std::future::ready(axum::Json(entries).into_response()).await
}
