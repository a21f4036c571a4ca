//! The plan's words about TLS, load balancers and protocols in the words of the proxy.
//! Must never turn something that it does not understand into plain HTTP or into trust.

use tidegate_core::plan::{self, Route};
use tidegate_proxy::wire;

/// TLS of a route. A certificate from ACME is for the route's host.
pub(super) fn tls(tls: &plan::Tls, route: &Route) -> Result<wire::Tls, String> {
    let certificate = match &tls.certificate {
        plan::Certificate::Files { chain, key } => {
            wire::Certificate::Files { chain: chain.clone(), key: key.clone() }
        }
        plan::Certificate::Acme { directory, contact, trust } => {
            let host = route.host.as_ref().ok_or("a certificate from ACME without a host")?;
            wire::Certificate::Acme(wire::Acme {
                directory: directory.clone(),
                contact: contact.as_ref().map(|contact| format!("mailto:{contact}")),
                trust: trust.clone(),
                names: vec![host.to_ascii_lowercase()],
            })
        }
    };
    let redirect_from = tls.redirect_from.as_ref().map(|from| {
        from.parse().map_err(|_odd| format!("`{from}` is no address and port to redirect from"))
    });
    Ok(wire::Tls { certificates: vec![certificate], redirect_from: redirect_from.transpose()? })
}

/// What stands in front.
pub(super) fn behind(behind: &plan::Behind) -> Result<wire::Behind, String> {
    let network = |text: &String| {
        text.parse::<wire::IpNet>().map_err(|_odd| format!("`{text}` is no network"))
    };
    Ok(wire::Behind {
        from: behind.from.iter().map(network).collect::<Result<_, _>>()?,
        speaks: match behind.speaks {
            plan::Speaks::ProxyProtocol => wire::Speaks::ProxyProtocol,
            plan::Speaks::Forwarded => wire::Speaks::Forwarded,
        },
    })
}

/// What instances speak.
pub(super) const fn protocol(protocol: plan::Protocol) -> wire::Protocol {
    match protocol {
        plan::Protocol::Http1 => wire::Protocol::Http1,
        plan::Protocol::H2c => wire::Protocol::H2c,
    }
}
