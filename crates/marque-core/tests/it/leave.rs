//! Steps that leave the trust domain: what they must say to be admitted, and to be taken at the exchange.

use crate::support::{at, catalog, completion, envelope, submitted};
use marque_core::catalog::UnknownActions;
use marque_core::leave::{leaves, scope};
use marque_core::reason::Reason;
use marque_core::resolve::{Completion, resolve};
use serde_json::{Value, json};

const FOREIGN: &str = "https://as.foreign.example";

fn plan() -> Value {
    json!({
        "version": 1, "purpose": "Look into another calendar", "agent": "demo-agent", "user": {"username": "alice"},
        "mode": "strict", "limits": {"lifetime_secs": 3600, "max_hops": 0},
        "steps": [{
            "id": "leave", "location": FOREIGN, "action": "leave_domain",
            "resource": {"type": "scope", "id": "calendar.read contacts.read"}, "args": {"*": {"any": true}},
        }],
    })
}

fn described(class: &str) -> Value {
    json!({"iss": "way-out", "version": 1, "location": FOREIGN, "actions": {"leave_domain": {
        "class": class, "reversible": false, "resource": "scope", "args": {"note": {"type": "string"}},
        "display": {"en": "Leave for another domain with {resource}"},
    }}})
}

fn rejected(plan: &Value, class: &str, unknown_actions: UnknownActions) -> Option<(Reason, String)> {
    let catalogs = [catalog(&described(class))];
    let known = if unknown_actions == UnknownActions::Show { &[][..] } else { &catalogs[..] };
    let rejection = resolve(submitted(plan), &Completion { unknown_actions, ..completion(known) }).err()?;
    Some((rejection.reason, rejection.refused.path))
}

#[test]
fn a_step_that_leaves_is_admitted_as_what_it_is() {
    assert_eq!(rejected(&plan(), "grant", UnknownActions::Refuse), None);
    assert!(leaves("leave_domain") && !leaves("leave") && !leaves("leave_domain "));
}

#[test]
fn one_that_promises_more_is_refused_at_submission_with_its_place() {
    let step = |member: &str, value: Value| at(&plan(), &format!("/steps/0/{member}"), Some(value));
    for (document, member) in [
        (step("args", json!({})), "args"),
        (step("args", json!({"note": {"const": "x"}})), "args"),
        (step("args", json!({"*": {"any": true}, "note": {"const": "x"}})), "args"),
        (step("approve", json!("step_up")), "approve"),
        (step("resource/id", json!({"any": true})), "resource.id"),
        (step("resource/id", json!({"one_of": ["a", "b"]})), "resource.id"),
        (step("resource/id", json!(" calendar.read")), "resource.id"),
        (step("resource/id", json!("calendar.read  contacts.read")), "resource.id"),
        (step("resource/id", json!("calendar\"read")), "resource.id"),
        (step("resource/id", json!("kalender.öffnen")), "resource.id"),
    ] {
        let expected = (Reason::PlanInvalid, format!("$.steps[0].{member}"));
        assert_eq!(rejected(&document, "grant", UnknownActions::Refuse), Some(expected), "{document}");
    }
    for class in ["read", "create", "change", "delete", "run", "send", "pay"] {
        let expected = (Reason::PlanInvalid, "$.steps[0].action".to_owned());
        assert_eq!(rejected(&plan(), class, UnknownActions::Refuse), Some(expected), "{class}");
    }
    let uncounted = rejected(&step("uses", json!("any")), "grant", UnknownActions::Refuse);
    assert_eq!(uncounted, Some((Reason::PlanInvalid, "$.steps[0].uses".into())));
    let unexplained = rejected(&plan(), "grant", UnknownActions::Show);
    assert_eq!(unexplained, Some((Reason::PlanInvalid, "$.steps[0].approve".into())), "asked again, which no grant is");
}

/// What tokens carry is read once more: no token from before, and no catalog since, gives what submission refuses.
#[test]
fn the_same_is_refused_in_a_token() {
    let step = json!({
        "id": "leave", "location": FOREIGN, "action": "leave_domain", "resource": {"type": "scope", "id": "calendar.read"},
        "args": {"*": {"any": true}}, "uses": 2, "class": "grant",
    });
    let read = |step: &Value| scope(&envelope(json!([step])).steps[0]).map(str::to_owned).map_err(|no| no.path);
    assert_eq!(read(&step), Ok("calendar.read".into()));
    for (member, value) in [
        ("args", json!({})),
        ("uses", json!("any")),
        ("approve", json!("step_up")),
        ("resource/id", json!({"any": true})),
    ] {
        let document = at(&step, &format!("/{member}"), Some(value));
        assert_eq!(read(&document), Err(format!("$.{}", member.replace('/', "."))), "{document}");
    }
    assert_eq!(read(&at(&step, "/class", Some(json!("read")))), Err("$.action".into()));
}
