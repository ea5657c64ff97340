//! Envelopes, requests, calls and facts that look random. Values lean towards those that the constraints allow, and
//! children towards those that are narrower, so that the laws are not about refusals only.

use crate::sample::{a_value, sample};
use crate::support::{Known, NOW, Rng, constraint};
use crate::universe;
use marque_core::attenuate::StepRequest;
use marque_core::call::{Call, CallResource};
use marque_core::constraint::{Arguments, Constraint, TimeWindow};
use marque_core::envelope::{Bounds, Envelope, EnvelopeStep};
use marque_core::facts::{Facts, Past, PastCall};
use marque_core::plan::{Approve, Blocked, Budget, Class, Resource, ResourceId, Uses};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// What everything is drawn from.
pub struct Pool {
    pub values: Vec<Value>,
    pub constraints: Vec<Constraint>,
    pub worlds: Vec<Known>,
    ids: Vec<ResourceId>,
    windows: Vec<TimeWindow>,
    budgets: Vec<Budget>,
    blocked: Vec<Blocked>,
}

pub fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        let is_short = |value: &Value| value.as_str().is_none_or(|text| text.len() < 100);
        let values: Vec<_> = universe::values().into_iter().filter(is_short).collect();
        let list = |text: &str| serde_json::from_str(text).unwrap();
        Pool {
            constraints: universe::constraints(),
            worlds: universe::worlds(&values),
            ids: serde_json::from_value(list(IDS)).unwrap(),
            windows: serde_json::from_value(list(WINDOWS)).unwrap(),
            budgets: serde_json::from_value(list(BUDGETS)).unwrap(),
            blocked: serde_json::from_value(list(BLOCKED)).unwrap(),
            values,
        }
    })
}

const IDS: &str = r#"["a", "a", "b", {"any": true}, {"one_of": ["a", "b"]}, {"text": {"max": 3}}, {"pattern": "[a-c]+"},
    {"ref": {"step": "s", "field": "/f"}}, {"attr": {"collection": "people", "where": {"/x": {"any": true}}}}, {"prefix": "/a/"}]"#;
/// Around [`NOW`], 2026-11-22T03:00:00Z.
const WINDOWS: &str = r#"[{"from": "2026-11-01T00:00:00Z"}, {"to": "2026-12-01T00:00:00Z"}, {"from": "2026-11-22T03:00:00Z", "to": "2026-11-22T03:00:00Z"},
    {"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}, {"from": "2026-11-22T03:00:01Z"}, {"to": "2026-11-22T02:59:59Z"}]"#;
const BUDGETS: &str = r#"[{"steps": ["u0", "u1"], "max": "3"}, {"steps": ["u0"], "max": "2"}, {"steps": ["s", "u0", "u1", "u2"], "max": "4.5"},
    {"steps": ["u0", "u1"], "arg": "a", "max": "12"}, {"steps": ["u0"], "arg": "a", "max": "9.5"}, {"steps": ["u1", "u2"], "arg": "b", "max": "20"},
    {"steps": ["u0", "u1", "u2"], "arg": "a", "max": "15", "currency": "EUR"}, {"steps": ["u0", "u1"], "arg": "a", "max": "100"}, {"steps": ["u0"], "max": "9"}]"#;
const BLOCKED: &str = r#"[{"action": "act1"}, {"location": "http://localhost:2"}, {"resource": {"type": "q"}}, {"action": "act0", "resource": {"id": "b"}},
    {"resource": {"type": "r", "id": {"prefix": "/a/"}}}, {"resource": {"id": {"ref": {"step": "s", "field": "/f"}}}, "action": "act1"}]"#;

pub fn a_constraint(rng: &mut Rng, depth: usize) -> Constraint {
    let leaf = rng.pick(&pool().constraints).clone();
    if depth == 0 || rng.chance(65) {
        return leaf;
    }
    let other = Box::new(a_constraint(rng, depth - 1));
    match rng.below(6) {
        0 => Constraint::All(vec![leaf, *other]),
        1 => Constraint::Either(vec![leaf, *other]),
        2 => constraint(&json!({"items": {"of": other, "max": 1 + rng.below(3)}})),
        3 => Constraint::Each(other),
        4 => Constraint::Obj(arguments(rng, depth - 1)),
        _ => constraint(&json!({"fmt": {"template": "Hi {a}", "slots": {"a": other}}})),
    }
}

pub fn arguments(rng: &mut Rng, depth: usize) -> Arguments {
    let mut named = Arguments::new();
    for name in ["a", "b", "c"] {
        if rng.chance(40) {
            let one = a_constraint(rng, depth);
            named.insert(name.into(), if rng.chance(25) { Constraint::Optional(Box::new(one)) } else { one });
        }
    }
    if rng.chance(25) {
        named.insert("*".into(), pool().constraints[0].clone());
    }
    named
}

