//! Random moves of everybody around the state machine, and a model of the data plane that keeps
//! serving the last table it confirmed. Must never make a move that the real world cannot make.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tidegate_core::approval::Category;
use tidegate_core::digest::Digest;
use tidegate_core::effect::Effect;
use tidegate_core::event::{Event, OverrideKind};
use tidegate_core::ids::{Actor, PartName, SlotName};
use tidegate_core::input::{
    Approval, Command, Input, Observation, Overridden, SplitRead, TaskReport,
};
use tidegate_core::state::{SlotObserved, TableState};
use tidegate_core::verdict::{Call, HoldReason, Outcome, Verdict};
use tidegate_core::weight::{Split, Weight};
use tidegate_core::{next_deadline, outstanding};

use crate::machine::Machine;
use crate::sample::{Shape, deployment};
use crate::world::answer;

/// Answers that a late message is picked from.
const REMEMBERED: usize = 64;

/// One thing that somebody does.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    Deploy {
        supersede: bool,
    },
    Hold {
        minutes: i64,
    },
    Resume,
    Advance {
        step: u32,
    },
    Approve {
        right: bool,
    },
    Withdraw,
    Reject,
    Abort,
    AbortQueued,
    Rollback {
        to: Option<u8>,
    },
    /// One effect is answered well.
    Answer {
        which: u8,
    },
    /// One task ends badly, or one slot comes up in part.
    Bad {
        which: u8,
        no_data: bool,
        retryable: bool,
    },
    /// Everything is answered well until nothing is asked any more.
    Kind,
    /// A message of some time ago comes again.
    Again {
        which: u8,
    },
    /// A slot loses instances, or comes back on other ports.
    Slot {
        which: u8,
        lost: u32,
        port: u32,
    },
    Lost {
        which: u8,
    },
    Override {
        which: u8,
        kind: OverrideKind,
    },
    Judge {
        call: Call,
        before: bool,
    },
    Wait {
        seconds: i64,
    },
    /// Everything goes well until the next deadline has passed.
    Onward,
    Crash,
}

/// Histories of at most so many moves.
pub(crate) fn moves(most: usize) -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec(one(), 1..most)
}

fn one() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => any::<bool>().prop_map(|supersede| Move::Deploy { supersede }),
        2 => (1..90_i64).prop_map(|minutes| Move::Hold { minutes }),
        2 => Just(Move::Resume),
        2 => (0..5_u32).prop_map(|step| Move::Advance { step }),
        2 => any::<bool>().prop_map(|right| Move::Approve { right }),
        1 => Just(Move::Withdraw),
        1 => Just(Move::Reject),
        1 => Just(Move::Abort),
        1 => Just(Move::AbortQueued),
        2 => prop::option::of(any::<u8>()).prop_map(|to| Move::Rollback { to }),
        12 => any::<u8>().prop_map(|which| Move::Answer { which }),
        4 => (any::<u8>(), any::<bool>(), any::<bool>())
            .prop_map(|(which, no_data, retryable)| Move::Bad { which, no_data, retryable }),
        12 => Just(Move::Kind),
        4 => any::<u8>().prop_map(|which| Move::Again { which }),
        4 => (any::<u8>(), 0..4_u32, 0..3_u32)
            .prop_map(|(which, lost, port)| Move::Slot { which, lost, port }),
        2 => any::<u8>().prop_map(|which| Move::Lost { which }),
        2 => (any::<u8>(), kinds()).prop_map(|(which, kind)| Move::Override { which, kind }),
        12 => (calls(), any::<bool>()).prop_map(|(call, before)| Move::Judge { call, before }),
        10 => (0..4_000_i64).prop_map(|seconds| Move::Wait { seconds }),
        24 => Just(Move::Onward),
        1 => Just(Move::Crash),
    ]
}

fn kinds() -> impl Strategy<Value = OverrideKind> {
    prop_oneof![Just(OverrideKind::Lease), Just(OverrideKind::Brake), Just(OverrideKind::Emergency),]
}

fn calls() -> impl Strategy<Value = Call> {
    prop_oneof![
        12 => Just(Call::Advance),
        1 => Just(Call::Rollback),
        2 => Just(Call::Brake),
        1 => Just(Call::Hold(HoldReason::InsufficientEvidence)),
        1 => Just(Call::Hold(HoldReason::BetweenLimits)),
        1 => Just(Call::Hold(HoldReason::Environment)),
        1 => Just(Call::Hold(HoldReason::Telemetry)),
    ]
}

