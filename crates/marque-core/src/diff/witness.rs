//! The search for an example: a call that one envelope permits and the other does not.

use super::circumstances::Circumstances;
use super::samples::{Sample, Source};
use super::scene::Scene;
use crate::call::{Call, CallResource, approval_for};
use crate::constraint::{Constraint, Work};
use crate::decide::{Decision, Refusal, decide, decide_within};
use crate::envelope::{Envelope, EnvelopeStep};
use crate::explain::Outcome;
use crate::facts::Facts;
use crate::limits;
use crate::plan::{Approve, Blocked, Budget};
use crate::reason::Reason;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A call that one envelope permits and the other does not, with what was done before and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// The call.
    pub call: Call,
    /// What was done before.
    pub facts: Facts,
    /// When, in seconds since the Unix epoch.
    pub now: i64,
    /// What the envelope answers that permits more: it permits, or asks the person again.
    pub here: Answer,
    /// What the other answers.
    pub there: Answer,
}

/// A decision without what it refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The kind of decision.
    pub outcome: Outcome,
    /// Why it is no permission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The argument that differs, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
}

impl From<Decision<'_>> for Answer {
    fn from(decision: Decision<'_>) -> Self {
        let refused = |outcome, refusal: Refusal| Self {
            outcome,
            reason: Some(refusal.reason),
            argument: refusal.nearest.and_then(|nearest| nearest.argument),
        };
        match decision {
            Decision::Permit(_) => Self { outcome: Outcome::Permit, reason: None, argument: None },
            Decision::StepUp(_) => {
                Self { outcome: Outcome::StepUp, reason: Some(Reason::StepUpRequired), argument: None }
            }
            Decision::Escalate(refusal) => refused(Outcome::Escalate, refusal),
            Decision::Deny(refusal) => refused(Outcome::Deny, refusal),
        }
    }
}

impl Outcome {
    /// How far a call gets: refused, permitted once the person approves it, permitted.
    const fn reach(self) -> u8 {
        match self {
            Self::Permit => 2,
            Self::StepUp => 1,
            Self::Escalate | Self::Deny => 0,
        }
    }
}

impl Witness {
    /// Whether both envelopes still answer so, and the one permits more than the other.
    pub fn is_confirmed(&self, here: &Envelope, there: &Envelope) -> bool {
        let answer = |envelope| Answer::from(decide(envelope, &self.call, &self.facts, self.now));
        self.here == answer(here)
            && self.there == answer(there)
            && self.here.outcome.reach() > self.there.outcome.reach()
    }
}

/// What an example should show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Focus<'f> {
    /// Any difference of the step.
    Step,
    Resource,
    /// One argument; `*` for those that are not named.
    Argument(&'f str),
    Uses,
    After,
    Excludes,
    Window,
    Environment,
    Approve,
    Expiry,
    Turns,
    StepUps,
    Budget(&'f Budget),
    Blocked(&'f Blocked),
}

/// A place of a call that can have several values.
struct Slot<'s> {
    /// The argument; `None` for the resource's id.
    argument: Option<&'s str>,
    samples: Vec<Sample>,
}

/// The search for calls of one step.
pub(super) struct Search<'e> {
    pub(super) own: &'e Envelope,
    pub(super) other: &'e Envelope,
    pub(super) step: &'e EnvelopeStep,
    tries: &'e Work,
    /// What all examples of one difference may cost together.
    work: &'e Work,
}

/// Looks for a call of a step that `own` permits and `other` does not.
pub fn find(own: &Envelope, step: &EnvelopeStep, other: &Envelope) -> Option<Witness> {
    find_within(own, step, other, &Work::new(limits::DIFF_WORK))
}

/// [`find`] for some work: where it runs out, none is found.
pub fn find_within(own: &Envelope, step: &EnvelopeStep, other: &Envelope, work: &Work) -> Option<Witness> {
    Search::new(own, other, step, &Work::new(limits::WITNESS_TRIES), work).find(Focus::Step)
}

impl<'e> Search<'e> {
    pub(super) fn new(
        own: &'e Envelope,
        other: &'e Envelope,
        step: &'e EnvelopeStep,
        tries: &'e Work,
        work: &'e Work,
    ) -> Self {
        Self { own, other, step, tries, work }
    }

    /// Looks for a call that shows it: one that the other envelope refuses for just that.
    pub(super) fn find(&self, focus: Focus<'_>) -> Option<Witness> {
        let slots = self.slots(focus);
        let place = slots.iter().position(|slot| match focus {
            Focus::Resource | Focus::Blocked(_) => slot.argument.is_none(),
            Focus::Argument(name) => slot.argument == Some(name),
            _ => false,
        });
        let trial = Trial { search: self, focus, slots };
        self.circumstances(focus).iter().find_map(|circumstances| trial.vary(place, circumstances))
    }

