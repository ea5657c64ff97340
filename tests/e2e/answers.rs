//! What Keycloak does with Marque's answers: late, missing, changed in between, or not Marque's.

use std::net::{Ipv4Addr, TcpListener};

use axum::http::StatusCode;
use marque_core::canonical::{canonical, decode, encode};
use marque_core::jws;
use marque_core::names::{TYP_CATALOG, TYP_PLAN};
use marque_demo::Result;
use marque_demo::clients::SigningKey;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::case::{Case, case};
use crate::proxy::{Fault, says, sends};

/// The sentence of Keycloak's page.
const NO_PLAN: &str = "The plan cannot be shown right now, so nothing was approved.";

/// What Keycloak logs of a signature.
const BAD_SIGNATURE: &str = "the signature does not verify";
const UNKNOWN_KEY: &str = "the signer has no such key registered";

/// Changes the plan inside an answer; it stays canonical.
fn change_plan(claims: &mut Map<String, Value>, change: impl Fn(&mut Value)) {
    let bytes = claims["plan"].as_str().and_then(decode).unwrap_or_default();
    let mut plan = serde_json::from_slice(&bytes).unwrap_or_default();
    change(&mut plan);
    claims["plan"] = encode(&canonical(&plan)).into();
}

/// Changes the one catalog inside an answer.
fn change_catalog(claims: &mut Map<String, Value>, change: impl Fn(&str) -> String) {
    let compact = claims["catalogs"][0].as_str().unwrap_or_default().to_owned();
    claims["catalogs"] = json!([change(&compact)]);
}

/// The same message with the signature of another.
fn with_signature_of(compact: &str, other: &str) -> String {
    let (content, _) = compact.rsplit_once('.').unwrap_or_default();
    let (_, signature) = other.rsplit_once('.').unwrap_or_default();
    format!("{content}.{signature}")
}

/// Keycloak shows its own page, logs why, and nobody decided anything.
async fn expect_no_plan(case: &mut Case, fault: Fault, reason: &str) -> Result<()> {
    let (intent, alice, logged) = (case.submit().await?, case.alice.clone(), case.logged()?);
    case.inject(fault).await?;
    case.open(&intent, &alice).await?.expect_keycloak_error(502, NO_PLAN);
    case.expect_logged(logged, &format!("No plan to show in realm demo: {reason}")).await?;
    case.expect_undecided(&intent).await
}

#[tokio::test]
async fn an_answer_that_is_passed_on_is_approved() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.inject(says(|_| ())).await?;
        case.approve(&intent, &alice).await
    })
    .await;
}

#[tokio::test]
async fn a_plan_answer_with_a_bad_signature_is_refused() {
    case(async |case| {
        let key = SigningKey::read(&case.env.clients.agent.key)?;
        let foreign = key.sign(TYP_PLAN, b"{}")?;
        let fault = sends(move |compact| with_signature_of(compact, &foreign));
        expect_no_plan(case, fault, BAD_SIGNATURE).await
    })
    .await;
}

#[tokio::test]
async fn a_plan_answer_by_another_key_is_refused() {
    case(async |case| {
        let key = SigningKey::read(&case.env.clients.rs.key)?;
        let sign = move |compact: &str| {
            let payload = jws::unverified_payload(compact).unwrap_or_default();
            key.sign(TYP_PLAN, &payload).unwrap_or_default()
        };
        expect_no_plan(case, sends(sign), UNKNOWN_KEY).await
    })
    .await;
}

#[tokio::test]
async fn a_plan_answer_for_another_intent_is_refused() {
    case(async |case| {
        let other = case.submit().await?.intent_id;
        let named = other.clone();
        let outside = says(move |claims| {
            claims.insert("intent_id".into(), named.as_str().into());
        });
        expect_no_plan(case, outside, "answer.intent_id is not the expected one").await?;
        let inside = says(move |claims| change_plan(claims, |plan| plan["intent_id"] = other.as_str().into()));
        expect_no_plan(case, inside, "the plan is of another issuer, intent or realm").await
    })
    .await;
}

#[tokio::test]
async fn a_plan_answer_of_another_issuer_is_refused() {
    const ELSEWHERE: &str = "http://localhost:1/realms/demo";
    case(async |case| {
        let outside = says(|claims| {
            claims.insert("iss".into(), ELSEWHERE.into());
        });
        expect_no_plan(case, outside, "answer.iss is not the expected one").await?;
        let inside = says(|claims| change_plan(claims, |plan| plan["issuer"] = ELSEWHERE.into()));
        expect_no_plan(case, inside, "the plan is of another issuer, intent or realm").await
    })
    .await;
}

#[tokio::test]
async fn a_catalog_without_the_plans_digest_is_refused() {
    case(async |case| {
        let key = SigningKey::read(&case.env.clients.rs.key)?;
        let harmless = move |compact: &str| {
            let payload = jws::unverified_payload(compact).unwrap_or_default();
            let mut catalog: Value = serde_json::from_slice(&payload).unwrap_or_default();
            catalog["actions"]["rotate_key"]["display"]["en"] = "Look at service account {resource}".into();
            key.sign(TYP_CATALOG, &canonical(&catalog)).unwrap_or_default()
        };
        let fault = says(move |claims| change_catalog(claims, &harmless));
        expect_no_plan(case, fault, "no catalog matches the plan's entry").await?;
        let none = says(|claims| {
            claims.insert("catalogs".into(), json!([]));
        });
        expect_no_plan(case, none, "not exactly the catalogs that the plan lists").await
    })
    .await;
}

