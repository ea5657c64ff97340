//! Plays a scenario against the library and collects what differs from what it expects.

use crate::check;
use crate::format::{CallEntry, Entry, Expect, File, HopEntry, HopExpect, LaterEntry, Outcome, Scenario, Then};
use marque_core::attenuate::{StepRequest, attenuate, compare};
use marque_core::call::{Call, CallResource};
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::decide::{Decision, Offline, Refusal, decide, decide_offline};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::facts::{Facts, Past, PastCall};
use marque_core::json::parse_call;
use marque_core::limits;
use marque_core::plan::{Approve, Blocked, ResolvedPlan, SubmittedPlan};
use marque_core::reason::Reason;
use marque_core::resolve::{Completion, Rejection, resolve};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// 2026-11-22T03:00:00Z: the time of a story that does not say another.
pub const NOW: i64 = 1_795_316_400;
/// The name of the token that carries the whole plan.
pub const AGENT: &str = "agent";

/// What came out, for the account of what all scenarios show together.
pub enum Seen {
    Permitted { step: EnvelopeStep, call: Call },
    StepUp,
    Refused { step: Option<EnvelopeStep>, refusal: Refusal },
    NotNarrowed { parent: Envelope, requests: Vec<StepRequest>, reason: Reason },
    NotSubmitted(Reason),
}

/// A scenario's outcome.
#[derive(Default)]
pub struct Played {
    pub seen: Vec<Seen>,
    pub failures: Vec<String>,
}

pub fn play(file: &File, scenario: &Scenario, catalogs: &BTreeMap<String, Catalog>) -> Played {
    let mut played = Played::default();
    if let Err(failure) = try_play(file, scenario, catalogs, &mut played) {
        played.failures.push(failure);
    }
    played
}

fn try_play(
    file: &File,
    scenario: &Scenario,
    catalogs: &BTreeMap<String, Catalog>,
    played: &mut Played,
) -> Result<(), String> {
    let plan = match (submit(file, scenario, catalogs), &scenario.refused) {
        (Ok(plan), None) => plan,
        (Err(found), Some(expected)) if (found.reason, &found.refused.path) == (expected.reason, &expected.at) => {
            played.seen.push(Seen::NotSubmitted(found.reason));
            let has_more = !scenario.story.is_empty() || scenario.asks_again.is_some() || scenario.adds.is_some();
            return if has_more { Err("a plan that is refused has no story".into()) } else { Ok(()) };
        }
        (Ok(_), Some(expected)) => return Err(format!("submitted, and not refused as {}", expected.reason)),
        (Err(found), _) => return Err(format!("submission: {}, {found}", found.reason)),
    };
    check_plan(scenario, &plan)?;
    let envelope = Envelope::of(&plan).map_err(|refused| refused.to_string())?;
    let mut story = Story::new(scenario, envelope, played)?;
    for (index, entry) in scenario.story.iter().enumerate() {
        let told = match entry {
            Entry::Call(call) => story.call(call),
            Entry::Hop(hop) => story.hop(hop),
            Entry::Later(later) => story.later(later),
        };
        told.map_err(|failure| format!("story[{index}]: {failure}"))?;
    }
    Ok(())
}

/// The submission as it would be sent: the file's plan, member by member replaced by the scenario's.
fn submit(file: &File, scenario: &Scenario, catalogs: &BTreeMap<String, Catalog>) -> Result<ResolvedPlan, Rejection> {
    let mut plan = file.plan.clone();
    plan.extend(scenario.plan.clone());
    let agent = plan.get("agent").and_then(Value::as_str).unwrap_or_default().to_owned();
    let client_id = scenario.submitted_by.as_ref().unwrap_or(&agent);
    let known =
        |name: &String| catalogs.get(name).unwrap_or_else(|| panic!("there is no catalogs/{name}.yaml")).clone();
    let catalogs: Vec<Catalog> = file.catalogs.iter().map(known).collect();
    let plan = SubmittedPlan::parse(Value::Object(plan).to_string().as_bytes())?;
    let completion = Completion {
        issuer: "https://marque.example",
        realm_issuer: "https://realm.example",
        intent_id: "018f0000-0000-7000-8000-000000000001",
        client_id,
        jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
        catalogs: &catalogs,
        blocked: &scenario.blocked_above,
        unknown_actions: Default::default(),
        now: NOW,
    };
    resolve(plan, &completion)
}

