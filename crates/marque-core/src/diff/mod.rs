//! What one envelope permits that another does not, with examples.
//!
//! Every difference is found by comparing the two member by member, as [`crate::attenuate::covers`] does. For each one
//! a concrete call is looked for that the one envelope permits and the other does not; both decide on it, so an example
//! is never wrong. The search is bounded: where it ends without an example the difference says so.

mod circumstances;
mod samples;
mod scene;
mod witness;

pub use witness::{Answer, Witness, find};

use crate::attenuate::{limit_covers, window_covers};
use crate::constraint::{Arguments, Comparison, Constraint, Work, arguments_compare};
use crate::envelope::{Envelope, EnvelopeStep};
use crate::{limits, timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use witness::{Focus, Search, find_within};

/// How two envelopes differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// What the first permits and the second does not.
    pub first: Vec<Difference>,
    /// What the second permits and the first does not.
    pub second: Vec<Difference>,
    /// Steps that are the same but for their ids: the first's and the second's. Uses are counted by id.
    pub renamed: Vec<(String, String)>,
}

/// One thing of which one envelope permits more than the other, or may.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The step; `None` where it is about all of them.
    pub step: Option<String>,
    /// What differs: `step`, `action`, `resource.id`, `args.NAME`, `uses`, …
    pub member: String,
    /// What the envelope says that permits more.
    pub here: Value,
    /// What the other says.
    pub there: Value,
    /// [`Comparison::Wider`], or [`Comparison::Undecidable`] where comparing cannot tell.
    pub comparison: Comparison,
    /// An example, if one was found. The other envelope refuses it for just this difference; only where no example
    /// shows any difference of a step alone, the first one has an example of them together.
    pub witness: Option<Witness>,
}

impl Diff {
    /// Whether both permit the same, as far as comparing can tell.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.second.is_empty()
    }
}

/// Compares two envelopes in both directions.
pub fn diff(a: &Envelope, b: &Envelope) -> Diff {
    diff_within(a, b, &Work::new(limits::DIFF_WORK))
}

/// [`diff`] for some work: where it runs out, what is left cannot be compared and has no example.
pub fn diff_within(a: &Envelope, b: &Envelope, work: &Work) -> Diff {
    let renamed = renamed(a, b);
    let reversed: Vec<(String, String)> = renamed.iter().map(|(one, other)| (other.clone(), one.clone())).collect();
    let half = work.left() / 2;
    let first = work.within(half, |work| beyond(a, b, &renamed, work));
    Diff { first, second: beyond(b, a, &reversed, work), renamed }
}

/// Steps that only one of them has by name, and that are the same otherwise.
fn renamed(a: &Envelope, b: &Envelope) -> Vec<(String, String)> {
    let mut taken = BTreeSet::new();
    let mut renamed = Vec::new();
    for step in a.steps.iter().filter(|step| b.step(&step.id).is_none()) {
        let is_same = |other: &&EnvelopeStep| {
            a.step(&other.id).is_none()
                && !taken.contains(&other.id)
                && EnvelopeStep { id: step.id.clone(), ..(*other).clone() } == *step
        };
        if let Some(other) = b.steps.iter().find(is_same) {
            taken.insert(other.id.clone());
            renamed.push((step.id.clone(), other.id.clone()));
        }
    }
    renamed
}

/// What `own` permits and `other` does not.
fn beyond(own: &Envelope, other: &Envelope, renamed: &[(String, String)], work: &Work) -> Vec<Difference> {
    let mut found = of_bounds(own, other, work);
    for step in own.steps.iter().filter(|step| renamed.iter().all(|(name, _)| *name != step.id)) {
        found.extend(of_step(own, step, other, work));
    }
    found
}

/// A difference that is not looked at more closely yet.
struct Finding<'f> {
    member: String,
    here: Value,
    there: Value,
    comparison: Comparison,
    focus: Option<Focus<'f>>,
}

impl<'f> Finding<'f> {
    fn new(member: impl Into<String>, here: Value, there: Value, focus: Option<Focus<'f>>) -> Self {
        Self { member: member.into(), here, there, comparison: Comparison::Wider, focus }
    }