fn some<T: Clone>(rng: &mut Rng, percent: usize, from: &[T]) -> Option<T> {
    rng.chance(percent).then(|| rng.pick(from).clone())
}

fn ids(rng: &mut Rng, percent: usize) -> BTreeSet<String> {
    let from = ["s", "t", "u0", "u1"].map(str::to_owned);
    some(rng, percent, &from).into_iter().chain(some(rng, percent / 4, &from)).collect()
}

fn uses(rng: &mut Rng) -> Uses {
    if rng.chance(15) { Uses::Any } else { Uses::Count(1 + rng.below(4) as u64) }
}

fn a_step(rng: &mut Rng, id: String) -> EnvelopeStep {
    EnvelopeStep {
        excludes: ids(rng, 12).into_iter().filter(|other| *other != id).collect(),
        id,
        location: format!("http://localhost:{}", 1 + usize::from(rng.chance(15))),
        action: format!("act{}", usize::from(rng.chance(15))),
        resource: Resource { kind: if rng.chance(10) { "q" } else { "r" }.into(), id: rng.pick(&pool().ids).clone() },
        args: arguments(rng, 3),
        uses: uses(rng),
        class: if rng.chance(10) { Class::Pay } else { Class::Read },
        after: ids(rng, 12),
        window: some(rng, 12, &pool().windows),
        environment: some(rng, 12, &["live".to_owned(), "test".to_owned()]),
        approve: if rng.chance(15) { Approve::StepUp } else { Approve::Plan },
    }
}

/// One to three steps; sometimes so many that they are found by an index.
pub fn an_envelope(rng: &mut Rng) -> Envelope {
    let count = if rng.chance(4) { 9 + rng.below(4) } else { 1 + rng.below(3) };
    let steps = (0..count).map(|index| a_step(rng, format!("u{index}"))).collect();
    Envelope { steps, bounds: bounds(rng) }
}

fn bounds(rng: &mut Rng) -> Bounds {
    let budgets: Vec<_> = some(rng, 30, &pool().budgets).into_iter().chain(some(rng, 15, &pool().budgets)).collect();
    let blocked: Vec<_> = some(rng, 20, &pool().blocked).into_iter().collect();
    Bounds {
        expires_at: some(rng, 80, &[NOW + 1, NOW + 60, NOW + 3600]).or_else(|| some(rng, 10, &[NOW, NOW - 1])),
        turns: rng.chance(30).then(|| 2 + rng.below(4) as u64),
        max_hops: u32::try_from(rng.below(4)).unwrap(),
        max_step_ups: rng.below(4) as u64,
        budgets,
        blocked,
    }
}

/// What is narrower in nearly all cases.
pub fn narrowed(rng: &mut Rng, parent: &Constraint, depth: usize) -> Constraint {
    match rng.below(12) {
        // One that is wider in most cases.
        10 => Constraint::Either(vec![parent.clone(), rng.pick(&pool().constraints).clone()]),
        0 => parent.clone(),
        1 => Constraint::Const(sample(rng, parent, &pool().worlds[0])),
        2 => Constraint::All(vec![parent.clone(), rng.pick(&pool().constraints).clone()]),
        3 => parent.meet(rng.pick(&pool().constraints)),
        4 => Constraint::Either(vec![narrowed_by_kind(rng, parent, depth), parent.clone()]),
        _ => narrowed_by_kind(rng, parent, depth),
    }
}

