//! The pages of the shop. Sessions are signed cookies, so that every instance knows every user.
//! It must never put a visitor's text into a page as markup.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use tidegate_core::digest::Digest;

use super::{Fault, ITEMS, Shop};

/// The cookie that carries a session: `name.signature`.
const SESSION: &str = "shop_session";
/// What signs sessions. A real shop would take it from its secrets; this one sells nothing.
const SESSION_KEY: &str = "a-heron-stands-in-the-lock";
/// Longest name of a user.
const USER_CHARS_MAX: usize = 64;
/// The only password. A sample needs no accounts.
const PASSWORD: &str = "sesame";

fn page(shop: &Shop, title: &str, body: &str) -> Html<String> {
    let version = shop.file.version;
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content='width=device-width'><title>{title}</title>\
         <style>body{{font:1rem/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}}\
         small{{color:#666}}</style>\
         <h1>{title}</h1>{body}\
         <p><a href=/>Shop</a> · <a href=/items>Items</a> · <a href=/login>Sign in</a></p>\
         <small>release v{version}</small></html>\n"
    ))
}

fn price(cents: u32) -> String {
    format!("{}.{:02} €", cents / 100, cents % 100)
}

pub(super) async fn front(State(shop): State<Arc<Shop>>) -> Html<String> {
    let body = format!("<p>{} things for people who live by the water.</p>", ITEMS.len());
    page(&shop, "The Tide Shop", &body)
}

pub(super) async fn items(State(shop): State<Arc<Shop>>) -> Html<String> {
    let mut body = String::from("<ul>");
    for (number, (name, cents)) in (1..).zip(ITEMS) {
        let price = price(cents);
        // Writing to a string cannot fail.
        let _infallible =
            write!(body, "<li><a href=/items/{number}>{name}</a> <small>{price}</small></li>");
    }
    body.push_str("</ul>");
    page(&shop, "Items", &body)
}

pub(super) async fn item(State(shop): State<Arc<Shop>>, Path(number): Path<usize>) -> Response {
    match number.checked_sub(1).and_then(|index| ITEMS.get(index)) {
        Some((name, cents)) => {
            page(&shop, name, &format!("<p>{}</p>", price(*cents))).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such item\n").into_response(),
    }
}

pub(super) async fn login_form(State(shop): State<Arc<Shop>>) -> Html<String> {
    let body = "<form method=post><label>Name <input name=user></label> \
                <label>Password <input name=password type=password></label> \
                <button>Sign in</button></form>";
    page(&shop, "Sign in", body)
}

/// A signed-in user is sent to their account; anybody else gets 401.
pub(super) async fn login(body: String) -> Response {
    let field = |name: &str| {
        // An address is the one reader of forms that is at hand.
        let form = reqwest::Url::parse(&format!("http://shop/?{body}")).ok()?;
        let found = form.query_pairs().find(|(key, _)| key == name)?;
        Some(found.1.into_owned())
    };
    let user = field("user").filter(|user| is_user(user));
    let (Some(user), Some(PASSWORD)) = (user, field("password").as_deref()) else {
        return (StatusCode::UNAUTHORIZED, "wrong name or password\n").into_response();
    };
    let cookie = format!("{SESSION}={user}.{}; HttpOnly; SameSite=Lax; Path=/", signature(&user));
    let headers = [(SET_COOKIE, cookie.as_str()), (LOCATION, "/account")];
    (StatusCode::SEE_OTHER, headers, "").into_response()
}

fn is_user(name: &str) -> bool {
    let length = name.chars().count();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (1..=USER_CHARS_MAX).contains(&length) && plain
}

fn signature(user: &str) -> String {
    let digest = Digest::of(format!("{SESSION_KEY}/{user}/{SESSION_KEY}").as_bytes());
    digest.as_str().chars().filter(char::is_ascii_alphanumeric).collect()
}

fn session(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).map(str::trim);
    let value = pairs.find_map(|pair| pair.strip_prefix(SESSION)?.strip_prefix('='))?;
    let (user, signed) = value.split_once('.')?;
    (is_user(user) && signed == signature(user)).then(|| user.to_owned())
}

pub(super) async fn account(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    match session(&headers) {
        Some(user) => {
            page(&shop, &format!("Welcome, {user}"), "<p>No orders yet.</p>").into_response()
        }
        None => (StatusCode::UNAUTHORIZED, "sign in first\n").into_response(),
    }
}

pub(super) async fn upload(State(shop): State<Arc<Shop>>, body: Bytes) -> Response {
    if body.is_empty() {
        return (StatusCode::BAD_REQUEST, "nothing was uploaded\n").into_response();
    }
    let digest = Digest::of(&body);
    let number = shop.keep(body.to_vec());
    let answer = json!({"number": number, "bytes": body.len(), "digest": digest.as_str()});
    (StatusCode::CREATED, Json(answer)).into_response()
}

pub(super) async fn uploaded(State(shop): State<Arc<Shop>>, Path(number): Path<u64>) -> Response {
    match shop.kept(number) {
        Some(bytes) => bytes.into_response(),
        None => (StatusCode::NOT_FOUND, "no such upload\n").into_response(),
    }
}

fn is_healthy(shop: &Shop) -> bool {
    shop.file.fault != Fault::Health || shop.faulty_since.get().is_none()
}

pub(super) async fn health(State(shop): State<Arc<Shop>>) -> Response {
    if is_healthy(&shop) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the shelves are empty\n").into_response()
    }
}

pub(super) async fn health_detailed(State(shop): State<Arc<Shop>>) -> (StatusCode, Json<Value>) {
    let healthy = is_healthy(&shop);
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = json!({
        "status": if healthy { "ok" } else { "sick" },
        "version": format!("v{}", shop.file.version),
        "checks": {"shelves": healthy, "till": true},
    });
    (status, Json(answer))
}