fn check_plan(scenario: &Scenario, plan: &ResolvedPlan) -> Result<(), String> {
    if ResolvedPlan::from_canonical(&plan.canonical()).as_ref() != Ok(plan) {
        return Err("the resolved plan is not read back as it was".into());
    }
    let asks: Vec<_> = plan.steps.iter().filter(|step| step.approve == Approve::StepUp).map(|step| &step.id).collect();
    if scenario.asks_again.as_ref().is_some_and(|expected| expected.iter().collect::<Vec<_>>() != asks) {
        return Err(format!("asks_again: {asks:?}"));
    }
    let added: Vec<_> = plan.steps.iter().filter(|step| step.added).map(|step| json!(step)).collect();
    if let Some(expected) = &scenario.adds {
        let fits = |(step, wanted): (&Value, &Map<String, Value>)| check::holds_members(step, wanted);
        if added.len() != expected.len() || !added.iter().zip(expected).all(fits) {
            return Err(format!("adds: {}", json!(added)));
        }
    }
    Ok(())
}

/// A token: its envelope and whose it was narrowed from.
struct Token {
    envelope: Envelope,
    parent: Option<String>,
}

struct Use {
    step: String,
    args: Map<String, Value>,
    outcome: Outcome,
    result: Option<Value>,
}

/// What happened so far.
struct Story<'s> {
    scenario: &'s Scenario,
    played: &'s mut Played,
    tokens: BTreeMap<String, Token>,
    latest: String,
    uses: Vec<Use>,
    named: BTreeMap<String, usize>,
    asked: BTreeSet<Digest>,
    approved: BTreeSet<Digest>,
    step_ups: u64,
    turns: u64,
    now: i64,
    blocked: Vec<Blocked>,
}

/// The envelope as a token carries it.
fn carried(envelope: &Envelope) -> Result<Envelope, String> {
    let read: Envelope = serde_json::from_value(json!(envelope)).map_err(|error| error.to_string())?;
    if read == *envelope { Ok(read) } else { Err("an envelope is not read back as it was".into()) }
}

impl<'s> Story<'s> {
    fn new(scenario: &'s Scenario, envelope: Envelope, played: &'s mut Played) -> Result<Self, String> {
        let token = Token { envelope: carried(&envelope)?, parent: None };
        Ok(Self {
            scenario,
            played,
            tokens: BTreeMap::from([(AGENT.to_owned(), token)]),
            latest: AGENT.to_owned(),
            uses: Vec::new(),
            named: BTreeMap::new(),
            asked: BTreeSet::new(),
            approved: BTreeSet::new(),
            step_ups: 0,
            turns: 0,
            now: NOW,
            blocked: Vec::new(),
        })
    }

    fn token(&self, name: &str) -> Result<&Token, String> {
        self.tokens.get(name).ok_or_else(|| format!("no hop is called {name:?}"))
    }

    fn hop(&mut self, hop: &HopEntry) -> Result<(), String> {
        let parent = hop.from.as_ref().unwrap_or(&self.latest).clone();
        let envelope = self.token(&parent)?.envelope.clone();
        let requests: Vec<StepRequest> = hop.asks.iter().map(|asked| asked.0.clone()).collect();
        match (attenuate(&envelope, &requests), &hop.expect) {
            (Ok(child), HopExpect::Accepted) => {
                compare(&envelope, &child).map_err(|widening| format!("accepted, and wider: {widening}"))?;
                let token = Token { envelope: carried(&child)?, parent: Some(parent) };
                if self.tokens.insert(hop.name.clone(), token).is_some() {
                    return Err(format!("another hop is called {:?}", hop.name));
                }
                self.latest.clone_from(&hop.name);
                Ok(())
            }
            (Err(widening), HopExpect::Refused(reason)) if widening.reason == *reason => {
                self.played.seen.push(Seen::NotNarrowed { parent: envelope, requests, reason: *reason });
                Ok(())
            }
            (Ok(_), HopExpect::Refused(reason)) => Err(format!("the hop is accepted, and not refused as {reason}")),
            (Err(widening), _) => Err(format!("the hop is refused: {}, {widening}", widening.reason)),
        }
    }

