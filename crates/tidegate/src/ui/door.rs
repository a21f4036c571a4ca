//! The door: set up an account, sign in, confirm with the second factor, sign out.
//! Must never change anything when a page is only looked at, nor show a secret twice.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{Refusal, Shell, Viewer, Visitor, page};
use crate::api::Api;
use crate::api::body::Query;
use crate::api::browser::Jar;
use crate::api::people::aside;
use crate::people::{Refused, Way};
use crate::problem::Problem;

/// Longest address within this server that a form leads on to, bytes.
const NEXT_BYTES_MAX: usize = 2_048;

/// What the address of a page of the door may carry.
#[derive(Deserialize)]
pub(super) struct Brought {
    /// Where to go afterwards.
    next: Option<String>,
    /// The code of a link that signs the owner in.
    link: Option<String>,
    /// The code of an invitation.
    code: Option<String>,
}

#[derive(Template)]
#[template(path = "login.html")]
struct SignInPage {
    shell: Shell,
    next: String,
    link: Option<String>,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    shell: Shell,
    next: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetUpPage {
    shell: Shell,
    code: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "factor.html")]
struct FactorPage {
    shell: Shell,
    account: String,
    secret: String,
    address: String,
    picture: String,
}

/// The form to sign in; with a link of the owner, the button that uses it.
pub(super) async fn show_sign_in(visitor: Visitor, Query(brought): Query<Brought>) -> Response {
    let next = local(brought.next.as_deref());
    if visitor.principal.is_some() && brought.link.is_none() {
        return Redirect::to(&next).into_response();
    }
    let shell = visitor.shell("Sign in");
    let shown = SignInPage { shell, next, link: brought.link, wrong: None };
    std::future::ready(page(StatusCode::OK, &shown)).await
}

/// The form to sign in, as it comes back.
#[derive(Deserialize)]
pub(super) struct SignIn {
    account: Option<String>,
    password: Option<String>,
    code: Option<String>,
    link: Option<String>,
    next: Option<String>,
}

/// Signs in, by both factors or by a link of the owner.
pub(super) async fn sign_in(
    State(api): State<Api>,
    visitor: Visitor,
    Form(asked): Form<SignIn>,
) -> Response {
    let (directory, now) = (api.directory().clone(), api.now());
    let next = local(asked.next.as_deref());
    let account = asked.account.unwrap_or_default();
    let (password, code) = (asked.password.unwrap_or_default(), asked.code.unwrap_or_default());
    let (link, named) = (asked.link.clone(), account.clone());
    let begun = aside(move || match link {
        Some(link) => directory.use_link(&link, now),
        None => directory.sign_in(&named, &password, code.trim(), Way::Browser, now),
    });
    match begun.await {
        Ok((token, _until)) => {
            tracing::info!(%account, from = ?visitor.address, "signed in with a browser");
            let mut response = Redirect::to(&next).into_response();
            let jars = [(Jar::Session, Some(token.as_str())), (Jar::Form, None)];
            for (jar, value) in jars {
                if let Some(line) = jar.set(value, visitor.encrypted) {
                    response.headers_mut().append(SET_COOKIE, line);
                }
            }
            response
        }
        Err(problem) => {
            let status = status_of(&problem);
            let shell = visitor.shell("Sign in");
            let wrong = match asked.link {
                Some(_) => "this link was used before, or it is over: ask for a new one with \
                            `tidegate login --link`"
                    .to_owned(),
                None => problem.detail,
            };
            page(status, &SignInPage { shell, next, link: None, wrong: Some(wrong) })
        }
    }
}

/// The form that asks for the second factor again.
pub(super) async fn show_confirm(viewer: Viewer, Query(brought): Query<Brought>) -> Response {
    let next = local(brought.next.as_deref());
    let shell = viewer.shell("Confirm");
    std::future::ready(page(StatusCode::OK, &ConfirmPage { shell, next, wrong: None })).await
}

/// That form, as it comes back.
#[derive(Deserialize)]
pub(super) struct Confirm {
    code: String,
    next: Option<String>,
}

