//! Laws 1 and 7 where a budget adds up numbers that are as long as they may be.

use crate::support::{NOW, Rng, constraint, pairs};
use marque_core::attenuate::covers;
use marque_core::call::{Call, CallResource};
use marque_core::decide::{Decision, decide};
use marque_core::envelope::{Bounds, Envelope, EnvelopeStep};
use marque_core::facts::{Facts, Past, PastCall};
use serde_json::{Map, Value, json};

const STEPS: [&str; 4] = ["u0", "u1", "u2", "u3"];
/// Two greatest numbers, and the room of one that the others fill: with some of them the sum has a digit too many, with
/// others it has not.
const MOST: [&str; 2] = ["9999999999999999999999999998", "9999999999999999999999999999"];
const NUMBERS: [&str; 8] =
    ["0.1", "0.9", "0.5", "-5", "1", "0.0000000000000000000000000001", "9999999999999999999999999997", MOST[0]];

fn step(id: &str) -> EnvelopeStep {
    let step = json!({"id": id, "location": "http://localhost:1", "action": id, "resource": {"type": "r", "id": "a"},
        "args": {}, "uses": 9, "class": "pay"});
    let mut step: EnvelopeStep = serde_json::from_value(step).unwrap();
    step.args.insert("a".into(), constraint(&json!({"any": true})));
    step
}

/// A budget of some steps, and one that adds up more.
fn budgets(rng: &mut Rng) -> (Value, Value) {
    let most = *rng.pick(&MOST);
    let wide: Vec<&str> = STEPS.into_iter().filter(|_| rng.chance(60)).collect();
    let wide = if wide.is_empty() { vec!["u3"] } else { wide };
    let tight: Vec<&str> = STEPS.into_iter().filter(|step| wide.contains(step) || rng.chance(60)).collect();
    let of = |steps: Vec<&str>| json!({"steps": steps, "arg": "a", "max": most});
    (of(wide), of(tight))
}

fn envelope(budgets: &[Value]) -> Envelope {
    let bounds = Bounds { budgets: serde_json::from_value(budgets.into()).unwrap(), ..Bounds::default() };
    Envelope { steps: STEPS.map(step).into(), bounds }
}

fn given(rng: &mut Rng) -> Map<String, Value> {
    [("a".to_owned(), Value::from(*rng.pick(&NUMBERS)))].into_iter().collect()
}

fn past(rng: &mut Rng) -> Past {
    let calls: Vec<_> = (0..rng.below(3)).map(|_| PastCall { args: given(rng), ..PastCall::default() }).collect();
    Past { uses: calls.len() as u64, committed: 0, calls }
}

#[test]
fn a_wider_budget_never_refuses_what_a_tighter_one_permits() {
    let (mut permitted, mut refused) = (0, 0);
    for case in 0..pairs() {
        let mut rng = Rng::of_case(9, case);
        let (wide, tight) = budgets(&mut rng);
        let (parent, child) = (envelope(std::slice::from_ref(&wide)), envelope(&[tight]));
        assert!(covers(&parent, &child), "{wide} {child:?}");
        let facts = Facts { steps: STEPS.map(|step| (step.to_owned(), past(&mut rng))).into(), ..Facts::default() };
        let action = *rng.pick(&STEPS);
        let resource = CallResource { kind: "r".into(), id: "a".into() };
        let call = Call::new("http://localhost:1", action, resource, given(&mut rng));
        let permits = |envelope: &Envelope| matches!(decide(envelope, &call, &facts, NOW), Decision::Permit(_));
        let (above, below) = (permits(&parent), permits(&child));
        assert!(above || !below, "case {case}: {wide} refuses, {:?} permits {call:?} {facts:?}", child.bounds.budgets);
        permitted += u64::from(below);
        refused += u64::from(!above);
    }
    println!("of {} calls {permitted} permitted by both, {refused} refused by both", pairs());
    assert!(permitted * 5 > pairs() && refused * 5 > pairs());
}
