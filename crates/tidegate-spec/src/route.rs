//! Reads `route`: where user requests of a part come in.
//! Must never accept an address that could mean two things.

use std::net::SocketAddr;

use tidegate_core::plan::{CohortBy, Route};
use tidegate_core::weight::Weight;

use crate::codes;
use crate::edge;
use crate::fields::{Field, Fields, shorten};
use crate::probe::{is_header, request_path};
use crate::read;
use crate::report::Report;
use crate::units;

/// Where the proxy listens when nothing is said: this machine only.
pub(crate) const LISTEN: &str = "127.0.0.1:8080";
/// Longest host name, by the DNS.
const HOST_BYTES_MAX: usize = 253;

/// The route, or the default one when nothing is said.
pub(crate) fn route(field: Option<&Field<'_>>, report: &mut Report<'_>) -> Route {
    let mut route = Route {
        listen: LISTEN.to_owned(),
        host: None,
        path: "/".to_owned(),
        preview_header: None,
        sticky: true,
        cohort: CohortBy::Cookie,
        mirror: None,
        access_log: None,
        tls: None,
        behind: None,
    };
    let Some(field) = field else { return route };
    let mut fields = Fields::of(field, report);
    if let Some(listen) = fields.get("listen").and_then(|field| address(&field, report)) {
        route.listen = listen;
    }
    route.host = fields.get("host").and_then(|field| host_name(&field, report));
    if let Some(path) = fields.get("path").and_then(|field| prefix(&field, report)) {
        route.path = path;
    }
    route.preview_header = fields.get("preview").and_then(|field| header(&field, report));
    route.sticky = read::flag(fields.get("sticky"), true, report);
    if let Some(by) = fields.get("cohort").and_then(|field| cohort(&field, report)) {
        route.cohort = by;
    }
    route.mirror = fields.get("mirror").and_then(|field| share(&field, report));
    route.access_log = fields.get("access_log").and_then(|field| share(&field, report));
    let tls = fields.get("tls");
    route.tls = tls.and_then(|field| edge::tls(&field, route.host.as_deref(), report));
    route.behind = fields.get("behind").and_then(|field| edge::behind(&field, report));
    // Other engines for traffic, by the names under which the format knows them.
    let engines = ["alb", "nginx", "haproxy", "envoy", "gateway", "dns"];
    fields.finish(&engines, report);
    route
}

/// `cookie`, `address`, or `header X-User`.
fn cohort(field: &Field<'_>, report: &mut Report<'_>) -> Option<CohortBy> {
    let text = read::text(field, report)?;
    match text.split_once(' ') {
        None if text == "cookie" => return Some(CohortBy::Cookie),
        None if text == "address" => return Some(CohortBy::Address),
        Some(("header", name)) if is_header(name) => {
            return Some(CohortBy::Header(name.to_ascii_lowercase()));
        }
        _ => {}
    }
    let message = format!("`{}` is `{}`, which tells nobody apart", field.path, shorten(text));
    report
        .error(codes::BAD_ROUTE, field.at(), message)
        .help("write `cookie`, `address` or for example `header X-User`");
    None
}

/// A share of requests, 0.01% to 100%.
fn share(field: &Field<'_>, report: &mut Report<'_>) -> Option<Weight> {
    let text = read::text(field, report)?;
    let number = match units::percent(text) {
        Ok(number) => number,
        Err(refused) => {
            read::refuse(codes::BAD_PERCENT, field, refused, report);
            return None;
        }
    };
    let hundredths = number.scaled(2).and_then(|value| u16::try_from(value).ok());
    let share = hundredths.filter(|bp| *bp > 0).and_then(|bp| Weight::from_bp(bp).ok());
    if share.is_none() {
        let message = format!("`{}` is `{}`: it must be 0.01% to 100%", field.path, shorten(text));
        report
            .error(codes::BAD_PERCENT, field.at(), message)
            .help("write for example `1%`, or remove the key");
    }
    share
}

pub(crate) fn address(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    if address.is_none() {
        let message =
            format!("`{}` is `{}`, not an address with a port", field.path, shorten(text));
        report.error(codes::BAD_ROUTE, field.at(), message).help(format!(
            "write for example `{LISTEN}` for this machine only, or `0.0.0.0:80` for everybody"
        ));
    }
    address.map(|address| address.to_string())
}

/// A host name in lower case, without a port.
pub(crate) fn host_name(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if text.len() <= HOST_BYTES_MAX && text.split('.').all(label) {
        return Some(text.to_ascii_lowercase());
    }
    let message = format!("`{}` is `{}`, not a host name", field.path, shorten(text));
    report
        .error(codes::BAD_ROUTE, field.at(), message)
        .help("write it without scheme and port, as in `shop.example`; other scripts as `xn--`");
    None
}

fn prefix(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let path = request_path(field, report)?;
    let plain = !path.contains(['?', '#', '*', '%', '\\']) && !path.contains("//");
    if plain && !path.split('/').any(|piece| piece == ".." || piece == ".") {
        return Some(path);
    }
    let message = format!("`{}` is `{}`, not the beginning of a path", field.path, shorten(&path));
    report
        .error(codes::BAD_ROUTE, field.at(), message)
        .help("write for example `/api`: every path that begins so belongs to this part");
    None
}

fn header(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    if is_header(text) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, not the name of a header", field.path, shorten(text));
    report.error(codes::BAD_ROUTE, field.at(), message).help("write for example `X-Preview`");
    None
}
