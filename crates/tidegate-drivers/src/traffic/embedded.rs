//! The embedded data plane: `tidegate proxy`, spoken to over its unix socket.
//!
//! Needs: the right to open the socket (its owner's, mode 0600). To undo by hand:
//! `tidegate rollback --emergency`, or stop the proxy and listen yourself.
//!
//! It must never start or stop the proxy (see [`super::process`]), and never take an answer about
//! another table for a confirmation of this one.

pub(super) mod client;
mod edge;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tidegate_core::effect::RouteTable;
use tidegate_core::event::OverrideKind;
use tidegate_core::ids::{PartName, Scope, SlotName};
use tidegate_core::input::{Overridden, SplitRead};
use tidegate_core::weight::{Split, Weight};
use tidegate_engine::ports::{Failure, FailureKind, InstanceTick, SlotTick, Traffic, TrafficTick};
use tidegate_proxy::wire;

use client::Client;
pub use table::service_key;

/// Answers that are read for one question about statistics: an hour of them takes six.
const TICK_PAGES_MAX: usize = 16;

/// Traffic through the embedded proxy.
#[derive(Debug)]
pub struct Embedded {
    client: Client,
}

impl Embedded {
    /// Traffic through the proxy that listens on this socket. Touches nothing yet.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { client: Client::new(socket) }
    }
}

#[async_trait]
impl Traffic for Embedded {
    async fn ensure(&self, scope: &Scope, table: &RouteTable, epoch: u64) -> Result<(), Failure> {
        let sealed = table::seal(scope, table, epoch)?;
        let ack: wire::Ack = self.client.put(wire::PATH_TABLE, &sealed).await?;
        let applied = (ack.epoch, ack.generation);
        if ack.service == *sealed.service && applied == sealed.fence() {
            return Ok(());
        }
        Err(Failure {
            kind: FailureKind::Conflict,
            code: "TG5902",
            what: format!("{scope}/{}: the proxy answers for {applied:?}", table.part),
        })
    }

    async fn rehearse(&self, scope: &Scope, table: &RouteTable, epoch: u64) -> Result<(), Failure> {
        let sealed = table::seal(scope, table, epoch)?;
        let wire::Rehearsed {} = self.client.post(wire::PATH_REHEARSAL, &sealed).await?;
        Ok(())
    }

    async fn read(&self, scope: &Scope) -> Result<BTreeMap<PartName, SplitRead>, Failure> {
        let report: wire::StatusReport = self.client.get(wire::PATH_STATUS, &[]).await?;
        let of_scope = report.services.into_iter().filter_map(|status| {
            let part = table::part_of(scope, &status.service)?;
            Some((part, split_read(status)))
        });
        Ok(of_scope.collect())
    }

    async fn renew(
        &self,
        scope: &Scope,
        leases: &BTreeMap<PartName, u64>,
        epoch: u64,
    ) -> Result<(), Failure> {
        if leases.is_empty() {
            return Ok(());
        }
        let renewals: Vec<wire::LeaseRenewal> = leases
            .iter()
            .map(|(part, generation)| wire::LeaseRenewal {
                service: service_key(scope, part),
                epoch,
                generation: *generation,
            })
            .collect();
        let outcomes: Vec<wire::LeaseOutcome> =
            self.client.post(wire::PATH_LEASE, &renewals).await?;
        for renewal in &renewals {
            let outcome = outcomes.iter().find(|outcome| outcome.service == renewal.service);
            match outcome.map(|outcome| &outcome.refusal) {
                Some(None) => {}
                Some(Some(refusal)) => return Err(client::refused(refusal)),
                None => {
                    let what = format!("{}: the renewal was not answered", renewal.service);
                    return Err(Failure::retryable("TG5902", what));
                }
            }
        }
        Ok(())
    }

    async fn ticks(
        &self,
        scope: &Scope,
        part: &PartName,
        after: u64,
    ) -> Result<Vec<TrafficTick>, Failure> {
        let service = service_key(scope, part);
        let mut found: Vec<TrafficTick> = Vec::new();
        let mut after = after;
        for _ in 0..TICK_PAGES_MAX {
            let query = [("service", service.clone()), ("after", after.to_string())];
            let page: wire::Ticks = self.client.get(wire::PATH_TICKS, &query).await?;
            let Some(last) = page.ticks.last().map(|tick| tick.seq) else { break };
            found.extend(page.ticks.into_iter().map(traffic_tick));
            if last <= after || page.newest.is_none_or(|newest| newest <= last) {
                break;
            }
            after = last;
        }
        Ok(found)
    }
}

// A proxy that cannot bind the address serves nobody, whatever table it holds.
fn split_read(status: wire::Status) -> SplitRead {
    SplitRead {
        generation: status.listening.then_some(status.generation),
        overridden: status.in_override.map(overridden),
    }
}

fn overridden(held: wire::Override) -> Overridden {
    Overridden {
        sequence: held.sequence,
        kind: match held.kind {
            wire::OverrideKind::Lease => OverrideKind::Lease,
            wire::OverrideKind::Brake => OverrideKind::Brake,
            wire::OverrideKind::Emergency => OverrideKind::Emergency,
        },
        actor: held.actor,
        why: held.reason,
        split: split(&held.split),
    }
}

