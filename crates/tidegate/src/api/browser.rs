//! What a browser brings: the cookie of its session, the token of its forms, and where a request
//! comes from. Must never take a change that another site could have caused.

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method};
use cookie::{Cookie, SameSite};
use tidegate_core::digest::Digest;

use crate::problem::Problem;

/// Header by which a script of ours shows the token of its page.
pub(crate) const TOKEN_HEADER: &str = "x-tidegate-form";
/// What the browser itself says about the sender (Fetch Metadata).
const SENT_FROM: &str = "sec-fetch-site";
/// Cookies of one request that are looked at; a browser keeps fewer for one host.
const COOKIES_MAX: usize = 64;

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jar {
    /// The session's token.
    Session,
    /// Holds a form together that is sent before there is a session.
    Form,
}

impl Jar {
    /// Its name. With `__Host-` a browser takes it from nobody but this host, over TLS.
    pub(crate) fn name(self, encrypted: bool) -> &'static str {
        match (self, encrypted) {
            (Self::Session, true) => "__Host-tidegate",
            (Self::Session, false) => "tidegate",
            (Self::Form, true) => "__Host-tidegate-form",
            (Self::Form, false) => "tidegate-form",
        }
    }

    /// What a request brings of it.
    pub(crate) fn of(self, headers: &HeaderMap, encrypted: bool) -> Option<String> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(Cookie::split_parse).take(COOKIES_MAX).flatten();
        let found = cookies.find(|cookie| cookie.name() == self.name(encrypted))?;
        Some(found.value().to_owned())
    }

    /// The header that gives it to a browser; without a value, the one that takes it back.
    pub(crate) fn set(self, value: Option<&str>, encrypted: bool) -> Option<HeaderValue> {
        let cookie = Cookie::build((self.name(encrypted), value.unwrap_or_default().to_owned()))
            .path("/")
            .http_only(true)
            .secure(encrypted)
            // A link in a chat leads to the page; a form of another site is sent without it.
            .same_site(SameSite::Lax);
        let cookie = match value {
            // The server ends sessions; the browser forgets them when it is closed.
            Some(_) => cookie.build(),
            None => cookie.max_age(cookie::time::Duration::ZERO).build(),
        };
        HeaderValue::from_str(&cookie.to_string()).ok()
    }
}

/// The token of the forms that belong to a cookie. It tells nothing about the cookie.
pub(crate) fn form_token(cookie: &str) -> String {
    Digest::of(format!("tidegate form {cookie}").as_bytes()).as_str().to_owned()
}

/// Whether a method only looks.
pub(crate) fn only_looks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses a change that a page of ours did not send. A browser says where a request comes from;
/// what says nothing is no browser that we trust with a cookie.
pub(crate) fn sent_by_us(headers: &HeaderMap, encrypted: bool) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = text(ORIGIN.as_str());
    let scheme = if encrypted { "https" } else { "http" };
    let ours = text(HOST.as_str()).map(|host| format!("{scheme}://{host}"));
    let same_origin = match (text(SENT_FROM), origin) {
        (Some("same-origin"), None) => true,
        (Some("same-origin") | None, Some(origin)) => ours.as_deref() == Some(origin),
        _ => false,
    };
    if same_origin {
        Ok(())
    } else {
        Err(foreign("the request was not sent by a page of this server"))
    }
}

/// Refuses a form whose token does not belong to the cookie.
pub(crate) fn token_fits(cookie: &str, token: Option<&str>) -> Result<(), Problem> {
    // Digests of secrets are compared: how long that takes tells nothing about them.
    let fits = token.is_some_and(|token| {
        Digest::of(token.as_bytes()) == Digest::of(form_token(cookie).as_bytes())
    });
    if fits { Ok(()) } else { Err(foreign("the form is too old, or of another session")) }
}

fn foreign(what: &str) -> Problem {
    Problem::new(403, "TG7051", what)
        .safe("nothing was changed")
        .help("load the page again and send it from there")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::{Jar, form_token, sent_by_us, token_fits};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_change_is_taken_from_our_own_pages_only() {
        let from = |lines: &[(&'static str, &str)], encrypted| {
            sent_by_us(&headers(&[&[("host", "t.example")], lines].concat()), encrypted).is_ok()
        };
        assert!(from(&[("origin", "https://t.example"), ("sec-fetch-site", "same-origin")], true));
        assert!(from(&[("origin", "https://t.example")], true), "a browser without metadata");
        assert!(from(&[("sec-fetch-site", "same-origin")], true));
        for foreign in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://t.example")],
            &[("origin", "https://t.example.evil.example")],
            &[("origin", "https://t.example"), ("sec-fetch-site", "same-site")],
            &[("origin", "https://t.example"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[],
        ] {
            assert!(!from(foreign, true), "{foreign:?}");
        }
        assert!(from(&[("origin", "http://t.example")], false));
    }

    #[test]
    fn a_token_belongs_to_one_cookie() {
        let token = form_token("one");
        assert!(token_fits("one", Some(&token)).is_ok());
        assert!(token_fits("two", Some(&token)).is_err());
        assert!(token_fits("one", Some("one")).is_err());
        assert!(token_fits("one", None).is_err());
    }

    #[test]
    fn a_cookie_says_who_may_read_and_send_it() {
        let set = |jar: Jar, value, tls| jar.set(value, tls).unwrap().to_str().unwrap().to_owned();
        let over_tls = set(Jar::Session, Some("s"), true);
        assert_eq!(over_tls, "__Host-tidegate=s; HttpOnly; SameSite=Lax; Secure; Path=/");
        assert_eq!(
            set(Jar::Session, Some("s"), false),
            "tidegate=s; HttpOnly; SameSite=Lax; Path=/"
        );
        assert!(set(Jar::Session, None, true).contains("Max-Age=0"));
        let brought = headers(&[("cookie", "a=b; tidegate=plain; __Host-tidegate=host")]);
        assert_eq!(Jar::Session.of(&brought, true).as_deref(), Some("host"));
        assert_eq!(Jar::Session.of(&brought, false).as_deref(), Some("plain"));
        assert_eq!(Jar::Form.of(&brought, true), None);
    }
}
