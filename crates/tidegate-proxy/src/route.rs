//! Which service a request belongs to and which revision serves it, compiled from tables into a
//! form that a request reads without a lock. A compiled routing never changes; a new one takes
//! its place whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::header::{HeaderMap, HeaderValue};

use crate::cohort::{self, Key};
use crate::mirror;
use crate::stats::RevisionStats;
use crate::tls::Door;
use crate::upstream::Endpoints;
use crate::wire::{Behind, Cohort, Route, Share, Table, Weight};

/// Everything the data plane serves at one moment.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    listeners: HashMap<SocketAddr, Hosts>,
}

#[derive(Debug, Default)]
struct Hosts {
    /// Set where clients are met with TLS.
    door: Option<Arc<Door>>,
    behind: Option<Behind>,
    named: HashMap<String, Vec<Entry>>,
    any: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    prefix: String,
    target: Target,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// To the revisions of a service.
    Service(Arc<ServiceView>),
    /// To the same host by HTTPS, on this port.
    Https(u16),
}

impl Routing {
    /// Compiles the views of all services. The caller has checked that no two of them claim the
    /// same route.
    pub(crate) fn new<'a>(
        views: impl Iterator<Item = (&'a Table, Arc<ServiceView>)>,
        doors: &HashMap<SocketAddr, Arc<Door>>,
    ) -> Self {
        let mut routing = Self::default();
        for (table, view) in views {
            for entrance in entrances(table) {
                let hosts = routing.listeners.entry(entrance.address).or_default();
                hosts.behind.clone_from(&table.behind);
                let target = if entrance.is_redirect {
                    Target::Https(table.listen.port())
                } else {
                    hosts.door = doors.get(&entrance.address).cloned();
                    Target::Service(Arc::clone(&view))
                };
                for route in &table.routes {
                    let entries = match &route.host {
                        Some(host) => hosts.named.entry(host.clone()).or_default(),
                        None => &mut hosts.any,
                    };
                    let (prefix, target) = (route.path_prefix.clone(), target.clone());
                    entries.push(Entry { prefix, target });
                }
            }
        }
        for hosts in routing.listeners.values_mut() {
            for entries in hosts.named.values_mut().chain(std::iter::once(&mut hosts.any)) {
                entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.len()));
            }
        }
        routing
    }

    /// The service of a request: its exact host before any host, the longest prefix first. The
    /// path is compared as the bytes that will be forwarded.
    pub(crate) fn find(
        &self,
        listen: SocketAddr,
        host: Option<&str>,
        path: &str,
    ) -> Option<&Target> {
        let hosts = self.listeners.get(&listen)?;
        let named = host.and_then(|host| hosts.named.get(host));
        let entries = named.into_iter().flatten().chain(&hosts.any);
        let mut matching = entries.filter(|entry| is_below(path, &entry.prefix));
        matching.next().map(|entry| &entry.target)
    }

    /// Whether anything is served there.
    pub(crate) fn has(&self, listen: SocketAddr) -> bool {
        self.listeners.contains_key(&listen)
    }

    /// How a connection to an address begins: with TLS or without, and who is believed.
    pub(crate) fn entrance(&self, listen: SocketAddr) -> (Option<&Arc<Door>>, Option<&Behind>) {
        let hosts = self.listeners.get(&listen);
        (hosts.and_then(|h| h.door.as_ref()), hosts.and_then(|h| h.behind.as_ref()))
    }
}

/// Whole segments: `/api` covers `/api`, `/api/x` and `/api?x`, not `/apix`.
fn is_below(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => path == "*" && prefix == "/",
    }
}

/// An address where clients of a table come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrance {
    pub(crate) address: SocketAddr,
    /// Its requests are sent to HTTPS.
    pub(crate) is_redirect: bool,
    has_tls: bool,
}

/// The addresses of a table: one, or two with a redirect to HTTPS.
pub(crate) fn entrances(table: &Table) -> impl Iterator<Item = Entrance> + use<> {
    let has_tls = table.tls.is_some();
    let redirect = table.tls.as_ref().and_then(|tls| tls.redirect_from);
    let redirect = redirect.map(|address| Entrance { address, is_redirect: true, has_tls: false });
    let first = Entrance { address: table.listen, is_redirect: false, has_tls };
    std::iter::once(first).chain(redirect)
}

/// Why two tables cannot both be served.
#[derive(Debug)]
pub(crate) enum Conflict {
    /// Both claim this route on this address.
    Route(Route, SocketAddr),
    /// They meet clients of this address in different ways.
    Entrance(SocketAddr),
}

/// The first thing two tables do not agree on.
pub(crate) fn conflict(ours: &Table, other: &Table) -> Option<Conflict> {
    if ours.service == other.service {
        return None;
    }
    for mine in entrances(ours) {
        for theirs in entrances(other).filter(|theirs| theirs.address == mine.address) {
            if mine.has_tls != theirs.has_tls || ours.behind != other.behind {
                return Some(Conflict::Entrance(mine.address));
            }
            let taken: BTreeSet<&Route> = other.routes.iter().collect();
            if let Some(route) = ours.routes.iter().find(|route| taken.contains(route)) {
                return Some(Conflict::Route(route.clone(), mine.address));
            }
        }
    }
    None
}

