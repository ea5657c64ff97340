//! Law 7: uses, groups, budgets, turns and step-ups are shared along the chain, whichever child a call goes through.

use crate::generate::{a_call, a_world, an_envelope, requests};
use crate::support::{Known, NOW, Rng, constraint, pairs};
use marque_core::attenuate::attenuate;
use marque_core::call::Call;
use marque_core::decide::{Decision, decide};
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, PastCall};
use marque_core::plan::{Budget, Uses};
use serde_json::{Value, json};

/// A ledger as a server keeps one: facts by the signed plan's step ids, and who used what.
struct Ledger {
    known: Known,
    permitted: usize,
    refused: usize,
    asked: usize,
}

impl Ledger {
    fn facts(&mut self) -> &mut Facts {
        self.known.facts.get_or_insert_default()
    }

    /// One call through one holder; what is permitted is reserved.
    fn attempt(&mut self, rng: &mut Rng, signed: &Envelope, holder: &Envelope) {
        let call = a_call(rng, holder, &self.known);
        let decision = decide(holder, &call, self.facts(), NOW);
        if let Decision::StepUp(step_up) = &decision {
            assert_eq!(step_up.approval, call.approval_for(&step_up.step.id));
            self.asked += 1;
            self.facts().step_ups += 1;
            if rng.chance(50) {
                let approval = step_up.approval;
                self.facts().approvals.insert(approval);
                let again = decide(holder, &call, self.facts(), NOW);
                let Decision::Permit(step) = again else { panic!("approved, and still {again:?}") };
                self.reserve(signed, &step.id, &call);
                self.facts().approvals.clear();
            }
            return;
        }
        let Decision::Permit(step) = decision else {
            self.refused += 1;
            return;
        };
        assert!(matches!(decide(signed, &call, self.facts(), NOW), Decision::Permit(_)), "{holder:?} {call:?}");
        self.reserve(signed, &step.id, &call);
    }

    fn reserve(&mut self, signed: &Envelope, id: &str, call: &Call) {
        self.permitted += 1;
        let before = self.facts().clone();
        let past = self.facts().steps.entry(id.to_owned()).or_default();
        past.uses += 1;
        past.calls.push(PastCall { args: call.args.clone(), ..PastCall::default() });
        assert_within(signed, id, &before, self.facts());
    }

    /// Time goes on: something is committed, given back, or a turn begins.
    fn go_on(&mut self, rng: &mut Rng) {
        if rng.chance(10) {
            self.facts().turns += 1;
        }
        let id = *rng.pick(&["u0", "u1", "u2"]);
        let Some(past) = self.facts().steps.get_mut(id) else { return };
        let Some(open) = past.calls.iter().position(|call| !call.committed) else { return };
        if rng.chance(60) {
            past.calls[open].committed = true;
            past.committed += 1;
        } else {
            past.calls.remove(open);
            past.uses -= 1;
        }
    }
}

/// What the signed plan bounds, added up anew.
fn assert_within(signed: &Envelope, id: &str, before: &Facts, after: &Facts) {
    let step = signed.step(id).unwrap();
    let used = |facts: &Facts, id: &str| facts.steps.get(id).map_or(0, |past| past.uses);
    assert!(step.uses == Uses::Any || step.uses.covers(Uses::Count(used(after, id))), "{id} {step:?} {after:?}");
    assert!(step.excludes.iter().all(|other| used(before, other) == 0), "{id} {signed:?} {after:?}");
    assert!(step.after.iter().all(|other| before.steps.get(other).is_some_and(|past| past.committed > 0)));
    assert!(signed.bounds.turns.is_none_or(|turns| before.turns <= turns));
    for budget in signed.bounds.budgets.iter().filter(|budget| budget.steps.contains(id)) {
        let most: f64 = budget.max.as_str().parse().unwrap();
        assert!(spent(budget, after) <= most + 1e-9, "{budget:?} {after:?}");
    }
}

fn spent(budget: &Budget, facts: &Facts) -> f64 {
    let pasts = budget.steps.iter().filter_map(|step| facts.steps.get(step));
    let Some(arg) = &budget.arg else { return pasts.map(|past| past.uses as f64).sum() };
    let given = pasts.flat_map(|past| &past.calls).filter_map(|call| call.args.get(arg));
    given.map(|value| number(budget, value).max(0.0)).sum()
}

/// What is no number, or in another currency, is beyond every budget.
fn number(budget: &Budget, value: &Value) -> f64 {
    let value = match &budget.currency {
        Some(currency) if value["currency"] == **currency => &value["value"],
        Some(_) => return f64::INFINITY,
        None => value,
    };
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(f64::INFINITY)
}

/// Steps that spend numbers, and a budget that is soon used up.
fn spend(signed: &mut Envelope) {
    for step in &mut signed.steps {
        step.args = [("a".to_owned(), constraint(&json!({"num": {"min": "1", "max": "5"}})))].into();
        step.uses = Uses::Count(4);
    }
    signed.bounds.budgets = serde_json::from_value(json!([{"steps": ["u0", "u1"], "arg": "a", "max": "12"}])).unwrap();
}

#[test]
fn splitting_a_plan_over_hops_and_gates_never_multiplies_it() {
    let (mut permitted, mut refused, mut asked, mut split) = (0, 0, 0, 0);
    for case in 0..pairs() / 100 {
        let mut rng = Rng::of_case(7, case);
        let mut signed = an_envelope(&mut rng);
        signed.bounds.expires_at = Some(NOW + 60);
        if rng.chance(50) {
            spend(&mut signed);
        }
        let mut holders = vec![signed.clone()];
        for _ in 0..6 {
            let giver = rng.pick(&holders).clone();
            holders.extend(attenuate(&giver, &requests(&mut rng, &giver)));
        }
        let mut ledger = Ledger { known: a_world(&mut rng), permitted: 0, refused: 0, asked: 0 };
        let facts = ledger.facts();
        (facts.turns, facts.step_ups) = (0, 0);
        facts.steps.retain(|id, _| !id.starts_with('u'));
        for _ in 0..40 {
            let holder = rng.pick(&holders).clone();
            ledger.attempt(&mut rng, &signed, &holder);
            if rng.chance(30) {
                ledger.go_on(&mut rng);
            }
        }
        let step_ups = ledger.facts().step_ups;
        assert!(step_ups <= signed.bounds.max_step_ups, "{step_ups} {signed:?}");
        (permitted, refused, asked) = (permitted + ledger.permitted, refused + ledger.refused, asked + ledger.asked);
        split += usize::from(holders.len() > 3);
    }
    println!(
        "{permitted} calls permitted, {refused} refused, {asked} step-ups, {split} plans over four and more holders"
    );
    assert!(permitted * 100 > (permitted + refused) * 10 && refused * 100 > (permitted + refused) * 20 && asked > 10);
}
