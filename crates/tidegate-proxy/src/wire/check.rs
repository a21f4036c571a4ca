//! What a table may say. Every rule is checked before a table exists; none of them looks at the
//! world, only at the parts.

use std::collections::BTreeSet;

use super::edge;
use super::table::{CohortBy, Share, TableError, TableParts, Weight, limits};

/// The first rule that the parts break.
pub(super) fn check(parts: &TableParts) -> Result<(), TableError> {
    check_names(parts)?;
    check_routes(parts)?;
    check_backends(parts)?;
    check_preview(parts)?;
    if let Some(mirror) = &parts.mirror {
        check_reachable(parts, "the mirror", &mirror.revision)?;
    }
    if let Some(fallback) = &parts.fallback {
        check_fallback(parts, fallback)?;
    }
    edge::check(parts)?;
    check_rules(parts)
}

fn count(what: &'static str, found: usize, least: usize, most: usize) -> Result<(), TableError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(TableError::Count { what, found, least, most })
    }
}

fn name(what: &'static str, value: &str) -> Result<(), TableError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./+:@".contains(&b);
    if !value.is_empty() && value.len() <= limits::NAME_BYTES && value.bytes().all(allowed) {
        return Ok(());
    }
    let rule = "1 to 128 letters, digits or -_./+:@";
    Err(TableError::Name { what, value: value.chars().take(limits::NAME_BYTES).collect(), rule })
}

fn token(what: &'static str, value: &str) -> Result<(), TableError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    if !value.is_empty() && value.len() <= limits::NAME_BYTES && value.bytes().all(allowed) {
        return Ok(());
    }
    let rule = "1 to 128 lower-case letters, digits, - or _";
    Err(TableError::Name { what, value: value.chars().take(limits::NAME_BYTES).collect(), rule })
}

fn text(what: &'static str, value: &str, allowed: fn(u8) -> bool) -> Result<(), TableError> {
    if !value.is_empty() && value.len() <= limits::TEXT_BYTES && value.bytes().all(allowed) {
        return Ok(());
    }
    let rule = "1 to 1024 printable characters that fit its kind";
    Err(TableError::Name { what, value: value.chars().take(limits::NAME_BYTES).collect(), rule })
}

fn check_names(parts: &TableParts) -> Result<(), TableError> {
    name("service", &parts.service)?;
    token("cohort cookie", &parts.cohort.cookie)?;
    text("cohort seed", &parts.cohort.seed, |b| b.is_ascii_graphic())?;
    if let CohortBy::Header(header) = &parts.cohort.by {
        token("cohort header", header)?;
    }
    count("backends", parts.backends.len(), 0, limits::BACKENDS)?;
    let mut seen = BTreeSet::new();
    for backend in &parts.backends {
        name("revision", &backend.revision)?;
        name("slot", &backend.slot)?;
        if !seen.insert(&backend.revision) {
            return Err(TableError::Twice { what: "revision", value: backend.revision.clone() });
        }
    }
    Ok(())
}

fn check_routes(parts: &TableParts) -> Result<(), TableError> {
    if parts.listen.port() == 0 {
        let rule = "1 to 65535";
        return Err(TableError::Range { what: "the listen port", found: "0".into(), rule });
    }
    count("routes", parts.routes.len(), 1, limits::ROUTES)?;
    let mut seen = BTreeSet::new();
    for route in &parts.routes {
        if let Some(host) = &route.host {
            let allowed =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._[]:".contains(&b);
            text("host", host, allowed)?;
        }
        text("path prefix", &route.path_prefix, |b| {
            b.is_ascii_graphic() && !b"?#\\\"<>".contains(&b)
        })?;
        if !route.path_prefix.starts_with('/') {
            let value = route.path_prefix.clone();
            return Err(TableError::Name { what: "path prefix", value, rule: "begins with /" });
        }
        if !seen.insert(route) {
            let value = format!("{}{}", route.host.as_deref().unwrap_or("*"), route.path_prefix);
            return Err(TableError::Twice { what: "route", value });
        }
    }
    Ok(())
}