/// What a request needs to know about its service.
#[derive(Debug)]
pub(crate) struct ServiceView {
    pub(crate) name: Arc<str>,
    cohort: Cohort,
    /// Upper bounds of the buckets, rising, with the index of the revision below each.
    split: Vec<(u16, usize)>,
    revisions: Vec<RevisionView>,
    preview: Option<(String, HashMap<Vec<u8>, usize>)>,
    mirror: Option<(usize, Weight)>,
    access_log: Option<Weight>,
    pub(crate) counts: Arc<Counts>,
}

/// What is counted of a service beside its revisions.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Requests that found no revision with a weight.
    pub(crate) no_backend: AtomicU64,
    pub(crate) mirror: Arc<mirror::Counts>,
}

/// What a request needs to know about its revision.
#[derive(Clone, Debug)]
pub(crate) struct RevisionView {
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) stats: Arc<RevisionStats>,
}

/// A decision about one request.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) revision: &'a RevisionView,
    pub(crate) is_preview: bool,
    pub(crate) set_cookie: Option<HeaderValue>,
}

impl ServiceView {
    /// Compiles a table whose new requests are split by `shares`.
    pub(crate) fn new(
        table: &Table,
        shares: &[Share],
        revisions: &BTreeMap<String, RevisionView>,
        counts: Arc<Counts>,
    ) -> Self {
        let mut compiled = Vec::new();
        let mut index = HashMap::new();
        for backend in &table.backends {
            if let Some(revision) = revisions.get(&backend.revision) {
                index.insert(backend.revision.as_str(), compiled.len());
                compiled.push(revision.clone());
            }
        }
        let mut bound = 0;
        let mut split = Vec::new();
        for share in in_cohort_order(table, shares) {
            if let Some(revision) = index.get(share.revision.as_str()) {
                bound += share.weight.basis_points();
                split.push((bound, *revision));
            }
        }
        let preview = table.preview.as_ref().map(|preview| {
            let values = preview.values.iter().filter_map(|(value, revision)| {
                Some((value.clone().into_bytes(), *index.get(revision.as_str())?))
            });
            (preview.header.clone(), values.collect())
        });
        let mirror = table.mirror.as_ref();
        let mirror = mirror.and_then(|m| Some((*index.get(m.revision.as_str())?, m.share)));
        Self {
            name: Arc::from(table.service.as_str()),
            cohort: table.cohort.clone(),
            split,
            revisions: compiled,
            preview,
            mirror,
            access_log: table.access_log,
            counts,
        }
    }

    /// The revision that gets a copy of this request, if one does.
    pub(crate) fn mirror(&self, serves: &RevisionView) -> Option<&RevisionView> {
        let (revision, share) = self.mirror?;
        let revision = self.revisions.get(revision)?;
        let is_other = !Arc::ptr_eq(&revision.stats, &serves.stats);
        (is_other && is_drawn(share)).then_some(revision)
    }

    /// Whether the access log has a line for this request.
    pub(crate) fn is_logged(&self) -> bool {
        self.access_log.is_some_and(is_drawn)
    }

    /// Picks the revision of a request; `None` while nothing has a weight.
    pub(crate) fn choose(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
        key: &Key,
    ) -> Option<Choice<'_>> {
        if let Some((header, values)) = &self.preview
            && let Some(revision) = headers.get(header).and_then(|v| values.get(v.as_bytes()))
        {
            let revision = self.revisions.get(*revision)?;
            return Some(Choice { revision, is_preview: true, set_cookie: None });
        }
        // A single revision needs no cohort, so no cookie either: answers stay cacheable
        // outside a shift.
        let (bucket, set_cookie) = if self.split.len() > 1 {
            let place = cohort::place(&self.cohort, key, headers, client);
            (place.bucket, place.set_cookie)
        } else {
            (0, None)
        };
        let (_, revision) = self.split.iter().find(|(bound, _)| bucket < *bound)?;
        let revision = self.revisions.get(*revision)?;
        Some(Choice { revision, is_preview: false, set_cookie })
    }
}

/// Draws so many requests of 10,000.
fn is_drawn(share: Weight) -> bool {
    rand::random_range(0..cohort::BUCKETS) < share.basis_points()
}

/// Lowest buckets first. A revision that the fallback does not know, the candidate, takes the
/// range from 0, and the one the fallback goes back to takes the upper end: while the
/// candidate's weight grows its range only grows, so nobody who is in it falls out. Without a
/// fallback the order of the table decides.
fn in_cohort_order<'a>(table: &Table, shares: &'a [Share]) -> Vec<&'a Share> {
    let in_fallback = |share: &Share| {
        let fallback = table.fallback.iter().flatten();
        fallback.filter(|f| f.revision == share.revision).map(|f| f.weight).max()
    };
    let position = |share: &Share| table.backends.iter().position(|b| b.revision == share.revision);
    let mut ordered: Vec<&Share> = shares.iter().filter(|s| s.weight > Weight::ZERO).collect();
    ordered.sort_by_key(|share| (in_fallback(share), position(share)));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_cover_whole_segments() {
        for (path, prefix, covered) in [
            ("/", "/", true),
            ("/x", "/", true),
            ("*", "/", true),
            ("/api", "/api", true),
            ("/api/x", "/api", true),
            ("/apix", "/api", false),
            ("/api", "/api/", false),
            ("/api/x", "/api/", true),
            ("/%61pi", "/api", false),
        ] {
            assert_eq!(is_below(path, prefix), covered, "{path} {prefix}");
        }
    }
}