/// What the data plane does: the table that it confirmed last, and its own act upon it.
#[derive(Debug, Clone, Default)]
struct Proxy {
    served: Option<TableState>,
    acted: Option<Overridden>,
    sequence: u64,
}

/// A machine in the middle of a history.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) machine: Machine,
    pub(crate) start: Timestamp,
    shape: Shape,
    proxies: BTreeMap<PartName, Proxy>,
    asked: u32,
    remembered: Vec<Observation>,
}

impl Play {
    /// Begins with two releases that became live, so that there is something to lose.
    pub(crate) fn new(shape: Shape) -> Self {
        let machine = Machine::new();
        let start = machine.now;
        let mut play = Self {
            machine,
            start,
            shape: Shape { required: Default::default(), approve: None, ..shape.clone() },
            proxies: BTreeMap::new(),
            asked: 0,
            remembered: Vec::new(),
        };
        for _ in 0..2 {
            play.make(&Move::Deploy { supersede: false });
            for _ in 0..8 {
                play.make(&Move::Kind);
                play.make(&Move::Judge { call: Call::Advance, before: false });
                play.make(&Move::Wait { seconds: 600 });
            }
            play.make(&Move::Kind);
        }
        assert!(play.machine.state.current.is_none(), "{:?}", play.machine.complaints);
        play.shape = shape;
        play
    }

    pub(crate) fn make(&mut self, one: &Move) {
        match one {
            Move::Answer { which } => {
                let effects = outstanding(&self.machine.state);
                if let Some(effect) = pick(&effects, *which) {
                    let observation = self.answer(effect);
                    self.tell(observation);
                }
            }
            Move::Bad { which, no_data, retryable } => self.bad(*which, *no_data, *retryable),
            Move::Kind => self.kind(),
            Move::Again { which } => {
                if let Some(observation) = pick(&self.remembered, *which).cloned() {
                    // The data plane never answers with what was: it is asked when it is read.
                    if !matches!(observation, Observation::Split { .. }) {
                        self.put(&Input::Observation(observation));
                    }
                }
            }
            Move::Slot { which, lost, port } => self.slot(*which, *lost, *port),
            Move::Lost { which } => self.lost(*which),
            Move::Override { which, kind } => self.override_split(*which, *kind),
            Move::Judge { call, before } => self.judge(*call, *before),
            Move::Wait { seconds } => {
                self.machine.wait(SignedDuration::from_secs(*seconds), |_| Vec::new());
                self.look();
            }
            Move::Onward => {
                self.kind();
                self.judge(Call::Advance, false);
                let next = next_deadline(&self.machine.state).map(|next| next.at);
                let left = next.map(|at| at.duration_since(self.machine.now));
                self.machine
                    .wait(left.unwrap_or_default().max(SignedDuration::ZERO), |_| Vec::new());
                self.look();
                self.kind();
            }
            Move::Crash => {
                let folded = self.machine.refold();
                assert_eq!(folded, self.machine.state);
                self.machine.state = folded;
            }
            _ => self.person(one),
        }
    }

    fn put(&mut self, input: &Input) {
        if let Ok(events) = self.machine.put(input) {
            let confirmed = events.iter().filter_map(|event| match &event.event {
                Event::SplitConfirmed { part, .. } => Some(part.clone()),
                _ => None,
            });
            for part in confirmed {
                self.confirmed(&part);
            }
        }
        self.look();
    }

    fn tell(&mut self, observation: Observation) {
        self.remembered.push(observation.clone());
        if self.remembered.len() > REMEMBERED {
            self.remembered.remove(0);
        }
        self.put(&Input::Observation(observation));
    }

    /// The data plane answers for its table, everybody else as the kind world does.
    fn answer(&mut self, effect: &Effect) -> Observation {
        let Effect::EnsureSplit { table } = effect else {
            return answer(&self.machine.state, effect);
        };
        let plane = self.proxies.entry(table.part.clone()).or_default();
        let answered = plane
            .acted
            .as_ref()
            .filter(|acted| table.adopted_override.is_none_or(|known| known < acted.sequence));
        let served = plane.served.as_ref().map(|served| served.generation);
        let read = match answered {
            // It keeps to its act until a table knows of it.
            Some(acted) => SplitRead { generation: served, overridden: Some(acted.clone()) },
            None => {
                plane.acted = None;
                plane.served =
                    self.machine.state.parts.get(&table.part).and_then(|p| p.table.clone());
                SplitRead { generation: Some(table.generation), overridden: None }
            }
        };
        Observation::Split { part: table.part.clone(), read }
    }

