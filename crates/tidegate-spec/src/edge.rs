//! Reads `route.tls` and `route.behind`: how users' connections reach a part.
//! Must never read a certificate or a key: they lie on the proxy's machine, not in the release.

use std::net::IpAddr;

use tidegate_core::plan::{Behind, Certificate, Speaks, Tls};

use crate::codes;
use crate::fields::{Field, Fields, shorten};
use crate::read;
use crate::report::Report;
use crate::route::address;

/// The public server that is asked when none is named.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Longest URL, path or address; the proxy takes no more.
const TEXT_BYTES_MAX: usize = 1_024;
/// Networks of what stands in front; the proxy takes no more.
const NETWORKS_MAX: usize = 256;

/// TLS of a route. A certificate from ACME is for the route's host.
pub(crate) fn tls(field: &Field<'_>, host: Option<&str>, report: &mut Report<'_>) -> Option<Tls> {
    let mut fields = Fields::of(field, report);
    let redirect_from = fields.get("redirect_from").and_then(|field| address(&field, report));
    let (chain, key, acme) = (fields.get("certificate"), fields.get("key"), fields.get("acme"));
    let at = fields.at();
    let certificate = match (chain, key, acme) {
        (Some(chain), Some(key), None) => {
            let (chain, key) = (file(&chain, report), file(&key, report));
            chain.zip(key).map(|(chain, key)| Certificate::Files { chain, key })
        }
        (None, None, Some(acme)) => {
            let certificate = self::acme(&acme, report);
            if host.is_none() || redirect_from.is_none() {
                let message = format!(
                    "`{}` needs `host` in the route and `redirect_from` beside it",
                    acme.path
                );
                report.error(codes::CONFLICT, acme.at(), message).help(
                    "the server asks for its proof by plain HTTP under the host's name: write \
                     `host: shop.example` and `redirect_from: \"0.0.0.0:80\"`",
                );
            }
            certificate
        }
        _ => {
            let message = format!("`{}` needs a certificate from one place", field.path);
            report.error(codes::CONFLICT, at, message).help(
                "write `certificate: /etc/shop.pem` and `key: /etc/shop.key`, or \
                 `acme: {terms: agreed}`",
            );
            None
        }
    };
    fields.finish(&["client_ca", "min_version"], report);
    Some(Tls { certificate: certificate?, redirect_from })
}

fn acme(field: &Field<'_>, report: &mut Report<'_>) -> Option<Certificate> {
    let mut fields = Fields::of(field, report);
    let agreed = fields
        .need("terms", "agreed", report)
        .is_some_and(|field| read::choice(Some(field), &[("agreed", true)], false, report));
    let directory = match fields.get("directory") {
        None => Some(DIRECTORY.to_owned()),
        Some(field) => fitting(&field, "a URL that begins with https://", report, |text| {
            text.starts_with("https://") && text.bytes().all(|byte| byte.is_ascii_graphic())
        }),
    };
    let contact = fields.get("contact").and_then(|field| {
        fitting(&field, "a mail address", report, |text| {
            let (name, host) = text.split_once('@').unwrap_or_default();
            let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
            plain && !name.is_empty() && host.contains('.')
        })
    });
    let trust = fields.get("trust").and_then(|field| file(&field, report));
    fields.finish(&["challenge", "profile"], report);
    agreed.then_some(())?;
    Some(Certificate::Acme { directory: directory?, contact, trust })
}

/// What stands in front of the proxy.
pub(crate) fn behind(field: &Field<'_>, report: &mut Report<'_>) -> Option<Behind> {
    let mut fields = Fields::of(field, report);
    let from =
        fields.need("from", "[10.0.0.0/8]", report).and_then(|field| networks(&field, report));
    let choices =
        [("proxy-protocol", Some(Speaks::ProxyProtocol)), ("forwarded", Some(Speaks::Forwarded))];
    let speaks = fields
        .need("speaks", "proxy-protocol", report)
        .and_then(|field| read::choice(Some(field), &choices, None, report));
    fields.finish(&[], report);
    Some(Behind { from: from?, speaks: speaks? })
}

fn networks(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let items = read::list(field, report)?;
    if items.is_empty() || items.len() > NETWORKS_MAX {
        let message = format!("`{}` has {} networks: 1 to {NETWORKS_MAX}", field.path, items.len());
        report.error(codes::BAD_NUMBER, field.at(), message);
        return None;
    }
    let networks = items.iter().enumerate().map(|(index, node)| {
        let item = read::item(&field.path, index, node);
        fitting(&item, "a network such as 10.0.0.0/8", report, is_network)
    });
    // Each is looked at, so that all that are wrong are told.
    let networks: Vec<Option<String>> = networks.collect();
    networks.into_iter().collect()
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    let plain = bits.bytes().all(|byte| byte.is_ascii_digit()) && !bits.starts_with("00");
    plain && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// An absolute path on the proxy's machine.
fn file(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    fitting(field, "an absolute path", report, |text| {
        text.starts_with('/') && !text.split('/').any(|piece| piece == "..")
    })
}

fn fitting(
    field: &Field<'_>,
    wanted: &str,
    report: &mut Report<'_>,
    fits: fn(&str) -> bool,
) -> Option<String> {
    let text = read::text(field, report)?;
    if text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control) && fits(text) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, not {wanted}", field.path, shorten(text));
    report.error(codes::BAD_ROUTE, field.at(), message);
    None
}
