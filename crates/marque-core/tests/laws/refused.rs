//! Laws 4 and 5: what a child must not leave out, and what cannot be compared.

use crate::generate::{an_envelope, pool};
use crate::pairs::Figures;
use crate::support::{Rng, constraint, pairs};
use marque_core::attenuate::{StepRequest, attenuate, compare, covers};
use marque_core::constraint::Constraint;
use marque_core::envelope::{Bounds, Envelope, EnvelopeStep};
use marque_core::plan::{Approve, Uses};
use marque_core::reason::Reason;
use serde_json::json;

/// Law 5: a request that says nothing gives the parent; a child that leaves something out is never covered.
#[test]
fn what_a_child_does_not_state_is_its_parents() {
    let mut figures = Figures::default();
    for case in 0..pairs() / 10 {
        let mut rng = Rng::of_case(5, case);
        let parent = an_envelope(&mut rng);
        let silent =
            |step: &EnvelopeStep| serde_json::from_value(json!({"type": "agent_intent_step", "id": step.id})).unwrap();
        let requests: Vec<StepRequest> = parent.steps.iter().map(silent).collect();
        assert_eq!(attenuate(&parent, &requests), Ok(parent.clone()));
        for (what, child) in [bounds_left_out(&parent), steps_left_out(&parent), arguments_left_out(&parent)].concat() {
            figures.count("left out");
            figures.count(what);
            assert!(!covers(&parent, &child), "{what} left out: {parent:?}\n{child:?}");
        }
    }
    figures.print("left out");
    assert_eq!(figures.kinds(), 16, "each of them was left out somewhere");
}

type LeftOut = Vec<(&'static str, Envelope)>;

fn bounds_left_out(parent: &Envelope) -> LeftOut {
    let mut all = Vec::new();
    let mut without = |what, is_there: bool, change: &dyn Fn(&mut Bounds)| {
        let mut child = parent.clone();
        change(&mut child.bounds);
        all.extend(is_there.then_some((what, child)));
    };
    let bounds = &parent.bounds;
    without("end", bounds.expires_at.is_some(), &|bounds| bounds.expires_at = None);
    without("turns", bounds.turns.is_some(), &|bounds| bounds.turns = None);
    without("hops", true, &|bounds| bounds.max_hops += 1);
    without("step-ups", true, &|bounds| bounds.max_step_ups += 1);
    without("budgets", !bounds.budgets.is_empty(), &|bounds| bounds.budgets.clear());
    without("blocked", !bounds.blocked.is_empty(), &|bounds| bounds.blocked.clear());
    all
}

fn steps_left_out(parent: &Envelope) -> LeftOut {
    let mut all = Vec::new();
    for (index, step) in parent.steps.iter().enumerate() {
        let mut without = |what, is_there: bool, change: &dyn Fn(&mut EnvelopeStep)| {
            let mut child = parent.clone();
            change(&mut child.steps[index]);
            all.extend(is_there.then_some((what, child)));
        };
        without("uses", matches!(step.uses, Uses::Count(_)), &|step| step.uses = Uses::Any);
        without("after", !step.after.is_empty(), &|step| drop(step.after.pop_first()));
        without("excludes", !step.excludes.is_empty(), &|step| drop(step.excludes.pop_first()));
        without("window", step.window.is_some(), &|step| step.window = None);
        without("environment", step.environment.is_some(), &|step| step.environment = None);
        without("approval", step.approve == Approve::StepUp, &|step| step.approve = Approve::Plan);
        without("step", true, &|step| step.id.push('x'));
        without("star", !step.args.contains_key("*"), &|step| {
            drop(step.args.insert("*".into(), pool().constraints[0].clone()))
        });
    }
    all
}

/// A named argument that a child does not name is absent from its calls or, where it opens them, anything.
fn arguments_left_out(parent: &Envelope) -> LeftOut {
    let mut all = Vec::new();
    for (index, step) in parent.steps.iter().enumerate() {
        for (name, allowed) in step.args.iter().filter(|(name, _)| *name != "*") {
            let is_optional = matches!(allowed, Constraint::Optional(_));
            let is_open = step.args.contains_key("*");
            let allows_any = allowed.required().covers(&pool().constraints[0]);
            if !is_optional || (is_open && !allows_any) {
                let mut child = parent.clone();
                child.steps[index].args.remove(name);
                all.push(("argument", child));
            }
        }
    }
    all
}

/// Law 4: what cannot be compared is refused and says so; it is never guessed.
#[test]
fn what_cannot_be_compared_is_refused_as_undecidable() {
    let f = json!({"ref": {"step": "s", "field": "/f"}});
    for (parent, child) in [
        (json!({"pattern": "[a-z]+"}), json!({"pattern": "[a-y]+"})),
        (json!({"pattern": "[a-z]{2}"}), json!({"pattern": "[a-y]{2}"})),
        (json!({"pattern": ".*"}), json!({"text": {"max": 1}})),
        (json!({"text": {"max": 5}}), json!({"pattern": "a+"})),
        (json!({"domain": {"any_of": ["x.com"]}}), json!({"pattern": "[a-z]{2}@x[.]com"})),
        (f.clone(), json!({"const": 5})),
        (f.clone(), json!({"same_as": {"step": "s", "arg": "x"}})),
        (json!({"num": {"max": "5"}}), f.clone()),
        (json!({"rel": {"base": f, "min": "-1", "max": "1"}}), f.clone()),
        (json!({"attr": {"collection": "a", "where": {"/x": {"const": 1}}}}), json!({"const": "id"})),
        (
            json!({"attr": {"collection": "a", "where": {"/x": {"const": 1}}}}),
            json!({"attr": {"collection": "b", "where": {"/x": {"const": 1}}}}),
        ),
        (json!({"extract": {"step": "s", "type": "email"}}), json!({"quote": {"step": "s"}})),
        (json!({"quote": {"step": "t"}}), json!({"extract": {"step": "s", "type": "email"}})),
        (
            json!({"fmt": {"template": "Hi {a}", "slots": {"a": {"text": {"max": 5}}}}}),
            json!({"fmt": {"template": "Hi  {a}", "slots": {"a": {"text": {"max": 5}}}}}),
        ),
        (json!({"text": {"max": 100, "urls": true}}), json!({"quote": {"step": "s"}})),
    ] {
        let mut parent_envelope = an_envelope(&mut Rng::of_case(6, 0));
        parent_envelope.steps.truncate(1);
        parent_envelope.steps[0].args = [("a".to_owned(), constraint(&parent))].into();
        let request = json!({"type": "agent_intent_step", "id": "u0", "args": {"a": child}});
        let refused = attenuate(&parent_envelope, &[serde_json::from_value(request).unwrap()]).unwrap_err();
        assert_eq!(refused.reason, Reason::ComparisonUndecidable, "{parent} {child}");
        let mut child_envelope = parent_envelope.clone();
        child_envelope.steps[0].args = [("a".to_owned(), constraint(&child))].into();
        assert_eq!(compare(&parent_envelope, &child_envelope).unwrap_err().reason, Reason::ComparisonUndecidable);
    }
}