    fn confirmed(&mut self, part: &PartName) {
        let table = self.machine.state.parts.get(part).and_then(|p| p.table.clone());
        let plane = self.proxies.entry(part.clone()).or_default();
        if table.as_ref().is_some_and(|table| table.confirmed) {
            plane.served = table;
        }
    }

    fn kind(&mut self) {
        for _ in 0..100 {
            let before = self.machine.log.len();
            for effect in outstanding(&self.machine.state) {
                let observation = self.answer(&effect);
                self.tell(observation);
            }
            if self.machine.log.len() == before {
                return;
            }
        }
        self.machine.complaints.push("a kind world is asked in a circle".to_owned());
    }

    fn bad(&mut self, which: u8, no_data: bool, retryable: bool) {
        let effects = outstanding(&self.machine.state);
        let observation = match pick(&effects, which) {
            Some(Effect::Run { deployment, task, attempt, .. }) => Observation::Task {
                deployment: deployment.clone(),
                task: task.clone(),
                attempt: *attempt,
                report: TaskReport {
                    outcome: if no_data { Outcome::NoData } else { Outcome::Fail },
                    summary: "bad".to_owned(),
                    retryable,
                    made: None,
                },
            },
            Some(Effect::EnsureSlot { part, slot, tenant: Some(tenant) }) => {
                let observed = SlotObserved {
                    revision: Some(tenant.revision.label()),
                    ready: 0,
                    total: tenant.instances,
                    endpoints: Vec::new(),
                    problem: Some("exit 1".to_owned()),
                };
                Observation::Slot { part: part.clone(), slot: slot.clone(), observed }
            }
            _ => return,
        };
        self.tell(observation);
    }

    /// A slot that was seen loses instances or moves to other ports.
    fn slot(&mut self, which: u8, lost: u32, port: u32) {
        let slots: Vec<(PartName, SlotName)> = self
            .machine
            .state
            .parts
            .iter()
            .flat_map(|(name, part)| part.slots.keys().map(|slot| (name.clone(), slot.clone())))
            .collect();
        let Some((part, slot)) = pick(&slots, which).cloned() else {
            return;
        };
        let known = self.machine.state.parts.get(&part).and_then(|p| p.slots.get(&slot));
        let Some(mut observed) = known.map(|known| known.observed.clone()) else {
            return;
        };
        observed.ready = observed.ready.saturating_sub(lost);
        let base = 9_500 + port * 10;
        observed.endpoints =
            (0..observed.ready).map(|n| format!("127.0.0.1:{}", base + n)).collect();
        self.tell(Observation::Slot { part, slot, observed });
    }

    fn lost(&mut self, which: u8) {
        let parts: Vec<PartName> = self.proxies.keys().cloned().collect();
        if let Some(part) = pick(&parts, which).cloned() {
            let read = SplitRead { generation: None, overridden: None };
            self.tell(Observation::Split { part, read });
        }
    }

    /// The data plane goes where its table tells it to go back to.
    fn override_split(&mut self, which: u8, kind: OverrideKind) {
        let parts: Vec<PartName> = self.proxies.keys().cloned().collect();
        let Some(part) = pick(&parts, which).cloned() else {
            return;
        };
        let Some(plane) = self.proxies.get_mut(&part) else {
            return;
        };
        let Some(served) = plane.served.as_ref() else {
            return;
        };
        let Some(split) = served.fallback.clone().filter(|_| plane.acted.is_none()) else {
            return;
        };
        plane.sequence += 1;
        let acted = Overridden {
            sequence: plane.sequence,
            kind,
            actor: "kofi".to_owned(),
            why: "it looked bad from here".to_owned(),
            split: Some(split),
        };
        plane.acted = Some(acted.clone());
        let read = SplitRead { generation: Some(served.generation), overridden: Some(acted) };
        self.tell(Observation::Split { part, read });
    }

    fn judge(&mut self, call: Call, before: bool) {
        let Some(current) = &self.machine.state.current else {
            return;
        };
        let Some(step) = current.judged_step() else {
            return;
        };
        let verdict = Verdict::plain(call, "the judge's sentence", Vec::new());
        let step = if before { step.saturating_sub(1) } else { step };
        self.tell(Observation::Verdict { deployment: current.id.clone(), step, verdict });
    }

