//! The laws over generated pairs of a parent and a child.

use crate::generate::{
    a_call, a_child, a_constraint, a_world, an_envelope, arguments, narrowed, narrowed_arguments, pool, requests,
    with_approval,
};
use crate::sample::{a_value, sample};
use crate::support::{NOW, Rng, pairs, percent};
use marque_core::attenuate::{StepRequest, attenuate, compare, covers};
use marque_core::call::Call;
use marque_core::constraint::{Arguments, Comparison, Constraint, Work, arguments_compare, meet_arguments};
use marque_core::decide::{Decision, Offline, decide, decide_offline};
use marque_core::envelope::{Bounds, Envelope, EnvelopeStep};
use marque_core::limits;
use marque_core::reason::Reason;
use std::collections::BTreeMap;

/// What is counted, so that it can be seen that the laws are not about nothing.
#[derive(Default)]
pub struct Figures(BTreeMap<&'static str, u64>);

impl Figures {
    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// How many different things were counted.
    pub fn kinds(&self) -> usize {
        self.0.len()
    }

    /// At least so many of a hundred.
    pub fn assert_share(&self, part: &str, whole: &str, least: u64) {
        assert!(self.get(part) * 100 >= self.get(whole) * least, "too few {part}: {:?}", self.0);
    }

    pub fn print(&self, of: &str) {
        let whole = self.get(of);
        let shares = self.0.iter().map(|(what, count)| format!("{what} {count} ({} %)", percent(*count, whole)));
        println!("{}", shares.collect::<Vec<_>>().join(", "));
    }
}

fn a_pair(rng: &mut Rng, parent: &Envelope, figures: &mut Figures) -> Option<Envelope> {
    figures.count("pairs");
    if rng.chance(30) {
        let child = a_child(rng, parent);
        return covers(parent, &child).then(|| {
            figures.count("covered");
            child
        });
    }
    let requests = requests(rng, parent);
    match attenuate(parent, &requests) {
        Ok(child) => {
            figures.count("attenuated");
            assert!(covers(parent, &child), "{parent:?} {requests:?}");
            assert_as_asked(parent, &child, &requests);
            Some(child)
        }
        Err(widening) => {
            let is_undecidable = widening.reason == Reason::ComparisonUndecidable;
            assert!(is_undecidable || widening.reason == Reason::WiderThanParent);
            figures.count(if is_undecidable { "undecidable" } else { "wider" });
            None
        }
    }
}

/// Laws 1, 2, 5 and 6.
#[test]
fn a_child_permits_nothing_that_its_parent_refuses() {
    let mut figures = Figures::default();
    for case in 0..pairs() {
        let mut rng = Rng::of_case(1, case);
        let parent = an_envelope(&mut rng);
        let Some(child) = a_pair(&mut rng, &parent, &mut figures) else { continue };
        assert_tighter(&parent.bounds, &child.bounds);
        for _ in 0..3 {
            assert_sound(&mut rng, &parent, &child, &mut figures);
        }
        if case % 8 == 0 {
            assert_transitive(&mut rng, &parent, &child, &mut figures);
        }
    }
    figures.print("pairs");
    figures.assert_share("attenuated", "pairs", 30);
    figures.assert_share("covered", "pairs", 5);
    figures.assert_share("parent permits", "calls", 15);
    figures.assert_share("child permits", "calls", 10);
    figures.assert_share("child asks for a step-up", "calls", 1);
    figures.assert_share("parent refuses", "calls", 20);
    figures.assert_share("parent permits, child does not", "calls", 1);
    figures.assert_share("grandchildren", "pairs", 2);
}

/// Law 1, for one call; the same for what can be told without the ledger.
#[track_caller]
fn assert_sound(rng: &mut Rng, parent: &Envelope, child: &Envelope, figures: &mut Figures) {
    let known = a_world(rng);
    let by_parent = rng.chance(25);
    let call = a_call(rng, if by_parent { parent } else { child }, &known);
    let facts = with_approval(rng, &known, &call);
    let now = *rng.pick(&[NOW, NOW, NOW, NOW + 59]);
    let (allowed, wanted) = (decide(parent, &call, &facts, now), decide(child, &call, &facts, now));
    let holds = match (&wanted, &allowed) {
        (Decision::Permit(_), allowed) => matches!(allowed, Decision::Permit(_)),
        (Decision::StepUp(_), allowed) => matches!(allowed, Decision::Permit(_) | Decision::StepUp(_)),
        _ => true,
    };
    assert!(holds, "{parent:?}\n{child:?}\n{call:?}\n{facts:?}\nparent: {allowed:?}\nchild: {wanted:?}");
    let is_free = |envelope| matches!(decide_offline(envelope, &call, now), Offline::Permit(_));
    assert!(!is_free(child) || is_free(parent), "without the ledger: {parent:?}\n{child:?}\n{call:?}");
    count_decisions(&allowed, &wanted, figures);
    if matches!(wanted, Decision::Permit(step) if is_history(step, &call)) {
        figures.count("child permits by history");
    }
}

fn is_history(step: &EnvelopeStep, call: &Call) -> bool {
    step.args.iter().any(|(name, one)| call.args.contains_key(name) && one.needs_history())
}

fn count_decisions(allowed: &Decision<'_>, wanted: &Decision<'_>, figures: &mut Figures) {
    figures.count("calls");
    match allowed {
        Decision::Permit(_) => figures.count("parent permits"),
        Decision::StepUp(_) => figures.count("parent asks for a step-up"),
        _ => figures.count("parent refuses"),
    }
    match wanted {
        Decision::Permit(_) => figures.count("child permits"),
        Decision::StepUp(_) => figures.count("child asks for a step-up"),
        _ if matches!(allowed, Decision::Permit(_)) => figures.count("parent permits, child does not"),
        _ => {}
    }
}

/// Law 2 along a chain of three.
fn assert_transitive(rng: &mut Rng, parent: &Envelope, child: &Envelope, figures: &mut Figures) {
    let requests = requests(rng, child);
    let Ok(grandchild) = attenuate(child, &requests) else { return };
    figures.count("grandchildren");
    assert!(covers(child, &grandchild), "{child:?}\n{grandchild:?}");
    assert_eq!(compare(parent, &grandchild), Ok(()), "{parent:?}\n{child:?}\n{grandchild:?}");
    assert_sound(rng, parent, &grandchild, &mut Figures::default());
}

/// What a request does not name stays exactly as the parent has it; what it names is exactly that, or more of it.
#[track_caller]
fn assert_as_asked(parent: &Envelope, child: &Envelope, requests: &[StepRequest]) {
    assert_eq!(child.bounds, parent.bounds);
    let asked: Vec<&str> = parent
        .steps
        .iter()
        .map(|step| step.id.as_str())
        .filter(|id| requests.iter().any(|request| request.id == *id))
        .collect();
    assert_eq!(child.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(), asked, "the parent's order");
    for step in &child.steps {
        let mut expected = parent.step(&step.id).unwrap().clone();
        let request = requests.iter().find(|request| request.id == step.id).unwrap();
        expected.args.extend(request.args.clone());
        expected.uses = request.uses.unwrap_or(expected.uses);
        expected.after.extend(request.after.clone());
        expected.excludes.extend(request.excludes.clone());
        expected.window = request.window.clone().or(expected.window);
        expected.environment = request.environment.clone().or(expected.environment);
        expected.approve = request.approve.unwrap_or(expected.approve);
        expected.resource.id = request.resource_id.clone().unwrap_or(expected.resource.id);
        assert_eq!(*step, expected);
    }
}

/// Law 6, said again in other words.
#[track_caller]
fn assert_tighter(parent: &Bounds, child: &Bounds) {
    let earlier = |parent: Option<i64>, child: Option<i64>| child.unwrap_or(i64::MAX) <= parent.unwrap_or(i64::MAX);
    assert!(earlier(parent.expires_at, child.expires_at), "{parent:?} {child:?}");
    let fewer = |parent: Option<u64>, child: Option<u64>| child.unwrap_or(u64::MAX) <= parent.unwrap_or(u64::MAX);
    assert!(fewer(parent.turns, child.turns), "{parent:?} {child:?}");
    assert!(child.max_hops <= parent.max_hops && child.max_step_ups <= parent.max_step_ups, "{parent:?} {child:?}");
    assert!(parent.blocked.iter().all(|blocked| child.blocked.contains(blocked)), "{parent:?} {child:?}");
    for budget in &parent.budgets {
        let kept = child.budgets.iter().any(|own| {
            own.max.value() <= budget.max.value()
                && own.arg == budget.arg
                && budget.steps.iter().all(|step| own.steps.contains(step))
        });
        assert!(kept, "{budget:?} is kept by {child:?}");
    }
}

/// Laws 1 to 3 for constraints that are nested and generated, with values that the child allows.
#[test]
fn constraints_keep_the_laws_when_they_are_nested() {
    let mut figures = Figures::default();
    for case in 0..pairs() / 2 {
        let mut rng = Rng::of_case(2, case);
        let parent = a_constraint(&mut rng, 3);
        let other = if rng.chance(90) { narrowed(&mut rng, &parent, 3) } else { a_constraint(&mut rng, 3) };
        let (parent, child) = if rng.chance(75) { (parent, other) } else { (other, parent) };
        assert!(parent.covers(&parent), "{parent:?} covers itself");
        figures.count("pairs");
        let comparison = parent.compare(&child);
        figures.count(match comparison {
            Comparison::Narrower => "narrower",
            Comparison::Wider => "wider",
            Comparison::Undecidable => "undecidable",
        });
        let met = (case % 4 == 0).then(|| parent.meet(&child));
        if let Some(met) = &met {
            assert!(parent.covers(met) && child.covers(met), "{met:?} is below {parent:?} and {child:?}");
        }
        let known = rng.pick(&pool().worlds);
        for _ in 0..3 {
            let value = sample(&mut rng, &child, known);
            let (wanted, allowed) = (known.holds(&child, &value), known.holds(&parent, &value));
            figures.count("values");
            if wanted {
                figures.count("values that hold");
            }
            assert!(!wanted || allowed || comparison != Comparison::Narrower, "{parent:?} covers {child:?}, {value}");
            if let Some(met) = &met {
                assert_eq!(
                    known.holds(met, &value),
                    wanted && allowed,
                    "{met:?} of {parent:?} and {child:?}, {value} {known:?}"
                );
            }
        }
    }
    figures.print("pairs");
    figures.assert_share("narrower", "pairs", 40);
    figures.assert_share("values that hold", "values", 40);
}

/// Laws 1 and 3 for arguments.
#[test]
fn arguments_keep_the_laws_when_they_are_nested() {
    let mut figures = Figures::default();
    for case in 0..pairs() / 4 {
        let mut rng = Rng::of_case(3, case);
        let parent = arguments(&mut rng, 2);
        let child = if rng.chance(70) { narrowed_arguments(&mut rng, &parent, 2) } else { arguments(&mut rng, 2) };
        let narrower = arguments_compare(&parent, &child, &Work::new(limits::COMPARISON_WORK)) == Comparison::Narrower;
        figures.count("pairs");
        figures.count(if narrower { "narrower" } else { "not narrower" });
        let met = meet_arguments(&parent, &child, &Work::new(limits::COMPARISON_WORK));
        let known = rng.pick(&pool().worlds);
        for _ in 0..3 {
            let mut given = given(&mut rng, &child, known);
            if rng.chance(20) {
                given.insert((*rng.pick(&["a", "b", "c", "d", "*"])).into(), a_value(&mut rng));
            }
            let (wanted, allowed) = (known.all_hold(&child, &given), known.all_hold(&parent, &given));
            figures.count("calls");
            if wanted {
                figures.count("calls that hold");
            }
            assert!(!wanted || allowed || !narrower, "{parent:?} covers {child:?}, {given:?}");
            let both = met.as_ref().is_some_and(|met| known.all_hold(met, &given));
            assert_eq!(both, wanted && allowed, "{met:?} of {parent:?} and {child:?}, {given:?}");
        }
    }
    figures.print("pairs");
    figures.assert_share("narrower", "pairs", 30);
    figures.assert_share("calls that hold", "calls", 30);
}

fn given(
    rng: &mut Rng,
    arguments: &Arguments,
    known: &crate::support::Known,
) -> serde_json::Map<String, serde_json::Value> {
    let named: Vec<_> = arguments
        .iter()
        .filter(|(name, one)| *name != "*" && (!matches!(one, Constraint::Optional(_)) || rng.chance(50)))
        .collect();
    named.into_iter().map(|(name, one)| (name.clone(), sample(rng, one, known))).collect()
}

/// Law 3 for envelopes: the meet of two is below both, permits nothing that one of them refuses, and is not empty.
#[test]
fn the_meet_of_two_envelopes_is_below_both() {
    let mut figures = Figures::default();
    for case in 0..pairs() / 4 {
        let mut rng = Rng::of_case(4, case);
        let parent = an_envelope(&mut rng);
        let (one, other) = (a_child(&mut rng, &parent), a_child(&mut rng, &parent));
        let met = one.meet(&other);
        figures.count("pairs");
        if !met.steps.is_empty() {
            figures.count("not empty");
        }
        for above in [&one, &other] {
            assert_eq!(compare(above, &met), Ok(()), "{above:?}\n{met:?}");
            assert_sound(&mut rng, above, &met, &mut figures);
        }
    }
    figures.print("pairs");
    figures.assert_share("not empty", "pairs", 60);
    figures.assert_share("child permits", "calls", 5);
}