fn split(shares: &[wire::Share]) -> Option<Split> {
    let mut by_slot: BTreeMap<SlotName, u32> = BTreeMap::new();
    for share in shares {
        let slot = table::slot_of(&share.revision)?;
        *by_slot.entry(slot).or_default() += u32::from(share.weight.basis_points());
    }
    let weights = by_slot.into_iter().map(|(slot, bp)| {
        let weight = Weight::from_bp(u16::try_from(bp).ok()?).ok()?;
        Some((slot, weight))
    });
    Split::try_from(weights.collect::<Option<BTreeMap<_, _>>>()?).ok()
}

fn traffic_tick(tick: wire::Tick) -> TrafficTick {
    let mut slots: BTreeMap<SlotName, SlotTick> = BTreeMap::new();
    for revision in tick.revisions {
        let Some(slot) = table::slot_of(&revision.revision) else { continue };
        let sum = slots.entry(slot).or_default();
        sum.requests += revision.requests;
        sum.failures += revision.failures.total();
        for (cell, count) in revision.latency {
            match sum.latency.iter_mut().find(|(known, _)| *known == cell) {
                Some((_, known)) => *known = known.saturating_add(count),
                None => sum.latency.push((cell, count)),
            }
        }
        let told = revision.instances.into_iter();
        sum.instances.extend(told.map(|instance| InstanceTick {
            requests: instance.requests,
            failures: instance.failures,
            latency: instance.latency,
        }));
    }
    TrafficTick {
        number: tick.seq,
        at_ms: tick.at_ms,
        length_ms: tick.length_ms,
        generation: tick.generation,
        slots,
    }
}

/// One part that went back.
#[derive(Debug, Clone)]
pub struct Rolled {
    /// The part.
    pub part: PartName,
    /// What is served by now, in one line, or why nothing changed.
    pub result: Result<String, Failure>,
}

/// The services that the proxy holds tables of. Needs the proxy's socket and nothing else.
///
/// # Errors
/// [`Failure`] when the proxy does not answer.
pub async fn served(socket: &Path) -> Result<Vec<Scope>, Failure> {
    let scopes = inspect(socket).await?.into_iter().map(|served| served.scope);
    Ok(scopes.collect::<BTreeSet<_>>().into_iter().collect())
}

/// One part as the proxy serves it at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The service and its environment.
    pub scope: Scope,
    /// The part.
    pub part: PartName,
    /// The proxy's own words about it.
    pub status: wire::Status,
}

/// Everything of ours that the proxy serves.
///
/// # Errors
/// [`Failure`] when the proxy does not answer.
pub async fn inspect(socket: &Path) -> Result<Vec<Served>, Failure> {
    let report: wire::StatusReport =
        Client::new(socket.to_owned()).get(wire::PATH_STATUS, &[]).await?;
    let served = report.services.into_iter().filter_map(|status| {
        let scope = table::scope_of(&status.service)?;
        let part = table::part_of(&scope, &status.service)?;
        Some(Served { scope, part, status })
    });
    Ok(served.collect())
}

/// What the proxy counted since it began, as OpenMetrics text.
///
/// # Errors
/// [`Failure`] when the proxy does not answer.
pub async fn metrics(socket: &Path) -> Result<String, Failure> {
    Client::new(socket.to_owned()).text(wire::PATH_METRICS).await
}

/// Sends every part of a service back to the fallback of its table at once. Needs the proxy's
/// socket and nothing else: no server, no database. `announce` is told each call before it is
/// made.
///
/// # Errors
/// [`Failure`] when the proxy does not answer, or serves nothing of this service. A part that
/// cannot go back is told in its [`Rolled`]; the others went.
pub async fn emergency(
    socket: &Path,
    scope: &Scope,
    actor: &str,
    reason: &str,
    announce: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Rolled>, Failure> {
    let client = Client::new(socket.to_owned());
    let report: wire::StatusReport = client.get(wire::PATH_STATUS, &[]).await?;
    let mut rolled = Vec::new();
    for status in report.services {
        let Some(part) = table::part_of(scope, &status.service) else { continue };
        let request = wire::RollbackRequest {
            service: status.service,
            actor: actor.to_owned(),
            reason: reason.to_owned(),
        };
        let path = wire::PATH_ROLLBACK;
        announce(&format!("POST {path} {} at {}", request.service, socket.display()));
        let mut answer: Result<wire::Ack, Failure> = client.post(path, &request).await;
        // Another proxy took over in this moment: the same order to the one that serves now.
        if answer.as_ref().is_err_and(|failure| failure.code == "TG5040") {
            answer = client.post(path, &request).await;
        }
        let result = answer.map(|ack| {
            let own = || "the table's own shares".to_owned();
            ack.in_override.map_or_else(own, |held| shares_in_words(&held.split))
        });
        rolled.push(Rolled { part, result });
    }
    if rolled.is_empty() {
        let what = format!("the proxy serves nothing of {scope}");
        return Err(Failure::permanent("TG5904", what));
    }
    Ok(rolled)
}

fn shares_in_words(shares: &[wire::Share]) -> String {
    let words: Vec<String> = shares
        .iter()
        .filter_map(|share| {
            let weight = Weight::from_bp(share.weight.basis_points()).ok()?;
            Some(format!("{} {weight}", share.revision))
        })
        .collect();
    words.join(", ")
}