    fn later(&mut self, later: &LaterEntry) -> Result<(), String> {
        let place =
            *self.named.get(&later.of).ok_or_else(|| format!("no permitted call has the name {:?}", later.of))?;
        let found = self.uses.get_mut(place).ok_or("no such use")?;
        match later.outcome {
            None | Some(Outcome::Committed) if later.gives.is_none() && found.outcome == Outcome::Committed => {
                return Err("nothing changes".into());
            }
            Some(Outcome::Reserved) => return Err("nothing becomes reserved later".into()),
            Some(outcome) => found.outcome = outcome,
            None => {}
        }
        if later.gives.is_some() {
            found.result.clone_from(&later.gives);
        }
        Ok(())
    }

    fn call(&mut self, entry: &CallEntry) -> Result<(), String> {
        self.now = entry.now.as_ref().map_or(self.now, |now| now.secs());
        self.turns = entry.turn.unwrap_or(self.turns);
        self.blocked = entry.blocked_since.clone().unwrap_or_else(|| self.blocked.clone());
        let by = entry.by.as_deref().unwrap_or(AGENT).to_owned();
        let envelope = self.token(&by)?.envelope.clone();
        let call = match self.read(entry, &envelope)? {
            Ok(call) => call,
            Err(malformed) => return self.malformed(entry, &malformed),
        };
        let approval = call.approval();
        if entry.by_step_up {
            self.step_ups += u64::from(self.asked.insert(approval));
            self.approved.insert(approval);
        }
        let facts = self.facts();
        let decision = decide(&envelope, &call, &facts, self.now);
        check::expected(&entry.expect, &decision)?;
        self.check_offline(&envelope, &call, &decision)?;
        check::prepared(&envelope, &call, &facts, self.now)?;
        self.check_parents(&by, &call, &facts, &decision)?;
        self.record(entry, call, decision)
    }

    /// The call as it is sent; the arguments are read from their JSON as strictly as a gate reads them.
    fn read(&self, entry: &CallEntry, envelope: &Envelope) -> Result<Result<Call, String>, String> {
        let places: BTreeSet<&str> = envelope.steps.iter().map(|step| step.location.as_str()).collect();
        let location = match (&entry.at, places.first()) {
            (Some(at), _) => at.clone(),
            (None, Some(only)) if places.len() == 1 => (*only).to_owned(),
            _ => return Err("say at which location: the plan has several".into()),
        };
        if entry.with_json.is_some() && !entry.with.is_empty() {
            return Err("with and with_json are two ways to say the same".into());
        }
        let text = entry.with_json.clone().unwrap_or_else(|| Value::Object(entry.with.clone()).to_string());
        let args = match parse_call(text.as_bytes(), limits::CALL_BYTES) {
            Ok(Value::Object(args)) => args,
            Ok(_) => return Ok(Err("the arguments are no object".into())),
            Err(refused) => return Ok(Err(refused.to_string())),
        };
        let resource = CallResource { kind: entry.resource.kind.clone(), id: entry.resource.id.clone() };
        let mut call = Call::new(location, entry.action.clone(), resource, args);
        call.environment.clone_from(&entry.environment);
        call.records.clone_from(&entry.records);
        Ok(Ok(call))
    }

    fn malformed(&mut self, entry: &CallEntry, why: &str) -> Result<(), String> {
        match entry.expect {
            Expect::Deny { reason: Reason::CallMalformed, .. } => {
                let refusal = Refusal { reason: Reason::CallMalformed, nearest: None };
                self.played.seen.push(Seen::Refused { step: None, refusal });
                Ok(())
            }
            _ => Err(format!("the arguments are malformed: {why}")),
        }
    }

