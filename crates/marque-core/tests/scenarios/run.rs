//! Plays a scenario against the library and collects what differs from what it expects.

use crate::check;
use marque_core::attenuate::{StepRequest, compare};
use marque_core::call::Call;
use marque_core::catalog::Catalog;
use marque_core::constraint::Work;
use marque_core::decide::{Decision, Offline, Refusal, decide, decide_offline, decide_within};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::facts::Facts;
use marque_core::limits;
use marque_core::plan::{Approve, ResolvedPlan};
use marque_core::reason::Reason;
use marque_scenarios::book::Book;
use marque_scenarios::format::{CallEntry, Entry, Expect, File, HopEntry, HopExpect, Scenario};
use marque_scenarios::story::{self, Tokens};
use marque_scenarios::{AGENT, NOW};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

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
    /// Units of work of the dearest decision.
    pub work: u64,
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
    let plan = match (story::submit(file, scenario, catalogs), &scenario.refused) {
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
    let mut story = Story::new(scenario, &envelope, played)?;
    for (index, entry) in scenario.story.iter().enumerate() {
        let told = match entry {
            Entry::Call(call) => story.call(call),
            Entry::Hop(hop) => story.hop(hop),
            Entry::Later(later) => story.book.later(later),
        };
        told.map_err(|failure| format!("story[{index}]: {failure}"))?;
    }
    Ok(())
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

/// What happened so far.
struct Story<'s> {
    played: &'s mut Played,
    tokens: Tokens,
    book: Book,
    now: i64,
}

impl<'s> Story<'s> {
    fn new(scenario: &'s Scenario, envelope: &Envelope, played: &'s mut Played) -> Result<Self, String> {
        Ok(Self { played, tokens: Tokens::new(envelope)?, book: Book::new(scenario), now: NOW })
    }

    fn hop(&mut self, hop: &HopEntry) -> Result<(), String> {
        let parent = hop.from.as_deref().unwrap_or(self.tokens.latest()).to_owned();
        let envelope = self.tokens.get(&parent)?.envelope.clone();
        let requests: Vec<StepRequest> = hop.asks.iter().map(|asked| asked.0.clone()).collect();
        match (self.tokens.narrow(&parent, &hop.name, &requests)?, &hop.expect) {
            (Ok(()), HopExpect::Accepted) => {
                let child = &self.tokens.get(&hop.name)?.envelope;
                compare(&envelope, child).map_err(|widening| format!("accepted, and wider: {widening}"))
            }
            (Err(widening), HopExpect::Refused(reason)) if widening.reason == *reason => {
                self.played.seen.push(Seen::NotNarrowed { parent: envelope, requests, reason: *reason });
                Ok(())
            }
            (Ok(()), HopExpect::Refused(reason)) => Err(format!("the hop is accepted, and not refused as {reason}")),
            (Err(widening), _) => Err(format!("the hop is refused: {}, {widening}", widening.reason)),
        }
    }

    fn call(&mut self, entry: &CallEntry) -> Result<(), String> {
        self.now = entry.now.as_ref().map_or(self.now, |now| now.secs());
        let by = entry.by.as_deref().unwrap_or(AGENT).to_owned();
        let envelope = self.tokens.get(&by)?.envelope.clone();
        let call = match story::read(entry, &envelope)? {
            Ok(call) => call,
            Err(malformed) => return self.malformed(entry, &malformed),
        };
        self.book.begin(entry, Some(&call));
        let facts = self.book.facts();
        let work = Work::new(limits::DECISION_WORK);
        let decision = decide_within(&envelope, &call, &facts, self.now, &work);
        // A story may tell of a call that is too much work.
        if work.left() > 0 {
            self.played.work = self.played.work.max(work.spent());
        }
        check::expected(&entry.expect, &decision)?;
        self.check_offline(&envelope, &call, &decision)?;
        check::prepared(&envelope, &call, &facts, self.now)?;
        self.check_parents(&by, &call, &facts, &decision)?;
        self.record(entry, call, decision)
    }

    fn malformed(&mut self, entry: &CallEntry, why: &str) -> Result<(), String> {
        self.book.begin(entry, None);
        match entry.expect {
            Expect::Deny { reason: Reason::CallMalformed, .. } => {
                let refusal = Refusal { reason: Reason::CallMalformed, nearest: None };
                self.played.seen.push(Seen::Refused { step: None, refusal });
                Ok(())
            }
            _ => Err(format!("the arguments are malformed: {why}")),
        }
    }

    /// What a gate can tell by itself never differs from what the ledger says. What was blocked since the plan was
    /// signed reaches a gate by another way, so it is told here as if it were in the plan.
    fn check_offline(&self, envelope: &Envelope, call: &Call, decision: &Decision<'_>) -> Result<(), String> {
        let mut told = envelope.clone();
        told.bounds.blocked.extend(self.book.blocked().iter().cloned());
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
        let mut parent = self.tokens.get(by)?.parent.clone();
        while let Some(name) = &parent {
            let token = self.tokens.get(name)?;
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
        let seen = match decision {
            Decision::Permit(step) => {
                self.book.permitted(entry, &call, &step.id)?;
                Seen::Permitted { step: step.clone(), call }
            }
            Decision::StepUp(_) => {
                self.book.stepped_up(entry, &call)?;
                Seen::StepUp
            }
            Decision::Escalate(refusal) | Decision::Deny(refusal) => {
                self.book.refused(entry)?;
                let nearest = refusal.nearest.as_ref();
                let envelope = &self.tokens.get(entry.by.as_deref().unwrap_or(AGENT))?.envelope;
                let step = nearest.and_then(|nearest| envelope.step(&nearest.step)).cloned();
                Seen::Refused { step, refusal }
            }
        };
        self.played.seen.push(seen);
        Ok(())
    }
}
