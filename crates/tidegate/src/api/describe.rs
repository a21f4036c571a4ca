//! What every route has in common, added to the API's description of itself: how a caller is known,
//! what every route may answer, the key of a change. Must never promise what no route keeps.

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};

use super::principal::{Needs, needs_of};
use crate::problem::MEDIA_TYPE;

/// Adds it.
pub(super) fn complete(mut api: OpenApi) -> OpenApi {
    let paths = std::mem::take(&mut api.paths.paths);
    for (path, mut item) in paths {
        let operations = [("GET", &mut item.get), ("POST", &mut item.post)];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                let needs = needs_of(method, &path).unwrap_or(Needs::Somebody);
                refusals(operation, method, &path, needs);
            }
        }
        api.paths.paths.insert(path, item);
    }
    let components = api.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new("__Host-tidegate"));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    api
}

/// What a route may answer beside what it says of itself.
fn refusals(operation: &mut Operation, method: &str, path: &str, needs: Needs) {
    let changes = method == "POST";
    let reads_body = operation.request_body.is_some();
    let reads_query = operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| {
            matches!(parameter, RefOr::T(inline) if inline.parameter_in == ParameterIn::Query)
        });
    for (status, what, may) in [
        ("304", "What the reader has is what there is", method == "GET"),
        (
            "400",
            "The request does not make sense",
            reads_body || reads_query || changes || path.contains('{'),
        ),
        ("401", "Nobody knows who asks", true),
        (
            "403",
            "Not allowed, or not sent by a page of this server",
            needs != Needs::Nothing || changes,
        ),
        ("404", "There is no such thing", path.contains('{') || needs == Needs::AtTheAppend),
        ("409", "The state does not allow it", changes),
        ("413", "The body is too large", changes),
        ("415", "The body is not JSON", reads_body),
        ("421", "The server does not go by this name", true),
        ("422", "It cannot be carried out", changes),
        ("429", "Too many requests", true),
        ("501", "Not supported", needs == Needs::AtTheAppend),
        ("503", "Not available at this moment", true),
    ] {
        if may && !operation.responses.responses.contains_key(status) {
            let response = ResponseBuilder::new().description(what);
            let response = if status == "304" {
                response
            } else {
                let problem = Ref::from_schema_name("Problem");
                response.content(MEDIA_TYPE, ContentBuilder::new().schema(Some(problem)).build())
            };
            operation.responses.responses.insert(status.to_owned(), response.build().into());
        }
    }
    if needs == Needs::Nothing {
        return;
    }
    let anybody: [&str; 0] = [];
    operation.security = Some(vec![
        SecurityRequirement::new("token", anybody),
        SecurityRequirement::new("session", anybody),
    ]);
    if changes && path != "/v1/evidence" {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(128));
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The same request with the same key takes effect once, within an hour",
            ))
            .schema(Some(text));
        operation.parameters.get_or_insert_default().push(RefOr::T(key.build()));
    }
}