    /// Looks for an example among the calls of some steps.
    fn with(
        self,
        step: Option<&str>,
        (own, steps): (&Envelope, &[&EnvelopeStep]),
        other: &Envelope,
        work: &Work,
    ) -> Difference {
        let tries = Work::new(limits::WITNESS_TRIES);
        let find = |focus| steps.iter().find_map(|step| Search::new(own, other, step, &tries, work).find(focus));
        let witness = self.focus.and_then(find);
        let Self { member, here, there, comparison, .. } = self;
        Difference { step: step.map(str::to_owned), member, here, there, comparison, witness }
    }
}

fn of_bounds(own: &Envelope, other: &Envelope, work: &Work) -> Vec<Difference> {
    let (mine, theirs) = (&own.bounds, &other.bounds);
    let instant = |at: Option<i64>| json!(at.map(|at| timestamp::format(at).unwrap_or_default()));
    let mut found = Vec::new();
    if !limit_covers(theirs.expires_at, mine.expires_at) {
        let (here, there) = (instant(mine.expires_at), instant(theirs.expires_at));
        found.push(Finding::new("expires_at", here, there, Some(Focus::Expiry)));
    }
    if !limit_covers(theirs.turns, mine.turns) {
        found.push(Finding::new("turns", json!(mine.turns), json!(theirs.turns), Some(Focus::Turns)));
    }
    if mine.max_hops > theirs.max_hops {
        found.push(Finding::new("max_hops", json!(mine.max_hops), json!(theirs.max_hops), None));
    }
    if mine.max_step_ups > theirs.max_step_ups {
        let (here, there) = (json!(mine.max_step_ups), json!(theirs.max_step_ups));
        found.push(Finding::new("max_step_ups", here, there, Some(Focus::StepUps)));
    }
    for budget in theirs.budgets.iter().filter(|budget| !budget.is_kept_by(&mine.budgets)) {
        let here = mine.budgets.iter().find(|own| own.arg == budget.arg && !own.steps.is_disjoint(&budget.steps));
        found.push(Finding::new("budgets", json!(here), json!(budget), Some(Focus::Budget(budget))));
    }
    for blocked in theirs.blocked.iter().filter(|blocked| !mine.blocked.contains(blocked)) {
        found.push(Finding::new("blocked", Value::Null, json!(blocked), Some(Focus::Blocked(blocked))));
    }
    let steps: Vec<&EnvelopeStep> = own.steps.iter().collect();
    found.into_iter().map(|finding| finding.with(None, (own, &steps), other, work)).collect()
}

fn of_step(own: &Envelope, step: &EnvelopeStep, other: &Envelope, work: &Work) -> Vec<Difference> {
    let whole = |member: &str, there: Value| {
        let here =
            json!({"location": step.location, "action": step.action, "resource": step.resource, "args": step.args});
        Finding::new(member, here, there, Some(Focus::Step))
    };
    let findings = match other.step(&step.id) {
        None => vec![whole("step", Value::Null)],
        Some(theirs) if theirs.location != step.location || theirs.action != step.action => {
            vec![whole("action", json!({"location": theirs.location, "action": theirs.action}))]
        }
        Some(theirs) => of_members(step, theirs, work),
    };
    let mut found: Vec<Difference> =
        findings.into_iter().map(|finding| finding.with(Some(&step.id), (own, &[step]), other, work)).collect();
    // Where nothing shows one of them alone, a call may still show that there is a difference.
    if found.iter().all(|difference| difference.witness.is_none())
        && let Some(first) = found.first_mut()
    {
        first.witness = find_within(own, step, other, work);
    }
    found
}

