//! Looks at the world and tells the loop: what runs in each slot, what the data plane serves.
//! It also says to the data plane that the control plane lives. Must never conclude anything.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_core::effect::leases;
use tidegate_core::ids::{PartName, Scope};
use tidegate_core::input::{Observation, SplitRead};
use tidegate_core::state::State;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::ports::{Place, Ports};
use crate::service::Message;

/// How often slots and splits are looked at while a deployment is in flight.
const BUSY: Duration = Duration::from_millis(250);
/// How often while nothing is.
const IDLE: Duration = Duration::from_secs(2);
/// How often leases are renewed: many times within the shortest lease that a plan may ask for.
const RENEWAL: Duration = Duration::from_secs(1);
/// One look at one thing.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// What there is to look at.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sight {
    places: Vec<Place>,
    tables: Vec<PartName>,
    leases: BTreeMap<PartName, u64>,
    busy: bool,
}

/// The lookouts of one service. They end with it.
#[derive(Debug)]
pub(crate) struct Watch {
    scope: Scope,
    /// One channel a lookout: a shared one would wake them in an order that no seed repeats.
    sights: [watch::Sender<Sight>; 3],
    _lookouts: JoinSet<()>,
}

impl Watch {
    pub(crate) fn new(
        scope: Scope,
        ports: Ports,
        epoch: u64,
        mailbox: mpsc::Sender<Message>,
    ) -> Self {
        let [to_slots, to_splits, to_renewals] =
            std::array::from_fn(|_| watch::channel(Sight::default()));
        let mut lookouts = JoinSet::new();
        lookouts.spawn(slots(ports.clone(), mailbox.clone(), to_slots.1));
        lookouts.spawn(splits(scope.clone(), ports.clone(), mailbox, to_splits.1));
        lookouts.spawn(renewals(scope.clone(), ports, epoch, to_renewals.1));
        let sights = [to_slots.0, to_splits.0, to_renewals.0];
        Self { scope, sights, _lookouts: lookouts }
    }

    /// Takes what there is to look at from the state.
    pub(crate) fn look_at(&mut self, state: &State) {
        let places = state.parts.iter().flat_map(|(part, known)| {
            let inhabited = known
                .slots
                .iter()
                .filter(|(_, slot)| slot.want.is_some() || slot.observed.total > 0);
            inhabited.map(|(slot, _)| Place {
                scope: self.scope.clone(),
                part: part.clone(),
                slot: slot.clone(),
            })
        });
        let sight = Sight {
            places: places.collect(),
            tables: state
                .parts
                .iter()
                .filter(|(_, part)| part.table.is_some())
                .map(|(name, _)| name.clone())
                .collect(),
            leases: leases(state),
            busy: state.current.is_some(),
        };
        for lookout in &self.sights {
            lookout.send_if_modified(|known| {
                let differs = *known != sight;
                if differs {
                    known.clone_from(&sight);
                }
                differs
            });
        }
    }
}

/// Waits for the next look: sooner when what there is to look at has changed.
async fn next_look(seen: &mut watch::Receiver<Sight>) -> Option<Sight> {
    let pause = if seen.borrow().busy { BUSY } else { IDLE };
    tokio::select! {
        biased;
        changed = seen.changed() => changed.ok()?,
        () = tokio::time::sleep(pause) => {}
    }
    Some(seen.borrow_and_update().clone())
}

async fn slots(ports: Ports, mailbox: mpsc::Sender<Message>, mut seen: watch::Receiver<Sight>) {
    while let Some(sight) = next_look(&mut seen).await {
        for place in sight.places {
            let asked_at = Instant::now();
            let look = tokio::time::timeout(LOOK_TIMEOUT, ports.runtime.observe(&place)).await;
            let observed = match look {
                Ok(Ok(observed)) => observed,
                Ok(Err(failure)) => {
                    tracing::debug!(%place, %failure, "the slot cannot be seen");
                    continue;
                }
                Err(_elapsed) => continue,
            };
            let observation = Observation::Slot { part: place.part, slot: place.slot, observed };
            if tell(&mailbox, observation, asked_at).await.is_err() {
                return;
            }
        }
    }
}

async fn splits(
    scope: Scope,
    ports: Ports,
    mailbox: mpsc::Sender<Message>,
    mut seen: watch::Receiver<Sight>,
) {
    while let Some(sight) = next_look(&mut seen).await {
        if sight.tables.is_empty() {
            continue;
        }
        let asked_at = Instant::now();
        let look = tokio::time::timeout(LOOK_TIMEOUT, ports.traffic.read(&scope)).await;
        let Ok(Ok(mut served)) = look else { continue };
        for part in sight.tables {
            // A table that the data plane does not know is an answer too: it has none.
            let nothing = SplitRead { generation: None, overridden: None };
            let read = served.remove(&part).unwrap_or(nothing);
            if tell(&mailbox, Observation::Split { part, read }, asked_at).await.is_err() {
                return;
            }
        }
    }
}

async fn renewals(scope: Scope, ports: Ports, epoch: u64, seen: watch::Receiver<Sight>) {
    let mut due = tokio::time::interval(RENEWAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        if seen.has_changed().is_err() {
            return;
        }
        let leases = seen.borrow().leases.clone();
        if leases.is_empty() {
            continue;
        }
        let renewal = ports.traffic.renew(&scope, &leases, epoch);
        if let Ok(Err(failure)) = tokio::time::timeout(LOOK_TIMEOUT, renewal).await {
            tracing::debug!(%scope, %failure, "the lease was not renewed");
        }
    }
}

async fn tell(
    mailbox: &mpsc::Sender<Message>,
    observation: Observation,
    asked_at: Instant,
) -> Result<(), mpsc::error::SendError<Message>> {
    mailbox.send(Message::seen(observation, asked_at)).await
}
