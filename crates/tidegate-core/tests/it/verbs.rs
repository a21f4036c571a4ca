//! The words a script can say. Only this file turns text into inputs of the core.
//! Must never decide what an answer should be: a script says it, or the kind world does.

use jiff::Timestamp;
use tidegate_core::approval::{Category, Credential, Facts, gate};
use tidegate_core::event::{Event, OverrideKind, Recorded};
use tidegate_core::ids::{Actor, DeploymentId, PartName, StepName};
use tidegate_core::input::{
    Approval, Command, Input, Observation, Overridden, SplitRead, TaskReport,
};
use tidegate_core::plan::Metric;
use tidegate_core::state::TaskId;
use tidegate_core::verdict::{Call, HoldReason, Outcome, Reading, Verdict, Zone};
use tidegate_core::weight::{Split, Weight};

use crate::machine::Machine;
use crate::render;
use crate::sample::{Shape, deployment, duration, number, part, slot};
use crate::world::{World, artifact, made_of, person, running};

/// A machine, the world around it, and what the script has said so far.
pub(crate) struct Script {
    machine: Machine,
    world: World,
    shape: Shape,
    /// Where the offsets of the transcript begin.
    start: Timestamp,
    /// Deployments that were asked for and accepted.
    asked: u32,
    /// The last override that the proxy made.
    overrides: u64,
}

/// One line, split into words; quoted text is one word, `--name value` is taken out.
pub(crate) struct Words {
    words: Vec<String>,
    next: usize,
}

impl Words {
    fn of(line: &str) -> Self {
        let mut words = Vec::new();
        for (at, piece) in line.split('"').enumerate() {
            if at % 2 == 1 {
                words.push(piece.to_owned());
            } else {
                words.extend(piece.split_whitespace().map(str::to_owned));
            }
        }
        Self { words, next: 0 }
    }

    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.next).cloned();
        self.next += 1;
        word
    }

    pub(crate) fn need(&mut self, what: &str) -> Result<String, String> {
        self.next().ok_or_else(|| format!("say {what}"))
    }

    pub(crate) fn or(&mut self, default: &str) -> String {
        self.next().unwrap_or_else(|| default.to_owned())
    }

    /// Takes `--name` out.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.words.iter().position(|word| word == name);
        at.map(|at| self.words.remove(at)).is_some()
    }

    /// Takes `--name value` out.
    pub(crate) fn option(&mut self, name: &str) -> Option<String> {
        let at = self.words.iter().position(|word| word == name)?;
        self.words.remove(at);
        (at < self.words.len()).then(|| self.words.remove(at))
    }

    fn rest(&mut self) -> Vec<String> {
        let rest = self.words.get(self.next..).unwrap_or_default().to_vec();
        self.next = self.words.len();
        rest
    }
}

impl Script {
    pub(crate) fn new() -> Self {
        let machine = Machine::new();
        let start = machine.now;
        Self {
            machine,
            world: World::default(),
            shape: Shape::default(),
            start,
            asked: 0,
            overrides: 0,
        }
    }

    /// Runs one command; the lines are its transcript.
    pub(crate) fn run(&mut self, line: &str) -> Vec<String> {
        let mut words = Words::of(line);
        let told = self.verb(&mut words);
        let left = words.rest();
        match told {
            Ok(_) if !left.is_empty() => self.misspoken(&format!("what is `{}`?", left.join(" "))),
            Ok(lines) => lines,
            Err(why) => self.misspoken(&why),
        }
    }

