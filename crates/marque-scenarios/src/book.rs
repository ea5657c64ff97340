//! What counts from call to call: the facts of a story so far.

use crate::format::{CallEntry, Expect, LaterEntry, Outcome, Scenario, Then};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::facts::{Facts, Past, PastCall};
use marque_core::plan::Blocked;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

struct Use {
    step: String,
    args: Map<String, Value>,
    outcome: Outcome,
    result: Option<Value>,
    disclosed: BTreeMap<String, Value>,
}

/// What a ledger would know.
#[derive(Default)]
pub struct Book {
    before: BTreeMap<String, Past>,
    uses: Vec<Use>,
    named: BTreeMap<String, usize>,
    steps: Vec<String>,
    asked: BTreeSet<Digest>,
    approved: BTreeSet<Digest>,
    step_ups: u64,
    turns: u64,
    blocked: Vec<Blocked>,
}

impl Book {
    pub fn new(scenario: &Scenario) -> Self {
        let before = scenario.before.iter();
        let counted = |before: &crate::format::Before| Past::counted(before.uses, before.committed);
        let steps = scenario.plan.get("steps").and_then(Value::as_array).into_iter().flatten();
        let ids = steps.filter_map(|step| step.get("id").and_then(Value::as_str).map(str::to_owned));
        Self {
            before: before.map(|(step, before)| (step.clone(), counted(before))).collect(),
            steps: ids.collect(),
            ..Self::default()
        }
    }

    /// What was blocked since the plan was signed.
    pub fn blocked(&self) -> &[Blocked] {
        &self.blocked
    }

    pub fn facts(&self) -> Facts {
        let mut steps = self.before.clone();
        for used in self.uses.iter().filter(|used| used.outcome != Outcome::Released) {
            let past = steps.entry(used.step.clone()).or_default();
            let committed = used.outcome == Outcome::Committed;
            past.uses += 1;
            past.committed += u64::from(committed);
            past.calls.push(PastCall {
                args: used.args.clone(),
                committed,
                result: used.result.clone(),
                disclosed: used.disclosed.clone(),
            });
        }
        Facts {
            steps,
            turns: self.turns,
            approvals: self.approved.clone(),
            step_ups: self.step_ups,
            blocked: self.blocked.clone(),
        }
    }

    /// What a call's entry says is so from now on, before it is decided.
    pub fn begin(&mut self, entry: &CallEntry, call: Option<&Call>) {
        self.turns = entry.turn.unwrap_or(self.turns);
        self.blocked = entry.blocked_since.clone().unwrap_or_else(|| self.blocked.clone());
        if let (true, Some(call)) = (entry.by_step_up, call) {
            self.step_ups += u64::from(self.asked.insert(call.approval()));
            self.approved.extend(self.steps.iter().map(|step| call.approval_for(step)));
        }
    }

    /// A call was permitted by a step.
    pub fn permitted(&mut self, entry: &CallEntry, call: &Call, step: &str) -> Result<(), String> {
        if entry.then.is_some() {
            return Err("only a step-up is approved".into());
        }
        if let Some(name) = &entry.name
            && self.named.insert(name.clone(), self.uses.len()).is_some()
        {
            return Err(format!("another call has the name {name:?}"));
        }
        self.uses.push(Use {
            step: step.into(),
            args: call.args.clone(),
            outcome: entry.outcome.unwrap_or(Outcome::Committed),
            result: entry.gives.clone(),
            disclosed: entry.discloses.clone().unwrap_or_default(),
        });
        for step in &self.steps {
            self.approved.remove(&call.approval_for(step));
        }
        self.asked.remove(&call.approval());
        Ok(())
    }

    /// A person was asked about a call.
    pub fn stepped_up(&mut self, entry: &CallEntry, call: &Call) -> Result<(), String> {
        self.step_ups += u64::from(self.asked.insert(call.approval()));
        if let (Some(Then::Approved), Expect::StepUp { step, .. }) = (&entry.then, &entry.expect) {
            let asking = self.steps.iter().filter(|id| step.as_ref().is_none_or(|step| step == *id));
            self.approved.extend(asking.map(|step| call.approval_for(step)));
        }
        no_outcome(entry)
    }

    /// A call was refused.
    pub fn refused(&self, entry: &CallEntry) -> Result<(), String> {
        if entry.then.is_some() { Err("only a step-up is approved".into()) } else { no_outcome(entry) }
    }

    pub fn later(&mut self, later: &LaterEntry) -> Result<(), String> {
        let place =
            *self.named.get(&later.of).ok_or_else(|| format!("no permitted call has the name {:?}", later.of))?;
        let found = self.uses.get_mut(place).ok_or("no such use")?;
        let tells = later.gives.is_some() || later.discloses.is_some();
        match later.outcome {
            None | Some(Outcome::Committed) if !tells && found.outcome == Outcome::Committed => {
                return Err("nothing changes".into());
            }
            Some(Outcome::Reserved) => return Err("nothing becomes reserved later".into()),
            Some(outcome) => found.outcome = outcome,
            None => {}
        }
        if later.gives.is_some() {
            found.result.clone_from(&later.gives);
        }
        found.disclosed.extend(later.discloses.clone().unwrap_or_default());
        Ok(())
    }
}

fn no_outcome(entry: &CallEntry) -> Result<(), String> {
    let says = entry.outcome.is_some() || entry.gives.is_some() || entry.discloses.is_some() || entry.name.is_some();
    if says { Err("only a permitted call has an outcome".into()) } else { Ok(()) }
}