/// Shows the second factor again, for an act that matters.
pub(super) async fn confirm(
    State(api): State<Api>,
    viewer: Viewer,
    Form(asked): Form<Confirm>,
) -> Response {
    let next = local(asked.next.as_deref());
    let signed_in = match viewer.principal.signed_in() {
        Ok(signed_in) => signed_in,
        Err(problem) => return Refusal(problem).into_response(),
    };
    let (directory, now) = (api.directory().clone(), api.now());
    match aside(move || directory.confirm(&signed_in, asked.code.trim(), now)).await {
        Ok(()) => Redirect::to(&next).into_response(),
        Err(problem) => {
            let shell = viewer.shell("Confirm");
            let shown = ConfirmPage { shell, next, wrong: Some(problem.detail.clone()) };
            page(status_of(&problem), &shown)
        }
    }
}

/// Ends the session, here and at the server.
pub(super) async fn sign_out(State(api): State<Api>, visitor: Visitor) -> Response {
    if let Some(signed_in) = visitor.principal.as_ref().and_then(|who| who.signed_in().ok()) {
        let directory = api.directory().clone();
        if let Err(problem) = aside(move || directory.sign_out(&signed_in.session)).await {
            return Refusal(problem).into_response();
        }
    }
    let mut response = Redirect::to("/login").into_response();
    if let Some(line) = Jar::Session.set(None, visitor.encrypted) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    response
}

/// The form that sets an account up.
pub(super) async fn show_set_up(visitor: Visitor, Query(brought): Query<Brought>) -> Response {
    let shell = visitor.shell("Set up an account");
    let shown = SetUpPage { shell, code: brought.code.unwrap_or_default(), wrong: None };
    std::future::ready(page(StatusCode::OK, &shown)).await
}

/// That form, as it comes back.
#[derive(Deserialize)]
pub(super) struct SetUp {
    account: String,
    code: String,
    password: String,
    again: String,
}

/// Sets an account up: the first administrator by the link of the first start, anybody else by
/// their invitation. The answer shows the second factor, once.
pub(super) async fn set_up(
    State(api): State<Api>,
    visitor: Visitor,
    Form(asked): Form<SetUp>,
) -> Response {
    let (directory, now) = (api.directory().clone(), api.now());
    let SetUp { account, code, password, again } = asked;
    let (named, brought) = (account.clone(), code.clone());
    let made = if password == again {
        aside(move || match directory.set_up_first(&brought, &named, &password, now) {
            Err(Refused::Wrong) => directory.set_up(&named, &brought, &password, now),
            other => other,
        })
        .await
    } else {
        Err(Problem::bad_request("the two passwords are not the same"))
    };
    let secret = match made {
        Ok(secret) => secret,
        Err(problem) => {
            let wrong = match problem.status {
                401 => {
                    "this code was used before, is over, or belongs to another account".to_owned()
                }
                _ => problem.detail.clone(),
            };
            let shell = visitor.shell("Set up an account");
            return page(status_of(&problem), &SetUpPage { shell, code, wrong: Some(wrong) });
        }
    };
    tracing::info!(%account, from = ?visitor.address, "set up with a browser");
    let address = format!("otpauth://totp/Tidegate:{account}?secret={secret}&issuer=Tidegate");
    let picture = picture_of(&address);
    let shell = visitor.shell("Your second factor");
    page(StatusCode::OK, &FactorPage { shell, account, secret, address, picture })
}

/// A QR code as an image within the page; empty when there is none, the text stands beside it.
fn picture_of(address: &str) -> String {
    let Ok(code) = qrcode::QrCode::new(address.as_bytes()) else { return String::new() };
    let drawn = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(200, 200).build();
    format!("data:image/svg+xml;base64,{}", data_encoding::BASE64.encode(drawn.as_bytes()))
}

fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An address within this server, else its first page: nobody is led elsewhere.
fn local(next: Option<&str>) -> String {
    let fits = |next: &&str| {
        let mut bytes = next.bytes();
        next.len() <= NEXT_BYTES_MAX
            && bytes.next() == Some(b'/')
            && !matches!(bytes.next(), Some(b'/' | b'\\'))
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(fits).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn nobody_is_led_to_another_site() {
        assert_eq!(local(Some("/d/d-7k3?tab=why#gates")), "/d/d-7k3?tab=why#gates");
        for foreign in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a\r\nSet-Cookie: x",
            "",
            "a",
        ] {
            assert_eq!(local(Some(foreign)), "/", "{foreign:?}");
        }
        assert_eq!(local(None), "/");
    }
}