    /// What was found since the last time it was asked.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.machine.complaints)
    }

    fn misspoken(&mut self, why: &str) -> Vec<String> {
        self.machine.complaints.push(why.to_owned());
        vec![format!("?? {why}")]
    }

    fn verb(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let (state, now) = (&self.machine.state, self.machine.now);
        let verb = words.need("a verb")?;
        match verb.as_str() {
            "plan" => self.plan(words),
            "given" => self.given(words),
            "world" => self.set_world(words),
            "directory" => self.directory(words),
            "standing" => Ok(render::standing(state, now)),
            "tick" => self.tick(words),
            "jump" => self.jump(words),
            "crash" => self.crash(),
            "break" => self.fault(words),
            "show" => Ok(render::state(state, self.start, now)),
            "why" => Ok(render::why(state, now)),
            "effects" => Ok(render::effects(state)),
            "deadline" => Ok(render::deadline(state, now)),
            "metric" | "verdict" | "slot" | "confirm" | "lost" | "refuse" | "task" | "override"
            | "found" | "backup" | "message" => {
                let observation = self.observation(&verb, words)?;
                Ok(self.put(&Input::Observation(observation)))
            }
            _ => self.person(&verb, words),
        }
    }

    /// Decides, lets the world answer, and renders what followed.
    fn put(&mut self, input: &Input) -> Vec<String> {
        match self.machine.put(input) {
            Ok(mut events) => {
                events.extend(self.world.answer(&mut self.machine));
                self.lines(&events)
            }
            Err(rejection) => vec![format!("! {} {rejection}", rejection.code())],
        }
    }

    fn lines(&self, events: &[Recorded]) -> Vec<String> {
        if events.is_empty() {
            return vec!["-".to_owned()];
        }
        events.iter().map(|event| render::event(event, self.start)).collect()
    }

    fn plan(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        for word in words.rest() {
            let (key, value) = word.split_once('=').ok_or("a plan is key=value")?;
            self.shape.set(key, value)?;
        }
        Ok(Vec::new())
    }

    /// Brings versions live, one after the other, without a word.
    fn given(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let kind = World::kind();
        let limits = self.shape.clone();
        self.shape.asks_nobody();
        let versions = words.rest();
        for version in &versions {
            let mut one = Words::of(version);
            let input = self.deploy(&mut one)?;
            self.machine.put(&input).map_err(|rejection| rejection.to_string())?;
            self.asked += 1;
            let day = duration("24h")?;
            self.machine.wait(day, |machine| kind.answer(machine));
            if self.machine.state.current.is_some() {
                return Err(format!("{version} did not become live"));
            }
        }
        self.shape = limits;
        self.start = self.machine.now;
        Ok(render::state(&self.machine.state, self.start, self.machine.now))
    }

    fn set_world(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        match words.need("auto, judge or silent")?.as_str() {
            "auto" => self.world.auto = words.or("on") == "on",
            "judge" => {
                let word = words.or("off");
                self.world.judge =
                    if word == "off" { None } else { Some(call(&word, &words.or(""))?) };
            }
            "silent" => self.world.silent = words.rest(),
            other => return Err(format!("the world has no {other}")),
        }
        let events = self.world.answer(&mut self.machine);
        Ok(if events.is_empty() { Vec::new() } else { self.lines(&events) })
    }

    fn tick(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let length = duration(&words.rest().join(" "))?;
        let world = self.world.clone();
        let events = self.machine.wait(length, |machine| world.answer(machine));
        Ok(self.lines(&events))
    }

    /// The clock itself moves, `jump 1h` or `jump back 1h`: nothing was waited for in between.
    fn jump(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let back = words.flag("back");
        let length = duration(&words.rest().join(" "))?;
        let length = if back { -length } else { length };
        self.machine.now = self.machine.now.checked_add(length).map_err(|e| e.to_string())?;
        Ok(self.put(&Input::Elapsed))
    }

    /// Throws the state away and folds the journal again.
    fn crash(&mut self) -> Result<Vec<String>, String> {
        let folded = self.machine.refold();
        if folded != self.machine.state {
            return Err("the journal gives another state".to_owned());
        }
        self.machine.state = folded;
        Ok(vec!["the journal gives the same state".to_owned()])
    }

    /// An invariant broke, as the engine or the core itself would have recorded it.
    fn fault(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let event = Recorded {
            seq: self.machine.state.seq + 1,
            at: self.machine.now,
            actor: Actor::Tidegate,
            key: None,
            event: Event::Faulted { code: words.need("a code")?, what: words.need("what")? },
        };
        self.machine.fold(event.clone());
        Ok(self.lines(&[event]))
    }

    /// What a person says: `[by kofi] [--key k1] deploy v2`.
    fn person(&mut self, verb: &str, words: &mut Words) -> Result<Vec<String>, String> {
        let (actor, verb) = match verb {
            "by" => (words.need("who")?, words.need("a command")?),
            verb => ("ada".to_owned(), verb.to_owned()),
        };
        let key = words.option("--key");
        let before = self.machine.log.len();
        let input = match verb.as_str() {
            "deploy" => self.deploy(words)?,
            _ => self.command(&verb, &actor, words)?,
        };
        let Input::Command { command, .. } = input else {
            return Err("not a command".to_owned());
        };
        let actor = match actor.strip_prefix("robot:") {
            Some(robot) => Actor::Robot(robot.to_owned()),
            None => Actor::Person(actor),
        };
        let input = Input::Command { actor, key, command };
        let lines = self.put(&input);
        let began = self.machine.log[before..].iter().any(|event| {
            let seen = matches!(event.event, Event::DeploymentStarted { .. });
            seen || matches!(event.event, Event::DeploymentQueued { .. })
        });
        self.asked += u32::from(began);
        Ok(lines)
    }

    fn deploy(&self, words: &mut Words) -> Result<Input, String> {
        let (supersede, despite) = (words.flag("--supersede"), words.flag("--despite-quarantine"));
        let commit = words.option("--commit");
        let version = words.need("a version")?;
        let mut plan = self.shape.plan(&version, &commit.unwrap_or_else(|| version.clone()));
        if let Some(change) = &mut plan.change {
            let live = gate::live_commit(&self.machine.state).map(str::to_owned);
            change.base = change.base.take().or(live);
        }
        let command = Command::Deploy {
            deployment: self.next_id(),
            plan: Box::new(plan),
            supersede,
            despite_quarantine: despite,
        };
        Ok(Input::Command { actor: Actor::Person("ada".to_owned()), key: None, command })
    }

    fn next_id(&self) -> DeploymentId {
        deployment(&format!("d-{}", self.asked + 1))
    }

    /// The deployment that is named with `--of`, or the one in flight.
    fn named(&self, words: &mut Words) -> DeploymentId {
        let named = words.option("--of").map(|id| deployment(&id));
        let current = self.machine.state.current.as_ref().map(|current| current.id.clone());
        named.or(current).unwrap_or_else(|| deployment("d-0"))
    }

    fn command(&self, verb: &str, actor: &str, words: &mut Words) -> Result<Input, String> {
        let named = self.named(words);
        let command = match verb {
            "hold" => {
                let lasts = words.option("--for").map(|text| duration(&text)).transpose()?;
                Command::Hold { deployment: named, reason: words.or("wait for me"), lasts }
            }
            "resume" => Command::Resume { deployment: named },
            "advance" => {
                let step: u32 = number(&words.need("a step")?)?;
                Command::Advance { deployment: named, step: step.saturating_sub(1) }
            }
            "approve" | "withdraw" | "attest" | "reject" => {
                return self.opinion(verb, actor, named, words);
            }
            "abort" => Command::Abort { deployment: named, reason: words.or("enough") },
            "rollback" => {
                let to = words.option("--to");
                Command::Rollback { deployment: self.next_id(), to, reason: words.or("it is bad") }
            }
            "copied" => crate::backups::made(words, self.machine.now)?,
            "done" => crate::duties::done(words)?,
            "keep" => crate::backups::hold(words)?,
            "settle" => crate::custom::settle(named, words)?,
            "redeliver" | "release" | "drop" => crate::telling::handle(verb, words)?,
            "incident" => crate::telling::incident(words)?,
            "evidence" => crate::gates::evidence(&words.need("a name")?, &words.need("a version")?),
            "waive" => {
                let lasts = duration(&words.option("--for").unwrap_or_else(|| "1h".to_owned()))?;
                let until = self.machine.now.checked_add(lasts).map_err(|e| e.to_string())?;
                let (gate, version) = (words.need("a gate")?, words.need("a version")?);
                crate::gates::waive(gate, &version, words.or("a false alarm"), until)
            }
            "freeze" => {
                let lasts = duration(&words.option("--for").unwrap_or_else(|| "1h".to_owned()))?;
                let until = self.machine.now.checked_add(lasts).map_err(|e| e.to_string())?;
                Command::Freeze {
                    name: words.need("a name")?,
                    reason: words.or(""),
                    from: None,
                    until,
                }
            }
            "thaw" => Command::Thaw { name: words.need("a name")?, reason: words.or("it is over") },
            other => return Err(format!("nobody knows the verb {other}")),
        };
        Ok(Input::Command { actor: Actor::Tidegate, key: None, command })
    }

    /// `approve v2 [--hold-at 50] [--note "..."]`, `withdraw`, `attest "runbooks"`, `reject "why"`.
    fn opinion(
        &self,
        verb: &str,
        actor: &str,
        named: DeploymentId,
        words: &mut Words,
    ) -> Result<Input, String> {
        let human = !actor.starts_with("robot:");
        let facts = self.world.facts(actor).map(|facts| Facts { human, ..facts });
        let facts = facts.unwrap_or_default();
        let note = words.option("--note");
        let command = match verb {
            "approve" => {
                let share =
                    words.option("--hold-at").map(|text| number::<u16>(&text)).transpose()?;
                let condition = share.and_then(|percent| Weight::from_bp(percent * 100).ok());
                let version = words.need("the version whose D is approved")?;
                let binding = made_of(&version, &artifact(&version)).binding;
                let credential = Credential::default();
                let approval = Box::new(Approval { facts, credential, condition, note });
                Command::Approve { deployment: named, binding, approval }
            }
            "withdraw" => {
                Command::Withdraw { deployment: named, reason: words.or("on reflection") }
            }
            "attest" => Command::Attest {
                deployment: named,
                item: words.need("an item")?,
                note,
                expires: None,
                facts,
            },
            _ => {
                let word = words.option("--category").unwrap_or_else(|| "other".to_owned());
                let category = Category::ALL.into_iter().find(|known| known.word() == word);
                let category = category.ok_or("no such category")?;
                Command::Reject { deployment: named, category, reason: words.or("not today") }
            }
        };
        Ok(Input::Command { actor: Actor::Tidegate, key: None, command })
    }

    /// `directory mira groups=security+leads names=@m,m@x.org same-as=mia entitled=no human=no`,
    /// `directory mira gone`.
    fn directory(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let name = words.need("an account")?;
        let mut facts = Some(person(&name));
        for word in words.rest() {
            let Some((key, value)) = word.split_once('=') else {
                facts = None;
                continue;
            };
            let Some(facts) = facts.as_mut() else { continue };
            let set = || value.split('+').map(str::to_owned).collect();
            match key {
                "groups" => facts.groups = set(),
                "names" => facts.names = set(),
                "same-as" => value.clone_into(&mut facts.person),
                "entitled" => facts.entitled = value == "yes",
                "human" => facts.human = value == "yes",
                _ => return Err(format!("the directory knows no {key}")),
            }
        }
        self.world.directory.insert(name, facts);
        let events = self.world.answer(&mut self.machine);
        Ok(if events.is_empty() { Vec::new() } else { self.lines(&events) })
    }

    fn observation(&mut self, verb: &str, words: &mut Words) -> Result<Observation, String> {
        match verb {
            "metric" | "verdict" => self.judged(verb, words),
            "slot" => self.slot(words),
            "task" => self.task(words),
            "override" => self.overridden(words),
            "backup" => crate::backups::reported(self.named(words), words, &self.machine),
            "message" => crate::telling::observation(words),
            "found" => {
                let said = words.rest();
                crate::gates::found(self.named(words), &said)
            }
            "refuse" => {
                let part = part(&words.need("a part")?);
                let known = self.machine.state.parts.get(&part).and_then(|p| p.table.as_ref());
                let generation = known.map_or(0, |table| table.generation);
                let other = words.option("--generation").map(|text| number(&text)).transpose()?;
                let generation = other.unwrap_or(generation);
                Ok(Observation::SplitRefused { part, generation, why: words.need("why")? })
            }
            _ => {
                let name = part(&words.or("web"));
                let wanted = self.machine.state.parts.get(&name).and_then(|p| p.table.as_ref());
                let wanted = wanted.map(|table| table.generation).filter(|_| verb == "confirm");
                let other = words.option("--generation").map(|text| number(&text)).transpose()?;
                let read = SplitRead { generation: other.or(wanted), overridden: None };
                Ok(Observation::Split { part: name, read })
            }
        }
    }

    /// `verdict hold between "why"` or `metric errors rollback "errors 4.9 %"`.
    fn judged(&self, verb: &str, words: &mut Words) -> Result<Observation, String> {
        let named = self.named(words);
        let step = words.option("--step").map(|step| number::<u32>(&step)).transpose()?;
        let running = self.machine.state.current.as_ref().and_then(|c| c.judged_step());
        let step = step.map(|step| step.saturating_sub(1)).or(running).unwrap_or(0);
        let verdict = if verb == "metric" {
            let metric = words.need("a metric")?;
            let metric = Metric::ALL.into_iter().find(|known| known.name() == metric);
            let (call, zone) = match words.need("a zone")?.as_str() {
                "advance" => (Call::Advance, Zone::Advance),
                "hold" => (Call::Hold(HoldReason::BetweenLimits), Zone::Hold),
                "rollback" => (Call::Rollback, Zone::Rollback),
                "no-data" => (Call::Hold(HoldReason::Telemetry), Zone::NoData),
                other => return Err(format!("there is no zone {other}")),
            };
            let reading = Reading {
                metric: metric.ok_or("no such metric")?,
                live: None,
                candidate: None,
                zone,
                sample: 280,
                needed: 300,
                strength: None,
                due_in_ms: None,
            };
            Verdict::plain(call, words.need("the judge's sentence")?, vec![reading])
        } else {
            let word = words.need("a call")?;
            let reason = if word == "hold" { words.need("a reason")? } else { String::new() };
            let call = call(&word, &reason)?;
            let sentence = words.or(match call {
                Call::Advance => "everything is good",
                Call::Hold(reason) => reason.words(),
                Call::Brake => "it looks bad",
                Call::Rollback => "it is bad",
            });
            Verdict::plain(call, sentence, Vec::new())
        };
        Ok(Observation::Verdict { deployment: named, step, verdict })
    }

    /// `slot web south 1/2 [--revision v1] [--port 9900] [--problem "exit 1"]`.
    fn slot(&self, words: &mut Words) -> Result<Observation, String> {
        let (problem, port) = (words.option("--problem"), words.option("--port"));
        let revision = words.option("--revision");
        let (part, slot) = (part(&words.need("a part")?), slot(&words.need("a slot")?));
        let counts = words.need("ready/total")?;
        let (ready, total) = counts.split_once('/').ok_or("say ready/total")?;
        let (ready, total) = (number(ready)?, number(total)?);
        let state = &self.machine.state;
        let known = state.parts.get(&part).and_then(|p| p.slots.get(&slot));
        let mut observed = match known.and_then(|known| known.want.as_ref()) {
            Some(tenant) => running(state, &part, &slot, tenant, ready),
            None => tidegate_core::state::SlotObserved { ready, ..Default::default() },
        };
        observed.total = total;
        observed.problem = problem;
        if total == 0 {
            observed.revision = None;
        }
        if let Some(version) = revision {
            observed.revision = Some(format!("{version}-{:.8}", artifact(&version).as_str()));
        }
        if let Some(port) = port {
            let first: u32 = number(&port)?;
            observed.endpoints = (0..ready).map(|n| format!("127.0.0.1:{}", first + n)).collect();
        }
        Ok(Observation::Slot { part, slot, observed })
    }

    /// `task smoke:web fail "step 3" [--retry] [--attempt 2]`.
    fn task(&self, words: &mut Words) -> Result<Observation, String> {
        let (named, retryable) = (self.named(words), words.flag("--retry"));
        let attempt = words.option("--attempt").map(|text| number(&text)).transpose()?;
        let task = task(&words.need("a task")?)?;
        let outcome = match words.need("an outcome")?.as_str() {
            "pass" => Outcome::Pass,
            "fail" => Outcome::Fail,
            "no-data" => Outcome::NoData,
            "waived" => Outcome::Waived,
            other => return Err(format!("there is no outcome {other}")),
        };
        let current = self.machine.state.current.as_ref();
        let running = current.and_then(|current| current.tasks.get(&task)).map(|task| task.attempt);
        let version = current.map(|current| current.plan.release.version.clone());
        let built = words.option("--artifact").or(version).filter(|_| task == TaskId::Prepare);
        let made = built.map(|version| made_of(&version, &artifact(&version)));
        if let TaskId::Custom(step) = task {
            let attempt = attempt.or(running).unwrap_or(1);
            return crate::custom::report(named, step, attempt, outcome, retryable, words);
        }
        let summary = words.or(outcome.word());
        let report = TaskReport { outcome, summary, retryable, made };
        let attempt = attempt.or(running).unwrap_or(1);
        Ok(Observation::Task { deployment: named, task, attempt, report })
    }

    /// `override emergency by kofi [--part api] [--to north|half|503] [--sequence 1] ["why"]`.
    fn overridden(&mut self, words: &mut Words) -> Result<Observation, String> {
        let (to, sequence) = (words.option("--to"), words.option("--sequence"));
        let kind = match words.need("lease, brake or emergency")?.as_str() {
            "lease" => OverrideKind::Lease,
            "brake" => OverrideKind::Brake,
            "emergency" => OverrideKind::Emergency,
            other => return Err(format!("there is no override {other}")),
        };
        let by = words.words.iter().position(|word| word == "by").map(|at| {
            words.words.remove(at);
            words.words.remove(at)
        });
        let name: PartName = part(&words.option("--part").unwrap_or_else(|| "web".to_owned()));
        let why = words.or("errors at the proxy");
        let known = self.machine.state.parts.get(&name);
        let fallback = known.and_then(|p| p.table.as_ref()).and_then(|t| t.fallback.clone());
        let split = match to {
            Some(text) if text == "503" => None,
            Some(text) if text == "half" => {
                let half = Weight::from_bp(5_000).unwrap();
                Some(Split::between(&slot("north"), &slot("south"), half))
            }
            Some(text) => Some(Split::all_to(slot(&text))),
            None => fallback,
        };
        self.overrides += 1;
        let sequence = sequence.map(|text| number(&text)).transpose()?.unwrap_or(self.overrides);
        let actor = by.unwrap_or_else(|| "proxy".to_owned());
        let overridden = Some(Overridden { sequence, kind, actor, why, split });
        Ok(Observation::Split { part: name, read: SplitRead { generation: None, overridden } })
    }
}

