//! The checksum that seals a table: SHA-256 over a form of its parts that no two different
//! tables share. It must cover every field; it never depends on how JSON was written.

use sha2::{Digest, Sha256};

use super::edge;
use super::table::{CohortBy, Share, TableParts};

/// Feeds a hash so that no two different tables feed the same bytes: every text carries its
/// length, every list its count, every option a mark.
pub(super) struct Canonical(Sha256);

impl Canonical {
    fn number(&mut self, value: u64) {
        self.0.update(value.to_be_bytes());
    }

    pub(super) fn count(&mut self, value: usize) {
        self.number(value as u64);
    }

    /// Thousandths, not bits: a decimal may come back from JSON a bit off, and must not look
    /// like damage then.
    fn decimal(&mut self, value: f64) {
        self.text(&format!("{value:.3}"));
    }

    pub(super) fn text(&mut self, value: &str) {
        self.count(value.len());
        self.0.update(value.as_bytes());
    }

    pub(super) fn optional<T>(&mut self, value: Option<T>, feed: impl FnOnce(&mut Self, T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            feed(self, value);
        }
    }

    fn shares(&mut self, shares: &[Share]) {
        self.count(shares.len());
        for share in shares {
            self.text(&share.revision);
            self.number(u64::from(share.weight.basis_points()));
        }
    }
}

/// Covers every field of the parts; a new field belongs in here.
pub(super) fn checksum(parts: &TableParts) -> String {
    let TableParts {
        service,
        epoch,
        generation,
        listen,
        routes,
        backends,
        preview,
        cohort,
        fallback,
        lease_ms,
        brake,
        judge: _,
        limits_ms,
        acknowledges_override,
        mirror: _,
        access_log: _,
        tls: _,
        behind: _,
    } = parts;
    let mut hash = Canonical(Sha256::new());
    hash.text("tidegate route table 1");
    hash.text(service);
    hash.number(*epoch);
    hash.number(*generation);
    hash.text(&listen.to_string());
    hash.count(routes.len());
    for route in routes {
        hash.optional(route.host.as_deref(), Canonical::text);
        hash.text(&route.path_prefix);
    }
    hash.count(backends.len());
    for backend in backends {
        hash.text(&backend.revision);
        hash.text(&backend.slot);
        hash.number(u64::from(backend.weight.basis_points()));
        hash.count(backend.endpoints.len());
        for endpoint in &backend.endpoints {
            hash.text(&endpoint.to_string());
        }
    }
    hash.optional(preview.as_ref(), |hash, preview| {
        hash.text(&preview.header);
        hash.count(preview.values.len());
        for (value, revision) in &preview.values {
            hash.text(value);
            hash.text(revision);
        }
    });
    hash.text(&cohort.cookie);
    hash.text(&cohort.seed);
    hash.number(u64::from(cohort.enabled));
    hash.optional(fallback.as_deref(), Canonical::shares);
    hash.optional(*lease_ms, Canonical::number);
    hash.count(brake.len());
    for rule in brake {
        hash.decimal(rule.errors_above_percent);
        hash.number(rule.over_ms);
        hash.number(rule.min_requests);
    }
    hash.count(limits_ms.len());
    for limit in limits_ms {
        hash.decimal(*limit);
    }
    hash.optional(*acknowledges_override, Canonical::number);
    feed_later(&mut hash, parts);
    edge::feed(&mut hash, parts);
    hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a table of the first release cannot say is fed only when it is said, so that the tables
/// it left on disk keep their checksum. Each begins with a name of its own.
fn feed_later(hash: &mut Canonical, parts: &TableParts) {
    match &parts.cohort.by {
        CohortBy::Cookie => {}
        CohortBy::Header(name) => {
            hash.text("cohort by header");
            hash.text(name);
        }
        CohortBy::Address => hash.text("cohort by address"),
    }
    if let Some(mirror) = &parts.mirror {
        hash.text("mirror");
        hash.text(&mirror.revision);
        hash.number(u64::from(mirror.share.basis_points()));
    }
    if let Some(judge) = &parts.judge {
        hash.text("judge");
        hash.number(u64::from(judge.attributed));
        hash.optional(judge.evidence.as_ref(), |hash, evidence| {
            hash.decimal(evidence.objective);
            hash.decimal(evidence.rho);
            hash.decimal(evidence.latency_margin);
            hash.number(evidence.warm_up_ms);
            hash.number(evidence.horizon_ms);
            hash.number(u64::from(evidence.changes));
        });
    }
    if let Some(share) = parts.access_log {
        hash.text("access log");
        hash.number(u64::from(share.basis_points()));
    }
}
