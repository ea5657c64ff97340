use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const PLACES: [&str; 2] = ["https://here.example", "https://other.example"];
const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn some_ids() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(IDS.to_vec()), 0..2)
}

/// A plan's steps with what ties them together, and its budgets.
fn plan() -> impl Strategy<Value = Value> {
    let step = (0..4_usize, some_ids(), 0..6_u8, 0..4_usize);
    let steps = prop::collection::vec(step, IDS.len());
    let budgets = prop::collection::vec(prop::collection::btree_set(prop::sample::select(IDS.to_vec()), 1..3), 0..2);
    (steps, budgets, 0..8_u8).prop_map(|(drawn, budgets, turns)| {
        let groups: Vec<usize> = drawn.iter().map(|(_, _, _, group)| *group).collect();
        let rivals = |own: usize| {
            let of_group = IDS.iter().enumerate().filter(|(other, _)| groups[own] == 0 && groups[*other] == 0 && *other != own);
            of_group.map(|(_, id)| *id).collect::<Vec<_>>()
        };
        let steps: Vec<Value> = drawn
            .iter()
            .enumerate()
            .map(|(index, (place, after, approve, _))| {
                let after: Vec<_> = after.iter().filter(|id| **id != IDS[index]).collect();
                json!({"id": IDS[index], "location": PLACES[usize::from(*place == 0)], "action": if *place < 2 { IDS[index] } else { "x" },
                       "resource": {"type": "t", "id": "i"}, "args": {}, "uses": 1, "class": "change",
                       "after": after, "excludes": rivals(index),
                       "approve": if *approve == 0 { "step_up" } else { "plan" }})
            })
            .collect();
        let budgets: Vec<Value> = budgets.iter().map(|steps| json!({"steps": steps, "max": "5"})).collect();
        json!({"steps": steps, "bounds": if turns == 0 { json!({"turns": 2, "budgets": budgets}) } else { json!({"budgets": budgets}) }})
    })
}

/// A token of the plan: some of its steps, all of its bounds.
fn shown(plan: &Value, mask: u8) -> Envelope {
    let mut plan = plan.clone();
    let kept = plan["steps"].as_array().unwrap().iter().enumerate();
    plan["steps"] = kept.filter(|(index, _)| mask & (1 << index) != 0).map(|(_, step)| step.clone()).collect();
    serde_json::from_value(plan).unwrap()
}

fn settings() -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(11);
    ProptestConfig { cases: 3000, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    /// Whatever tokens of a plan are shown in whatever order, and whichever of their steps is called: a step is decided in
    /// one place, and all steps of which its decision needs facts are counted in the same. What is decided here depends on
    /// nothing that the whole plan has elsewhere.
    #[test]
    fn a_step_is_counted_in_one_place(plan in plan(), calls in prop::collection::vec((1..32_u8, 0..5_usize), 1..12)) {
        let whole = shown(&plan, 31);
        let (mut homes, mut decided) = (Homes::new(), BTreeMap::<String, Home>::new());
        for (mask, called) in calls {
            let (envelope, before) = (shown(&plan, mask), homes.clone());
            let division = Division::of(&envelope, PLACES[0], &before);
            let here = division.here.iter().map(|step| (*step, Home::Here));
            let at_marque = division.at_marque.iter().map(|step| (*step, Home::Marque));
            let Some((step, home)) = here.chain(at_marque).find(|(step, _)| step.id == IDS[called]) else { continue };
            let id = step.id.clone();
            prop_assert_eq!(decided.insert(id, home).unwrap_or(home), home, "{} is decided in two places", step.id);
            for id in division.unwritten(step, home) {
                prop_assert_eq!(homes.insert(id.clone(), home), None, "{} had a home", id);
            }
            for id in division.ties.needs(&step.id) {
                prop_assert_eq!(homes.get(id), Some(&home), "{} is not where {} is", id, step.id);
                let place = whole.step(id).map(|step| step.location.as_str());
                prop_assert!(home == Home::Marque || place == Some(PLACES[0]), "{} is elsewhere", id);
            }
        }
    }
}