#[tokio::test]
async fn a_catalog_that_its_resource_server_did_not_sign_is_refused() {
    case(async |case| {
        let key = SigningKey::read(&case.env.clients.worker.key)?;
        let foreign = key.sign(TYP_CATALOG, b"{}")?;
        let resign = move |compact: &str| {
            key.sign(TYP_CATALOG, &jws::unverified_payload(compact).unwrap_or_default()).unwrap_or_default()
        };
        expect_no_plan(case, says(move |claims| change_catalog(claims, &resign)), UNKNOWN_KEY).await?;
        let swap = move |compact: &str| with_signature_of(compact, &foreign);
        expect_no_plan(case, says(move |claims| change_catalog(claims, &swap)), BAD_SIGNATURE).await
    })
    .await;
}

#[tokio::test]
async fn while_marque_is_away_keycloak_says_so_and_approves_nothing() {
    case(async |case| {
        let (intent, alice, logged) = (case.submit().await?, case.alice.clone(), case.logged()?);
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        case.fetch_plans_at(&format!("http://{free}/realms/demo")).await?;
        case.open(&intent, &alice).await?.expect_keycloak_error(502, NO_PLAN);
        case.expect_logged(logged, "Marque cannot be reached").await?;
        case.expect_undecided(&intent).await
    })
    .await;
}

#[tokio::test]
async fn a_failing_or_late_marque_is_as_one_that_is_away() {
    case(async |case| {
        expect_no_plan(case, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR), "Marque answered with status 500")
            .await?;
        expect_no_plan(case, Fault::Late, "Marque did not answer in time").await?;
        expect_no_plan(case, sends(|_| "nonsense".into()), "not a compact JWS").await
    })
    .await;
}

/// The row's plan is changed while the page is open; the approval fails with a sentence that holds `says`.
async fn expect_change_refused(case: &mut Case, from: &str, to: &str, says: &str) -> Result<()> {
    let (intent, alice) = (case.submit().await?, case.alice.clone());
    case.open(&intent, &alice).await?.expect_page();
    let change = "update intents set plan = convert_to(replace(convert_from(plan, 'UTF8'), $2, $3), 'UTF8')
         where intent_id = $1 and position($2 in convert_from(plan, 'UTF8')) > 0";
    let id: Uuid = intent.intent_id.parse()?;
    let changed = sqlx::query(change).bind(id).bind(from).bind(to).execute(&case.db).await?;
    assert_eq!(changed.rows_affected(), 1);
    case.press(&alice).await?.expect_refusal(400, says);
    case.expect_undecided(&intent).await
}

#[tokio::test]
async fn a_plan_changed_after_its_display_is_not_approved() {
    case(async |case| {
        expect_change_refused(case, "svc-api", "svc-all", "what was displayed is not what the plan says").await
    })
    .await;
}

/// The key that the token will be bound to is no line of the page, but it is signed all the same.
#[tokio::test]
async fn a_key_changed_after_the_display_is_not_approved() {
    case(async |case| {
        let (key, other) = (case.agent.party.dpop.thumbprint().to_owned(), "A".repeat(43));
        expect_change_refused(case, &key, &other, "states another approval").await
    })
    .await;
}

#[tokio::test]
async fn an_expired_intent_is_not_shown() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.let_expire(&intent).await?;
        case.open(&intent, &alice).await?.expect_refusal(410, "time to decide on this plan is over");
        case.expect_state(&intent, "pending").await?;
        case.expect_told(&intent, "expired_token", Some("intent_expired")).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn an_intent_that_expires_during_the_sign_in_is_not_shown() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        let url = format!("{}/approve/{}", case.env.marque.issuer, intent.intent_id);
        case.browser.see("visit", json!({"tab": "tab", "url": url})).await?;
        case.let_expire(&intent).await?;
        let seen = case.browser.see("enter", json!({"tab": "tab", "person": alice.sign_in()})).await?;
        seen.expect_refusal(400, "no decision to take");
        case.expect_told(&intent, "expired_token", Some("intent_expired")).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn an_intent_that_expires_under_the_gesture_is_not_approved() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open(&intent, &alice).await?.expect_page();
        case.let_expire(&intent).await?;
        case.press(&alice).await?.expect_refusal(410, "time to decide on this plan is over");
        case.expect_state(&intent, "pending").await?;
        case.expect_told(&intent, "expired_token", Some("intent_expired")).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_page_that_was_open_too_long_approves_nothing_and_opens_again() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open(&intent, &alice).await?.expect_page();
        case.let_page_expire(&intent).await?;
        case.press(&alice).await?.expect_refusal(400, "open too long");
        case.expect_undecided(&intent).await?;
        case.approve(&intent, &alice).await?;
        case.expect_state(&intent, "approved").await
    })
    .await;
}