fn narrowed_by_kind(rng: &mut Rng, parent: &Constraint, depth: usize) -> Constraint {
    use Constraint as C;
    if depth == 0 {
        return parent.clone();
    }
    let mut child = parent.clone();
    match &mut child {
        C::OneOf(values) if values.len() > 1 => drop(values.remove(rng.below(values.len()))),
        C::Text(rule) => (rule.max, rule.urls) = (rule.max / 2, rule.urls && rng.chance(50)),
        C::Num(range) if range.max.is_some() && range.min.is_some() => range.min = range.max.clone(),
        C::Num(range) => {
            range.max =
                range.max.clone().or_else(|| Some(marque_core::value::decimal::DecimalText::parse("100").unwrap()))
        }
        C::Amount(range) => range.min = Some(range.max.clone()),
        C::TimeWindow(window) if window.from.is_some() => window.to = window.from.clone(),
        C::Domain(rule) if rule.subdomains => {
            rule.any_of = rule.any_of.iter().map(|domain| format!("mail.{domain}")).collect();
            rule.subdomains = rng.chance(50);
        }
        C::Domain(rule) => rule.any_of.truncate(1),
        C::Prefix(prefix) => prefix.push_str("b/"),
        C::Items(rule) => {
            rule.max = 1 + rule.max / 2;
            *rule.of = narrowed(rng, &rule.of, depth - 1);
        }
        C::Each(of) if rng.chance(50) => {
            return constraint(&json!({"items": {"of": narrowed(rng, of, depth - 1), "max": 2}}));
        }
        C::Each(of) => **of = narrowed(rng, of, depth - 1),
        C::Obj(members) => *members = narrowed_arguments(rng, members, depth - 1),
        C::All(parts) => {
            let at = rng.below(parts.len());
            parts[at] = narrowed(rng, &parts[at], depth - 1);
        }
        C::Either(parts) => {
            let at = rng.below(parts.len());
            return narrowed(rng, &parts[at], depth - 1);
        }
        C::Rel(rule) => rule.min = rule.max.clone(),
        C::Attr(rule) => drop(rule.attributes.insert("/y".into(), C::Const(json!(true)))),
        C::Fmt(rule) => rule.slots.values_mut().for_each(|slot| *slot = narrowed(rng, slot, depth - 1)),
        C::Quote(rule) => {
            return constraint(
                &json!({"extract": {"step": rule.step, "type": rng.pick(&["word", "email", "number"])}}),
            );
        }
        C::Any(_) => return a_constraint(rng, depth),
        _ => {}
    }
    child
}

/// Arguments narrowed one by one, but for a few; optional ones become required, or absent.
pub fn narrowed_arguments(rng: &mut Rng, parent: &Arguments, depth: usize) -> Arguments {
    let mut child = Arguments::new();
    for (name, allowed) in parent {
        match allowed {
            _ if name == "*" && rng.chance(50) => {}
            // One that is wider.
            _ if name != "*" && rng.chance(3) => {
                child.insert(name.clone(), Constraint::Optional(Box::new(allowed.required().clone())));
            }
            Constraint::Optional(_) if rng.chance(20) => {}
            Constraint::Optional(inner) if rng.chance(50) => {
                child.insert(name.clone(), Constraint::Optional(Box::new(narrowed(rng, inner, depth))));
            }
            _ if name == "*" || rng.chance(40) => drop(child.insert(name.clone(), allowed.clone())),
            _ => drop(child.insert(name.clone(), narrowed(rng, allowed.required(), depth))),
        }
    }
    if parent.contains_key("*") && rng.chance(50) {
        child.insert("d".into(), a_constraint(rng, 1));
    }
    child
}

/// What is asked for at a hop: most steps, most of them narrower, some wider.
pub fn requests(rng: &mut Rng, parent: &Envelope) -> Vec<StepRequest> {
    let mut requests = Vec::new();
    for step in parent.steps.iter().take(4) {
        if rng.chance(85) {
            requests.push(a_request(rng, step));
        }
    }
    requests
}

fn a_request(rng: &mut Rng, step: &EnvelopeStep) -> StepRequest {
    let mut request: StepRequest = serde_json::from_value(json!({"type": "agent_intent_step", "id": step.id})).unwrap();
    if rng.chance(60) {
        let args = narrowed_arguments(rng, &step.args, 3);
        request.args = args.into_iter().filter(|(name, _)| name == "d" || rng.chance(60)).collect();
    }
    if rng.chance(8) {
        request.args.insert(rng.pick(&["a", "b", "d"]).to_string(), a_constraint(rng, 2));
    }
    if rng.chance(20) {
        request.resource_id = Some(ResourceId::Bound(narrowed(rng, &step.resource.id.as_constraint(), 2)));
    }
    request.uses = match (rng.below(10), step.uses) {
        (0, _) => Some(uses(rng)),
        (1..4, Uses::Count(most)) => Some(Uses::Count(1 + rng.below(usize::try_from(most).unwrap()) as u64)),
        _ => None,
    };
    (request.after, request.excludes) = (ids(rng, 8), ids(rng, 8));
    if rng.chance(15) {
        let window = rng.pick(&pool().windows);
        let own = step.window.as_ref().filter(|_| rng.chance(70));
        request.window = own.map_or(Some(window.clone()), |own| own.meet(window));
    }
    request.environment = if rng.chance(10) { step.environment.clone().or_else(|| Some("live".into())) } else { None };
    request.approve = some(rng, 10, &[Approve::StepUp, Approve::StepUp, Approve::Plan]);
    request
}