/// The members of a step of which `own` permits more than `other`, a step of the same action.
fn of_members<'f>(own: &'f EnvelopeStep, other: &'f EnvelopeStep, work: &Work) -> Vec<Finding<'f>> {
    let (kind, theirs) = (&own.resource.kind, &other.resource.kind);
    let id = work.within(limits::COMPARISON_WORK, |work| {
        other.resource.id.as_constraint().compare_within(&own.resource.id.as_constraint(), work)
    });
    let resource = Comparison::from(kind == theirs).and(id);
    let mut found = Vec::new();
    if own.class != other.class {
        found.push(Finding::new("class", json!(own.class), json!(other.class), None));
    }
    if resource != Comparison::Narrower {
        let finding = Finding::new("resource", json!(own.resource), json!(other.resource), Some(Focus::Resource));
        found.push(Finding { comparison: resource, ..finding });
    }
    found.extend(of_arguments(&own.args, &other.args, work));
    let members = [
        ("uses", other.uses.covers(own.uses), json!(own.uses), json!(other.uses), Focus::Uses),
        ("after", other.after.is_subset(&own.after), json!(own.after), json!(other.after), Focus::After),
        (
            "excludes",
            other.excludes.is_subset(&own.excludes),
            json!(own.excludes),
            json!(other.excludes),
            Focus::Excludes,
        ),
        (
            "window",
            window_covers(other.window.as_ref(), own.window.as_ref()),
            json!(own.window),
            json!(other.window),
            Focus::Window,
        ),
        (
            "environment",
            other.environment.is_none() || other.environment == own.environment,
            json!(own.environment),
            json!(other.environment),
            Focus::Environment,
        ),
        ("approve", other.approve <= own.approve, json!(own.approve), json!(other.approve), Focus::Approve),
    ];
    let wider = members.into_iter().filter(|(_, tightens, ..)| !tightens);
    found.extend(wider.map(|(member, _, here, there, focus)| Finding::new(member, here, there, Some(focus))));
    found
}

fn of_arguments<'f>(own: &'f Arguments, other: &'f Arguments, work: &Work) -> Vec<Finding<'f>> {
    let names: BTreeSet<&'f String> = own.keys().chain(other.keys()).collect();
    let one = |args: &'f Arguments, name: &'f str| {
        let named = args.get_key_value(name).into_iter();
        let open = args.get_key_value("*").into_iter();
        named.chain(open).map(|(name, constraint)| (name.clone(), constraint.clone())).collect::<Arguments>()
    };
    let compared = names.into_iter().filter_map(|name| {
        let (mine, theirs) = (own.get(name), other.get(name));
        let comparison = if name == "*" {
            Comparison::from(mine.is_none() || theirs.is_some())
        } else {
            let closed = |args: Arguments, keep: bool| if keep { args } else { without_star(args) };
            // What is open beside the argument is compared on its own.
            let (parent, child) = (one(other, name), one(own, name));
            let (has_parent, has_child) = (theirs.is_some(), mine.is_some());
            let (parent, child) = (closed(parent, !has_parent), closed(child, !has_child && has_parent));
            work.within(limits::COMPARISON_WORK, |work| arguments_compare(&parent, &child, work))
        };
        let stated = |constraint: Option<&Constraint>| json!(constraint.map(Constraint::expected));
        let focus = if mine.is_some() || !own.contains_key("*") { name.as_str() } else { "*" };
        let finding = Finding::new(format!("args.{name}"), stated(mine), stated(theirs), Some(Focus::Argument(focus)));
        (comparison != Comparison::Narrower).then_some(Finding { comparison, ..finding })
    });
    compared.collect()
}

fn without_star(mut args: Arguments) -> Arguments {
    args.remove("*");
    args
}

impl Comparison {
    /// How both stand together.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wider, _) | (_, Self::Wider) => Self::Wider,
            (Self::Undecidable, _) | (_, Self::Undecidable) => Self::Undecidable,
            _ => Self::Narrower,
        }
    }
}

impl Difference {
    /// The difference as a document.
    pub fn document(&self) -> Value {
        let comparison = if self.comparison == Comparison::Wider { "wider" } else { "undecidable" };
        json!({
            "step": self.step, "member": self.member, "here": self.here, "there": self.there,
            "comparison": comparison, "example": self.witness.as_ref().map(Witness::document),
        })
    }
}

impl Witness {
    /// The example as a document: the call, the facts and the instant that a decision takes, and both answers.
    pub fn document(&self) -> Value {
        json!({
            "call": self.call.document(), "facts": self.facts, "now": timestamp::format(self.now).unwrap_or_default(),
            "here": self.here, "there": self.there,
        })
    }
}