    fn facts(&self) -> Facts {
        let before = self.scenario.before.iter();
        let mut steps: BTreeMap<String, Past> =
            before.map(|(step, before)| (step.clone(), Past::counted(before.uses, before.committed))).collect();
        for used in self.uses.iter().filter(|used| used.outcome != Outcome::Released) {
            let past = steps.entry(used.step.clone()).or_default();
            let committed = used.outcome == Outcome::Committed;
            past.uses += 1;
            past.committed += u64::from(committed);
            past.calls.push(PastCall { args: used.args.clone(), committed, result: used.result.clone() });
        }
        Facts {
            steps,
            turns: self.turns,
            approvals: self.approved.clone(),
            step_ups: self.step_ups,
            blocked: self.blocked.clone(),
        }
    }

    /// What a gate can tell by itself never differs from what the ledger says. What was blocked since the plan was
    /// signed reaches a gate by another way, so it is told here as if it were in the plan.
    fn check_offline(&self, envelope: &Envelope, call: &Call, decision: &Decision<'_>) -> Result<(), String> {
        let mut told = envelope.clone();
        told.bounds.blocked.extend(self.blocked.iter().cloned());
        let offline = decide_offline(&told, call, self.now);
        let agrees = match (&offline, decision) {
            (Offline::Permit(here), Decision::Permit(there)) => here.id == there.id,
            (Offline::AskLedger(_), _) => true,
            (Offline::Refused(here), Decision::Escalate(there) | Decision::Deny(there)) => {
                here.reason == there.reason || (there.reason < here.reason && check::is_late_bound(envelope))
            }
            _ => false,
        };
        if agrees { Ok(()) } else { Err(format!("offline {offline:?}, but with the ledger {decision:?}")) }
    }

    /// Whatever a token permits, those it was narrowed from permit too.
    fn check_parents(&self, by: &str, call: &Call, facts: &Facts, decision: &Decision<'_>) -> Result<(), String> {
        let mut parent = self.token(by)?.parent.clone();
        while let Some(name) = &parent {
            let token = self.token(name)?;
            let above = decide(&token.envelope, call, facts, self.now);
            let is_covered = match decision {
                Decision::Permit(_) => matches!(above, Decision::Permit(_)),
                Decision::StepUp(_) => matches!(above, Decision::Permit(_) | Decision::StepUp(_)),
                _ => true,
            };
            if !is_covered {
                return Err(format!("{by} gets {decision:?}, but {name}, which it was narrowed from, {above:?}"));
            }
            parent = token.parent.clone();
        }
        Ok(())
    }

    fn record(&mut self, entry: &CallEntry, call: Call, decision: Decision<'_>) -> Result<(), String> {
        let is_permit = matches!(decision, Decision::Permit(_));
        let is_step_up = matches!(decision, Decision::StepUp(_));
        let says_outcome = entry.outcome.is_some() || entry.gives.is_some() || entry.name.is_some();
        if (says_outcome && !is_permit) || (entry.then.is_some() && !is_step_up) {
            return Err("only a permitted call has an outcome, and only a step-up is approved".into());
        }
        let approval = call.approval();
        let seen = match decision {
            Decision::Permit(step) => {
                let outcome = entry.outcome.unwrap_or(Outcome::Committed);
                let (step, args, result) = (step.clone(), call.args.clone(), entry.gives.clone());
                if let Some(name) = &entry.name
                    && self.named.insert(name.clone(), self.uses.len()).is_some()
                {
                    return Err(format!("another call has the name {name:?}"));
                }
                self.uses.push(Use { step: step.id.clone(), args, outcome, result });
                self.approved.remove(&approval);
                self.asked.remove(&approval);
                Seen::Permitted { step, call }
            }
            Decision::StepUp(_) => {
                self.step_ups += u64::from(self.asked.insert(approval));
                if let Some(Then::Approved) = entry.then {
                    self.approved.insert(approval);
                }
                Seen::StepUp
            }
            Decision::Escalate(refusal) | Decision::Deny(refusal) => {
                let nearest = refusal.nearest.as_ref();
                let envelope = &self.token(entry.by.as_deref().unwrap_or(AGENT))?.envelope;
                let step = nearest.and_then(|nearest| envelope.step(&nearest.step)).cloned();
                Seen::Refused { step, refusal }
            }
        };
        self.played.seen.push(seen);
        Ok(())
    }
}
