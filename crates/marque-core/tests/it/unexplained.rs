//! Actions that no catalog describes: refused, or shown as the gravest, as the realm says.

use crate::support::{at, catalogs, completion, submission, submitted};
use marque_core::catalog::UnknownActions;
use marque_core::display::lines;
use marque_core::plan::{Approve, Class, ResolvedPlan};
use marque_core::reason::Reason;
use marque_core::resolve::{Rejection, resolve};
use serde_json::{Value, json};

const SENTENCE: &str = "CANNOT BE EXPLAINED: no catalog describes what it does";

fn shown(document: &Value) -> Result<ResolvedPlan, Rejection> {
    let catalogs = catalogs();
    let with = marque_core::resolve::Completion { unknown_actions: UnknownActions::Show, ..completion(&catalogs) };
    resolve(submitted(document), &with)
}

/// The usual plan, in which no catalog knows the second step.
fn unknown() -> Value {
    at(&submission(), "/steps/1/action", Some(json!("file.format")))
}

#[test]
fn a_step_that_no_catalog_describes_is_the_gravest_and_asks_each_time() {
    let refused = resolve(submitted(&unknown()), &completion(&catalogs())).unwrap_err();
    assert_eq!(refused.reason, Reason::UnknownAction, "unless the realm says otherwise");
    let plan = shown(&unknown()).unwrap();
    let classes: Vec<_> = plan.steps.iter().map(|step| (step.class, step.approve)).collect();
    let expected = [(Class::Read, Approve::Plan), (Class::Grant, Approve::StepUp), (Class::Send, Approve::Plan)];
    assert_eq!(classes, expected, "what is described stays as it is");
    assert!(plan.limits.max_step_ups.is_some());
    let text = lines(&plan, &catalogs(), "en").unwrap();
    let place = text.iter().position(|line| *line == format!("2. GRANT ACCESS (IRREVERSIBLE): {SENTENCE}")).unwrap();
    assert_eq!(text[place + 1], "   file.format on file \"a/b\" at http://localhost:7502");
    assert_eq!(text[place + 2], "   force: true", "all arguments are shown, known or not");
    assert!(text[place..].contains(&"   STEP-UP: you are asked again for each call and shown its values".to_owned()));
    let elsewhere = at(&submission(), "/steps/1/location", Some(json!("http://localhost:7509")));
    let plan = shown(&elsewhere).unwrap();
    assert!(plan.catalogs.iter().all(|catalog| catalog.location != "http://localhost:7509"));
    assert!(lines(&plan, &catalogs(), "en").unwrap().iter().any(|line| line.ends_with(SENTENCE)));
}

#[test]
fn what_cannot_be_explained_is_counted_and_known_for_nothing() {
    for (pointer, value, reason) in [
        ("/steps/1/uses", json!("any"), Reason::UnknownAction),
        ("/steps/1/environment", json!("production"), Reason::UnknownAction),
        ("/limits/max_step_ups", json!(0), Reason::PlanInvalid),
        ("/steps/2/args/to", json!({"ref": {"step": "b", "field": "/owner"}}), Reason::PlanInvalid),
    ] {
        let mut document = at(&unknown(), pointer, Some(value));
        document["steps"][1]["id"] = json!("b");
        document.as_object_mut().unwrap().remove("delegates");
        assert_eq!(shown(&document).unwrap_err().reason, reason, "{pointer}");
    }
}

/// Only a step that was resolved as the gravest is shown without its catalog: leaving a catalog out hides nothing.
#[test]
fn a_milder_step_is_not_shown_without_its_catalog() {
    let spoilt: [fn(&mut ResolvedPlan); 5] = [
        |plan| plan.steps[1].class = Class::Pay,
        |plan| plan.steps[1].approve = Approve::Plan,
        |plan| plan.steps[1].uses = marque_core::plan::Uses::Any,
        |plan| plan.steps[1].added = true,
        |plan| plan.steps[1].environment = Some("production".into()),
    ];
    for (number, spoil) in spoilt.into_iter().enumerate() {
        let mut plan = shown(&unknown()).unwrap();
        spoil(&mut plan);
        let refused = lines(&plan, &catalogs(), "en").unwrap_err();
        assert!(refused.contains("no catalog describes"), "{number}: {refused}");
    }
}
