//! Completion of a plan: each rejection with its reason, and what ends up in the signed form.

use crate::support::{
    FILES, MAIL, MARQUE, NOW, REALM, at, catalog, catalogs, completion, files_catalog, mail_catalog, submission,
    submitted,
};
use marque_core::catalog::Catalog;
use marque_core::claims::Confirmation;
use marque_core::limits::LIFETIME_SECS;
use marque_core::plan::{ResolvedPlan, StartedBy};
use marque_core::reason::Reason;
use marque_core::resolve::{Completion, Rejection, resolve};
use serde_json::{Value, json};

fn complete(document: &Value, catalogs: &[Catalog]) -> Result<ResolvedPlan, Rejection> {
    resolve(submitted(document), &completion(catalogs))
}

#[track_caller]
fn rejects(pointer: &str, value: Value, reason: Reason, path: &str) {
    let document = at(&submission(), pointer, Some(value));
    let rejection = complete(&document, &catalogs()).expect_err(pointer);
    assert_eq!((rejection.reason, rejection.refused.path.as_str()), (reason, path), "{rejection}");
}

#[test]
fn completes_with_what_marque_adds_and_keeps_what_the_agent_asked_for() {
    let plan = complete(&submission(), &catalogs()).unwrap();
    let [mail, files] = &catalogs()[..] else { panic!("two catalogs") };
    let mut expected = json!({
        "version": 1, "issuer": MARQUE, "intent_id": "018f0000-0000-7000-8000-000000000001",
        "purpose": "Clean up the reports",
        "agent": {"client_id": "demo-agent", "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
        "user": {"iss": REALM, "username": "alice"}, "mode": "strict",
        "limits": {"expires_at": "2026-11-22T04:00:00Z", "max_hops": 2},
        "steps": submission()["steps"], "delegates": submission()["delegates"],
        "catalogs": [
            {"location": FILES, "version": 4, "sha256": files.reference().sha256.to_base64()},
            {"location": MAIL, "version": 2, "sha256": mail.reference().sha256.to_base64()},
        ],
    });
    for (index, (class, uses)) in [("read", json!("any")), ("delete", json!(1)), ("send", json!(3))].iter().enumerate()
    {
        expected["steps"][index]["class"] = json!(class);
        expected["steps"][index]["uses"] = uses.clone();
        expected["steps"][index]["approve"] = json!("plan");
        expected["steps"][index]["added"] = json!(false);
    }
    assert_eq!(serde_json::to_value(&plan).unwrap(), expected);
}

#[test]
fn only_the_submitting_client_is_the_agent() {
    rejects("/agent", json!("other-agent"), Reason::PlanInvalid, "$.agent");
}

#[test]
fn the_deadline_lies_ahead_and_within_a_week() {
    let with = |limits: Value| at(&submission(), "/limits", Some(limits));
    let ends = |limits: Value| complete(&with(limits), &catalogs()).map(|plan| plan.limits.expires_at);
    for late in ["2026-11-22T03:00:00Z", "2026-11-22T02:59:59Z", "2026-11-29T03:00:01Z", "1970-01-01T00:00:00Z"] {
        let rejection = ends(json!({"max_hops": 1, "expires_at": late})).expect_err(late);
        assert_eq!((rejection.reason, rejection.refused.path.as_str()), (Reason::PlanInvalid, "$.limits.expires_at"));
    }
    for good in ["2026-11-22T03:00:01Z", "2026-11-29T03:00:00Z"] {
        assert_eq!(ends(json!({"max_hops": 1, "expires_at": good})).as_deref(), Ok(good));
    }
    let whole_week = ends(json!({"max_hops": 1, "lifetime_secs": LIFETIME_SECS}));
    assert_eq!(whole_week.as_deref(), Ok("2026-11-29T03:00:00Z"));
}

#[test]
fn a_step_is_what_the_catalog_of_its_location_describes() {
    rejects("/steps/1/location", json!("http://localhost:7503"), Reason::UnknownLocation, "$.steps[1].location");
    rejects("/steps/1/action", json!("file.format"), Reason::UnknownAction, "$.steps[1].action");
    rejects("/steps/1/location", json!(MAIL), Reason::UnknownAction, "$.steps[1].action");
    rejects("/steps/1/resource/type", json!("folder"), Reason::PlanInvalid, "$.steps[1].resource.type");
    rejects("/steps/1/uses", json!("any"), Reason::PlanInvalid, "$.steps[1].uses");
    rejects("/steps/2/uses", json!("any"), Reason::PlanInvalid, "$.steps[2].uses");
    rejects("/steps/1/args/recursive", json!({"const": true}), Reason::PlanInvalid, "$.steps[1].args.recursive");
    let nothing = complete(&submission(), &[]).unwrap_err();
    assert_eq!((nothing.reason, nothing.refused.path.as_str()), (Reason::UnknownLocation, "$.steps[0].location"));
}

#[test]
fn a_constraint_fits_the_type_of_its_argument() {
    let places = [
        ("/steps/0/args/depth", json!(1), "$.steps[0].args.depth"),
        ("/steps/1/args/force", json!(true), "$.steps[1].args.force"),
        ("/steps/2/args/to", json!("bob"), "$.steps[2].args.to"),
        ("/steps/2/args/copies", json!([]), "$.steps[2].args.copies"),
        ("/steps/2/args/options", json!({}), "$.steps[2].args.options"),
    ];
    let values = [json!(1), json!(true), json!("bob"), json!([]), json!({}), json!(null)];
    for (pointer, own, path) in &places {
        for value in &values {
            let document = |constraint| at(&submission(), pointer, Some(constraint));
            let fits = value == own;
            assert_eq!(complete(&document(json!({"const": value})), &catalogs()).is_ok(), fits, "{path} {value}");
            let mixed = json!({"one_of": [own, value]});
            assert_eq!(complete(&document(mixed), &catalogs()).is_ok(), fits, "{path} {value}");
            if !fits {
                rejects(pointer, json!({"const": value}), Reason::PlanInvalid, path);
            }
        }
        let text = complete(&at(&submission(), pointer, Some(json!({"text": {"max": 9}}))), &catalogs());
        assert_eq!(text.is_ok(), own.is_string(), "{path}");
        assert!(complete(&at(&submission(), pointer, Some(json!({"any": true}))), &catalogs()).is_ok());
    }
}

#[test]
fn catalogs_are_sorted_by_location_and_only_those_that_steps_use() {
    let mut more = catalogs();
    more.push(catalog(&at(&files_catalog(), "/location", Some(json!("http://localhost:7100")))));
    let plan = complete(&submission(), &more).unwrap();
    let listed: Vec<_> = plan.catalogs.iter().map(|catalog| catalog.location.as_str()).collect();
    assert_eq!(listed, [FILES, MAIL]);
    more.reverse();
    assert_eq!(complete(&submission(), &more).unwrap(), plan, "the order at hand does not matter");
    let mut alone = submission();
    alone["steps"].as_array_mut().unwrap().truncate(2);
    alone["delegates"] = json!([]);
    assert_eq!(complete(&alone, &more).unwrap().catalogs.len(), 1);
}

/// The digest covers everything that Marque adds, and a changed catalog makes another plan.
#[test]
fn what_marque_adds_is_under_the_digest() {
    let known = catalogs();
    let base = complete(&submission(), &known).unwrap().digest();
    let digest = |with: Completion<'_>| resolve(submitted(&submission()), &with).unwrap().digest();
    assert_eq!(digest(completion(&known)), base, "the same input gives the same plan");
    assert_ne!(digest(Completion { issuer: REALM, ..completion(&known) }), base);
    assert_ne!(digest(Completion { realm_issuer: MARQUE, ..completion(&known) }), base);
    assert_ne!(digest(Completion { intent_id: "018f", ..completion(&known) }), base);
    assert_ne!(digest(Completion { cnf: Confirmation::Jkt("x".into()), ..completion(&known) }), base);
    let [user, agent] = [StartedBy::User, StartedBy::Agent]
        .map(|began| digest(Completion { started_by: Some(began), ..completion(&known) }));
    assert!(user != base && agent != base && user != agent);
    assert_ne!(digest(Completion { now: NOW + 1, ..completion(&known) }), base);
    let newer = [catalog(&at(&mail_catalog(), "/version", Some(json!(3)))), catalog(&files_catalog())];
    assert_ne!(digest(completion(&newer)), base);
}