/// A child that nobody asked for: some things tighter, some wider than the parent has them.
pub fn a_child(rng: &mut Rng, parent: &Envelope) -> Envelope {
    let mut child = parent.clone();
    child.steps.retain(|_| rng.chance(90));
    for step in &mut child.steps {
        match rng.below(24) {
            0..5 => step.args = narrowed_arguments(rng, &step.args, 3),
            5 => step.args = arguments(rng, 2),
            6 => drop(step.args.pop_last()),
            7 => step.uses = uses(rng),
            8 => step.after = ids(rng, 50),
            9 => step.excludes = ids(rng, 50),
            10 => step.window = some(rng, 80, &pool().windows),
            11 => step.environment = some(rng, 80, &["live".to_owned()]),
            12 => step.resource.id = rng.pick(&pool().ids).clone(),
            13 => step.approve = *rng.pick(&[Approve::Plan, Approve::StepUp]),
            _ => {}
        }
    }
    let other = bounds(rng);
    match rng.below(14) {
        0 => child.bounds.expires_at = other.expires_at,
        1 => child.bounds.turns = other.turns,
        2 => child.bounds.max_hops = other.max_hops,
        3 => child.bounds.max_step_ups = other.max_step_ups,
        4 => child.bounds.budgets = other.budgets,
        5 => child.bounds.blocked = other.blocked,
        6 => child.bounds.budgets.extend(other.budgets),
        7 => child.bounds.blocked.extend(other.blocked),
        8 => child.bounds = other,
        _ => {}
    }
    child
}

/// A call of one of the steps in most cases, with values that its constraints allow in most cases.
pub fn a_call(rng: &mut Rng, envelope: &Envelope, known: &Known) -> Call {
    let free = a_step(rng, "free".into());
    let step = if envelope.steps.is_empty() || rng.chance(3) { &free } else { rng.pick(&envelope.steps) };
    let mut args = Map::new();
    for (name, allowed) in step.args.iter().filter(|(name, _)| *name != "*") {
        if rng.chance(if matches!(allowed, Constraint::Optional(_)) { 60 } else { 98 }) {
            let value = if rng.chance(5) { a_value(rng) } else { sample(rng, allowed, known) };
            args.insert(name.clone(), value);
        }
    }
    if rng.chance(if step.args.contains_key("*") { 50 } else { 2 }) {
        args.insert("d".into(), a_value(rng));
    }
    let id = match &step.resource.id {
        ResourceId::Exact(id) => id.clone(),
        ResourceId::Bound(bound) => sample(rng, bound, known).as_str().unwrap_or("a").to_owned(),
    };
    let id = if rng.chance(3) { "b".into() } else { id };
    let mut call = Call::new(&step.location, &step.action, CallResource { kind: step.resource.kind.clone(), id }, args);
    call.environment = step.environment.clone().filter(|_| rng.chance(90));
    call.records.clone_from(&known.records);
    call
}

/// Facts in which earlier steps gave something, and the others were used a few times.
pub fn a_world(rng: &mut Rng) -> Known {
    let mut known = rng.pick(&pool().worlds).clone();
    let facts = known.facts.get_or_insert_default();
    for id in ["u0", "u1", "u2"] {
        if rng.chance(35) {
            facts.steps.insert(id.into(), a_past(rng));
        }
    }
    facts.turns = rng.below(4) as u64;
    facts.step_ups = rng.below(4) as u64;
    facts.blocked = some(rng, 5, &pool().blocked).into_iter().collect();
    known
}

fn a_past(rng: &mut Rng) -> Past {
    let count = rng.below(3);
    let spent = [json!(1), json!("2.5"), json!({"currency": "EUR", "value": 5}), json!(-3), json!("a")];
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let spent = if rng.chance(95) { &spent[..4] } else { &spent[..] };
            let args = Map::from_iter([("a".to_owned(), rng.pick(spent).clone())]);
            PastCall { args, committed: rng.chance(70), ..PastCall::default() }
        })
        .collect();
    let committed = calls.iter().filter(|call| call.committed).count() as u64;
    let unknown = u64::from(rng.chance(10));
    Past { uses: count as u64 + unknown, committed, calls }
}

/// The facts, with the person's approval of the call, or of another, in some cases.
pub fn with_approval(rng: &mut Rng, known: &Known, envelope: &Envelope, call: &Call) -> Facts {
    let mut facts = known.facts.clone().unwrap_or_default();
    if rng.chance(30) {
        let steps = envelope.steps.iter().filter(|_| rng.chance(70));
        facts.approvals.extend(steps.map(|step| call.approval_for(&step.id)));
    }
    if rng.chance(30) {
        let other = Call::new("", "other", call.resource.clone(), call.args.clone());
        facts.approvals.extend(envelope.steps.iter().map(|step| other.approval_for(&step.id)));
    }
    facts
}