fn check_backends(parts: &TableParts) -> Result<(), TableError> {
    let mut sum = 0;
    for backend in &parts.backends {
        sum += u64::from(backend.weight.basis_points());
        count("endpoints of a revision", backend.endpoints.len(), 0, limits::ENDPOINTS)?;
        if backend.weight > Weight::ZERO && backend.endpoints.is_empty() {
            let revision = backend.revision.clone();
            return Err(TableError::NoEndpoint { of: "a weight", revision });
        }
        let distinct: BTreeSet<_> = backend.endpoints.iter().collect();
        if distinct.len() != backend.endpoints.len() {
            let value = backend.revision.clone();
            return Err(TableError::Twice { what: "an endpoint of revision", value });
        }
    }
    if sum == 0 || sum == u64::from(Weight::FULL.basis_points()) {
        Ok(())
    } else {
        Err(TableError::WeightSum { of: "the backends", found: sum })
    }
}

/// The named revision is a backend with at least one endpoint.
fn check_reachable(parts: &TableParts, of: &'static str, revision: &str) -> Result<(), TableError> {
    match parts.backends.iter().find(|backend| backend.revision == revision) {
        None => Err(TableError::UnknownRevision { of, revision: revision.to_owned() }),
        Some(backend) if backend.endpoints.is_empty() => {
            Err(TableError::NoEndpoint { of, revision: revision.to_owned() })
        }
        Some(_) => Ok(()),
    }
}

fn check_preview(parts: &TableParts) -> Result<(), TableError> {
    if let Some(preview) = &parts.preview {
        token("preview header", &preview.header)?;
        count("preview values", preview.values.len(), 0, limits::PREVIEWS)?;
        for (value, revision) in &preview.values {
            text("preview value", value, |b| b.is_ascii_graphic() || b == b' ')?;
            check_reachable(parts, "the preview", revision)?;
        }
    }
    Ok(())
}

fn check_fallback(parts: &TableParts, fallback: &[Share]) -> Result<(), TableError> {
    count("fallback shares", fallback.len(), 1, limits::BACKENDS)?;
    let mut sum = 0;
    let mut seen = BTreeSet::new();
    for share in fallback {
        sum += u64::from(share.weight.basis_points());
        check_reachable(parts, "the fallback", &share.revision)?;
        if !seen.insert(&share.revision) {
            let value = share.revision.clone();
            return Err(TableError::Twice { what: "fallback share of revision", value });
        }
    }
    if sum == u64::from(Weight::FULL.basis_points()) {
        Ok(())
    } else {
        Err(TableError::WeightSum { of: "the fallback", found: sum })
    }
}

fn check_rules(parts: &TableParts) -> Result<(), TableError> {
    count("brake rules", parts.brake.len(), 0, limits::BRAKES)?;
    count("latency limits", parts.limits_ms.len(), 0, limits::LIMITS_MS)?;
    let range = |what, found: String, rule| Err(TableError::Range { what, found, rule });
    if parts.fallback.is_none() {
        if parts.lease_ms.is_some() {
            return Err(TableError::NeedsFallback { what: "a lease" });
        }
        if !parts.brake.is_empty() {
            return Err(TableError::NeedsFallback { what: "a brake rule" });
        }
        if parts.judge.is_some() {
            return Err(TableError::NeedsFallback { what: "a judge" });
        }
    }
    if let Some(lease) = parts.lease_ms
        && !(1..=limits::LEASE_MS).contains(&lease)
    {
        return range("the lease", format!("{lease} ms"), "1 ms to one hour");
    }
    for rule in &parts.brake {
        if !(0.0..=100.0).contains(&rule.errors_above_percent) {
            let found = rule.errors_above_percent.to_string();
            return range("a brake limit", found, "0 to 100 percent");
        }
        if !(1..=limits::BRAKE_MS).contains(&rule.over_ms) {
            return range("a brake window", format!("{} ms", rule.over_ms), "1 ms to 10 minutes");
        }
    }
    if let Some(evidence) = parts.judge.and_then(|judge| judge.evidence) {
        let found = [
            (evidence.objective, 0.0..=0.5, "0 to 0.5 for the objective"),
            (evidence.rho, 1.0..=100.0, "1 to 100 for times as often"),
            (evidence.latency_margin, 0.0..=10.0, "0 to 10 for the slowness let pass"),
        ];
        for (number, allowed, rule) in found {
            if !allowed.contains(&number) {
                return range("a number of the evidence", number.to_string(), rule);
            }
        }
    }
    for limit in &parts.limits_ms {
        if !limit.is_finite() || *limit <= 0.0 {
            return range("a latency limit", limit.to_string(), "finite and above zero");
        }
    }
    Ok(())
}