    /// The step that the other envelope has for the same.
    pub(super) fn counterpart(&self) -> Option<&'e EnvelopeStep> {
        self.other.step(&self.step.id).filter(|step| self.is_rival(step)).or_else(|| self.rivals().next())
    }

    fn is_rival(&self, step: &EnvelopeStep) -> bool {
        step.location == self.step.location && step.action == self.step.action
    }

    fn rivals(&self) -> impl Iterator<Item = &'e EnvelopeStep> {
        self.other.steps.iter().filter(|step| self.is_rival(step))
    }

    // ---- values

    fn slots(&self, focus: Focus<'_>) -> Vec<Slot<'e>> {
        let id = self.step.resource.id.as_constraint().into_owned();
        let blocked =
            if let Focus::Blocked(Blocked { resource: Some(blocked), .. }) = focus { Some(blocked) } else { None };
        let blocked = blocked.and_then(|blocked| blocked.id.as_ref());
        let theirs = self.rivals().map(|rival| &rival.resource.id).chain(blocked);
        let rivals: Vec<Constraint> = theirs.map(|id| id.as_constraint().into_owned()).collect();
        let counterpart = self.counterpart();
        let same = counterpart.map(|step| step.resource.id.as_constraint().into_owned());
        let mut slots = vec![self.slot(None, &id, &rivals.iter().collect::<Vec<_>>(), same.as_ref(), focus)];
        for (name, constraint) in &self.step.args {
            let name = name.as_str();
            let rivals: Vec<&Constraint> = self.rivals().filter_map(|rival| rival.args.get(name)).collect();
            let same = counterpart.and_then(|step| step.args.get(name));
            slots.push(match name {
                "*" => self.further(),
                name => self.slot(Some(name), constraint, &rivals, same, focus),
            });
        }
        slots
    }

    /// The values that the step allows somewhere: first those that both allow, or where it is what the example is to
    /// show, those that only this one allows.
    fn slot(
        &self,
        argument: Option<&'e str>,
        constraint: &Constraint,
        rivals: &[&Constraint],
        same: Option<&Constraint>,
        focus: Focus<'_>,
    ) -> Slot<'e> {
        let there = Source { envelope: self.other, near: &[], work: self.work };
        let theirs: Vec<Sample> = rivals.iter().flat_map(|rival| there.samples(rival)).collect();
        let near: Vec<Value> = theirs.iter().filter_map(|sample| sample.value.clone()).collect();
        let here = Source { envelope: self.own, near: &near, work: self.work };
        // First what lies at the other's bounds: an example just beyond them says most.
        let mut samples: Vec<Sample> = theirs.into_iter().chain(here.samples(constraint)).collect();
        samples.extend(near.iter().map(|value| Sample { value: Some(value.clone()), needed: Vec::new() }));
        samples.extend(matches!(constraint, Constraint::Optional(_)).then_some(Sample::ABSENT));
        let mut allowed: Vec<Sample> = Vec::new();
        for sample in samples {
            let is_id = argument.is_some() || sample.value.as_ref().is_some_and(Value::is_string);
            if is_id && !allowed.contains(&sample) && sample.holds(constraint, self.work) {
                allowed.push(sample);
            }
        }
        let is_shown = match focus {
            Focus::Resource => argument.is_none(),
            Focus::Argument(name) => argument == Some(name),
            _ => false,
        };
        let is_common = |sample: &Sample| same.is_some_and(|same| sample.holds(same, self.work));
        allowed.sort_by_key(|sample| is_common(sample) == is_shown);
        Slot { argument, samples: allowed }
    }

    /// Further arguments of an open step: none, or one that the other names or does not.
    fn further(&self) -> Slot<'e> {
        let samples = vec![Sample::ABSENT, Sample { value: Some(json!("anything")), needed: Vec::new() }];
        Slot { argument: Some("*"), samples }
    }

    fn further_names(&self) -> Vec<&'e str> {
        let named = self.rivals().flat_map(|rival| rival.args.keys()).map(String::as_str);
        let further = named.chain(["another"]).filter(|name| !self.step.args.contains_key(*name));
        let further: BTreeSet<&str> = further.collect();
        further.into_iter().collect()
    }

    fn decide(&self, mut call: Call, scene: &Scene, circumstances: &Circumstances) -> Option<Witness> {
        let now = circumstances.now;
        scene.furnish(&mut call);
        let mut facts = scene.facts.clone();
        if circumstances.is_asked && self.step.approve == Approve::StepUp {
            let (approval, asked) = (call.approval(), self.rivals().chain([self.step]));
            facts.approvals.extend(asked.map(|step| approval_for(&step.id, &approval)));
        }
        let answer = |envelope| {
            let decided = |work: &Work| Answer::from(decide_within(envelope, &call, &facts, now, work));
            self.work.within(limits::DECISION_WORK, decided)
        };
        let (here, there) = (answer(self.own), answer(self.other));
        (here.outcome.reach() > there.outcome.reach()).then_some(Witness { call, facts, now, here, there })
    }
}

/// The calls of one search.
struct Trial<'t, 'e> {
    search: &'t Search<'e>,
    focus: Focus<'t>,
    slots: Vec<Slot<'e>>,
}