fn call(word: &str, reason: &str) -> Result<Call, String> {
    Ok(match (word, reason) {
        ("advance", _) => Call::Advance,
        ("brake", _) => Call::Brake,
        ("rollback", _) => Call::Rollback,
        ("hold", "insufficient") => Call::Hold(HoldReason::InsufficientEvidence),
        ("hold", "between") => Call::Hold(HoldReason::BetweenLimits),
        ("hold", "environment") => Call::Hold(HoldReason::Environment),
        ("hold", "telemetry") => Call::Hold(HoldReason::Telemetry),
        _ => return Err(format!("there is no advice {word} {reason}")),
    })
}

fn task(word: &str) -> Result<TaskId, String> {
    Ok(match word.split_once(':') {
        Some(("health", name)) => TaskId::Health(part(name)),
        Some(("smoke", name)) => TaskId::Smoke(part(name)),
        Some(("custom", name)) => TaskId::Custom(StepName::new(name).unwrap()),
        Some(("address", name)) => TaskId::Address(part(name)),
        _ => match word {
            "live" => TaskId::CheckLive,
            "gates" => TaskId::Gates,
            "build" => TaskId::Prepare,
            "backup" => TaskId::Backup,
            "verify" => TaskId::VerifyLive,
            other => return Err(format!("there is no task {other}")),
        },
    })
}