    fn person(&mut self, one: &Move) {
        let current = self.machine.state.current.as_ref().map(|current| current.id.clone());
        let named = current.unwrap_or_else(|| deployment("d-0"));
        let reason = "as asked".to_owned();
        let command = match one {
            Move::Deploy { supersede } => {
                self.asked += 1;
                let version = format!("v{}", self.asked);
                Command::Deploy {
                    deployment: deployment(&format!("d-{}", self.asked)),
                    plan: Box::new(self.shape.plan(&version, &version)),
                    supersede: *supersede,
                    despite_quarantine: false,
                }
            }
            Move::Hold { minutes } => Command::Hold {
                deployment: named,
                reason,
                lasts: Some(SignedDuration::from_mins(*minutes)),
            },
            Move::Resume => Command::Resume { deployment: named },
            Move::Advance { step } => Command::Advance { deployment: named, step: *step },
            Move::Approve { right } => {
                let current = self.machine.state.current.as_ref();
                let binding = current.and_then(|current| current.binding.clone());
                let binding = binding.filter(|_| *right).unwrap_or_else(|| Digest::of(b"wrong"));
                let facts = crate::world::person("mira");
                let approval = Box::new(Approval { facts, ..Approval::default() });
                Command::Approve { deployment: named, binding, approval }
            }
            Move::Withdraw => Command::Withdraw { deployment: named, reason },
            Move::Reject => {
                Command::Reject { deployment: named, category: Category::Tests, reason }
            }
            Move::Abort => Command::Abort { deployment: named, reason },
            Move::AbortQueued => match &self.machine.state.queued {
                Some(queued) => Command::Abort { deployment: queued.deployment.clone(), reason },
                None => return,
            },
            Move::Rollback { to } => {
                self.asked += 1;
                let to = to.map(|to| format!("v{}", 1 + u32::from(to) % self.asked));
                Command::Rollback {
                    deployment: deployment(&format!("d-{}", self.asked)),
                    to,
                    reason,
                }
            }
            _ => return,
        };
        // Who starts a deployment cannot approve it.
        let approves = matches!(one, Move::Approve { .. } | Move::Withdraw);
        let actor = Actor::Person(if approves { "mira" } else { "ada" }.to_owned());
        self.put(&Input::Command { actor, key: None, command });
    }

    /// What must hold between the state and the world around it.
    fn look(&mut self) {
        let mut found = Vec::new();
        for (name, plane) in &self.proxies {
            let Some(part) = self.machine.state.parts.get(name) else {
                continue;
            };
            let acted = plane.acted.as_ref().and_then(|acted| acted.split.as_ref());
            let served = plane.served.as_ref();
            let reachable = served.and_then(|table| table.split.as_ref());
            let splits = reachable.into_iter().chain(acted);
            let splits = splits.chain(served.and_then(|table| table.fallback.as_ref()));
            for slot in splits.flat_map(used) {
                let known = served.iter().flat_map(|table| &table.backends);
                let backend = known.into_iter().find(|backend| backend.slot == slot);
                let want = part.slots.get(&slot).and_then(|slot| slot.want.as_ref());
                let kept = want.is_some_and(|tenant| {
                    tenant.instances > 0
                        && backend.is_none_or(|b| b.revision == tenant.revision.label())
                });
                if !kept {
                    found.push(format!("{name}: the data plane may use {slot}, which was taken"));
                }
            }
        }
        found.extend(self.short_of_workers());
        self.machine.complaints.extend(found);
    }

    /// A worker that was live is never wanted with fewer instances, over both slots, than it has.
    fn short_of_workers(&self) -> Vec<String> {
        let live = self
            .machine
            .state
            .parts
            .iter()
            .filter(|(_, part)| part.live.is_some() && part.table.is_none());
        live.filter_map(|(name, part)| {
            let tenants = part.slots.values().filter_map(|slot| slot.want.as_ref());
            let wanted: u32 = tenants.map(|tenant| tenant.instances).sum();
            (wanted < self.shape.instances).then(|| format!("only {wanted} of {name} are wanted"))
        })
        .collect()
    }
}

fn used(split: &Split) -> Vec<SlotName> {
    let shares = split.shares().filter(|(_, weight)| *weight > Weight::ZERO);
    shares.map(|(slot, _)| slot.clone()).collect()
}

fn pick<T>(items: &[T], which: u8) -> Option<&T> {
    (!items.is_empty()).then(|| &items[usize::from(which) % items.len()])
}