impl Trial<'_, '_> {
    /// Tries the first value of each slot, then each value of one, then of two.
    fn vary(&self, place: Option<usize>, circumstances: &Circumstances) -> Option<Witness> {
        let base: Option<Vec<&Sample>> = self.slots.iter().map(|slot| slot.samples.first()).collect();
        let base = base?;
        let places: Vec<usize> = (0..self.slots.len()).filter(|at| place.is_none_or(|place| place == *at)).collect();
        let attempt = |picked: &[&Sample]| self.attempt(picked, circumstances);
        attempt(&base)
            .or_else(|| places.iter().find_map(|at| self.exchanges(&base, *at).find_map(|picked| attempt(&picked))))
            .or_else(|| places.iter().find_map(|at| self.vary_two(&base, *at, circumstances)))
    }

    fn vary_two(&self, base: &[&Sample], place: usize, circumstances: &Circumstances) -> Option<Witness> {
        let has_tries = |_: &Vec<&Sample>| self.search.tries.left() > 0 && self.search.work.left() > 0;
        self.exchanges(base, place).take_while(has_tries).find_map(|first| {
            let mut others = (0..self.slots.len()).filter(|beside| *beside != place);
            others.find_map(|beside| {
                let mut both = self.exchanges(&first, beside).take_while(has_tries);
                both.find_map(|picked| self.attempt(&picked, circumstances))
            })
        })
    }

    /// The picked samples with each of a slot's in its place.
    fn exchanges<'s>(&'s self, picked: &[&'s Sample], place: usize) -> impl Iterator<Item = Vec<&'s Sample>> {
        let samples = self.slots.get(place).map_or(&[][..], |slot| &slot.samples);
        samples.iter().map(move |sample| {
            picked.iter().enumerate().map(|(at, own)| if at == place { sample } else { *own }).collect()
        })
    }

    fn attempt(&self, picked: &[&Sample], circumstances: &Circumstances) -> Option<Witness> {
        self.search.tries.spend(1).then_some(())?;
        let copied = picked.iter().map(|sample| sample.cost()).fold(0, u64::saturating_add);
        self.search.work.spend(1 + copied).then_some(())?;
        let mut scene = Scene::of(picked.iter().flat_map(|sample| &sample.needed))?;
        circumstances.prepare(&mut scene);
        let is_open = |(slot, sample): (&Slot<'_>, &&Sample)| slot.argument == Some("*") && sample.value.is_some();
        let has_further = self.slots.iter().zip(picked).any(is_open);
        let names = if has_further { self.search.further_names().into_iter().map(Some).collect() } else { vec![None] };
        names.into_iter().find_map(|further| {
            let call = self.call(picked, further, circumstances)?;
            let witness = self.search.decide(call, &scene, circumstances)?;
            // Here the work of the search may have run out, and not that of a decision.
            (witness.there.reason != Some(Reason::TooMuchWork)).then_some(())?;
            self.focus.is_shown_by(&witness.there).then_some(witness)
        })
    }

    fn call(&self, picked: &[&Sample], further: Option<&str>, circumstances: &Circumstances) -> Option<Call> {
        let step = self.search.step;
        let mut id = None;
        let mut args = Map::new();
        for (slot, sample) in self.slots.iter().zip(picked) {
            let name = if slot.argument == Some("*") { further } else { slot.argument };
            match (slot.argument, name, &sample.value) {
                (None, _, value) => id = value.as_ref().and_then(Value::as_str),
                (Some(_), Some(name), Some(value)) => drop(args.insert(name.to_owned(), value.clone())),
                _ => {}
            }
        }
        let resource = CallResource { kind: step.resource.kind.clone(), id: id?.to_owned() };
        let mut call = Call::new(step.location.clone(), step.action.clone(), resource, args);
        call.environment.clone_from(&circumstances.environment);
        Some(call)
    }
}

impl Focus<'_> {
    /// Whether a refusal is for this: else something else made the difference.
    fn is_shown_by(self, there: &Answer) -> bool {
        use Reason as R;
        let (reason, argument) = (there.reason, there.argument.as_deref());
        let Some(reason) = reason else { return false };
        match self {
            Self::Step => true,
            Self::Resource => reason == R::ResourceNotInPlan || (reason == R::ResultUnknown && argument.is_none()),
            Self::Argument("*") => reason == R::ArgumentNotInPlan,
            Self::Argument(name) => argument == Some(name),
            Self::Uses => reason == R::UsesExhausted,
            Self::After => reason == R::OutOfOrder,
            Self::Excludes => reason == R::GroupUsed,
            Self::Window => reason == R::OutsideWindow,
            Self::Environment => reason == R::EnvironmentMismatch,
            Self::Approve => matches!(reason, R::StepUpRequired | R::StepUpsExhausted),
            Self::Expiry => reason == R::IntentExpired,
            Self::Turns => reason == R::TurnsExhausted,
            Self::StepUps => reason == R::StepUpsExhausted,
            Self::Budget(_) => matches!(reason, R::BudgetExhausted | R::ResultUnknown),
            Self::Blocked(_) => reason == R::Blocked,
        }
    }
}
