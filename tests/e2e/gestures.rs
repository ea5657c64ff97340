//! Gestures that are none, and passkeys and users that go away.

use marque_demo::Result;
use marque_demo::agent::{Submission, step};
use serde_json::{Value, json};

use crate::browser::Seen;
use crate::case::{Case, case};
use crate::people::Person;

/// Posts what the tab's page would post, with a change.
async fn post(case: &mut Case, person: &Person, change: Value) -> Result<Seen> {
    let post = case.browser.sign("tab", &person.passkey, change).await?;
    case.browser.see("submit", json!({"tab": "tab", "form": post.form})).await
}

/// A changed assertion is refused, and Keycloak logs why; the same without the change is then accepted.
async fn only_unchanged_is_accepted(changes: &[(Value, &str)]) {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open(&intent, &alice).await?.expect_page();
        for (change, reason) in changes {
            let logged = case.logged()?;
            post(case, &alice, change.clone()).await?.expect_again("Passkey authentication result is invalid");
            case.expect_logged(logged, reason).await?;
            case.expect_state(&intent, "pending").await?;
        }
        case.expect_undecided(&intent).await?;
        post(case, &alice, json!({})).await?.expect_receipt("approved");
        case.expect_state(&intent, "approved").await
    })
    .await;
}

#[tokio::test]
async fn an_assertion_without_user_verification_is_refused() {
    only_unchanged_is_accepted(&[(json!({"verified": false}), "the user was not verified")]).await;
}

#[tokio::test]
async fn an_assertion_made_in_a_frame_is_refused() {
    const FRAMED: &str = "the assertion was made inside a frame";
    let framed = json!({"client": {"crossOrigin": true}});
    let named = json!({"client": {"topOrigin": "https://elsewhere.test"}});
    let both = json!({"client": {"crossOrigin": true, "topOrigin": "https://elsewhere.test"}});
    only_unchanged_is_accepted(&[(framed, FRAMED), (named, FRAMED), (both, FRAMED)]).await;
}

#[tokio::test]
async fn an_assertion_of_another_origin_challenge_or_kind_is_refused() {
    let origin = json!({"origin": "http://localhost:1"});
    let challenge = json!({"challenge": "A".repeat(43)});
    let kind = json!({"client": {"type": "webauthn.create"}});
    only_unchanged_is_accepted(&[
        (origin, "origin"),
        (challenge, "the assertion is for another page"),
        (kind, "the client data is not of an assertion"),
    ])
    .await;
}

#[tokio::test]
async fn an_authenticator_that_cannot_verify_its_user_approves_nothing() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        let open = json!({"tab": "tab", "verified": false, "intent": intent.intent_id, "person": alice.sign_in()});
        case.browser.see("open", open).await?.expect_page();
        case.press(&alice).await?.expect_again("The passkey was not used");
        case.expect_undecided(&intent).await
    })
    .await;
}

#[tokio::test]
async fn a_passkey_removed_before_the_post_approves_nothing() {
    case(async |case| {
        let guest = case.guest().await?;
        let intent = case.submit_for(&guest, case.agent.plan()).await?;
        case.open(&intent, &guest).await?.expect_page();
        case.admin.remove_passkeys(&guest.sub).await?;
        case.press(&guest).await?.expect_refusal(400, "You have no passkey");
        case.expect_undecided(&intent).await
    })
    .await;
}

#[tokio::test]
async fn a_passkey_removed_after_the_approval_gives_no_token() {
    case(async |case| {
        let guest = case.guest().await?;
        let intent = case.submit_for(&guest, case.agent.plan()).await?;
        case.approve(&intent, &guest).await?;
        case.admin.remove_passkeys(&guest.sub).await?;
        case.expect_told(&intent, "access_denied", Some("passkey_removed")).await?;
        case.expect_state(&intent, "approved").await
    })
    .await;
}

#[tokio::test]
async fn a_user_disabled_midway_never_comes_back_and_the_agent_is_told() {
    case(async |case| {
        let guest = case.guest().await?;
        let intent = case.submit_for(&guest, case.agent.plan()).await?;
        case.open(&intent, &guest).await?.expect_page();
        case.admin.disable_user(&guest.sub).await?;
        let seen = case.press(&guest).await?;
        assert_eq!(seen.text("place"), "refused", "{seen:?}");
        case.expect_undecided(&intent).await?;
        case.let_expire(&intent).await?;
        case.expect_told(&intent, "expired_token", Some("intent_expired")).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_user_disabled_after_the_approval_gives_no_token() {
    case(async |case| {
        let guest = case.guest().await?;
        let intent = case.submit_for(&guest, case.agent.plan()).await?;
        case.approve(&intent, &guest).await?;
        case.admin.disable_user(&guest.sub).await?;
        case.expect_told(&intent, "access_denied", Some("user_inactive")).await?;
        case.expect_state(&intent, "approved").await
    })
    .await;
}

/// The plan with its one reading step alone.
fn only_reads(mut plan: Value) -> Value {
    let is_read = |each: &Value| each["id"] == step::LIST;
    plan["steps"] = plan["steps"].as_array().into_iter().flatten().filter(|each| is_read(each)).cloned().collect();
    if let Some(members) = plan.as_object_mut() {
        members.remove("delegates");
    }
    plan
}

/// Shows the plan and presses, in a fresh browser.
async fn decide(case: &mut Case, browser: &str, intent: &Submission, person: &Person) -> Result<Seen> {
    case.open_in(browser, browser, intent, person).await?.expect_page();
    case.press_in(browser, person).await
}

#[tokio::test]
async fn an_added_passkey_approves_only_reads_for_a_day() {
    case(async |case| {
        let guest = case.guest().await?;
        let first = case.submit_for(&guest, case.agent.plan()).await?;
        case.approve(&first, &guest).await?;
        let added = Person { passkey: guest.passkey.with_extension("added"), ..guest.clone() };
        case.admin.rename_passkeys(&guest.sub, "first").await?;
        guest.register(&case.env, crate::case::root(), &added.passkey).await?;

        let changes = case.submit_for(&guest, case.agent.plan()).await?;
        decide(case, "one", &changes, &added).await?.expect_refusal(400, "only reads for 24 hours");
        case.expect_undecided(&changes).await?;
        let reads = case.submit_for(&guest, only_reads(case.agent.plan())).await?;
        decide(case, "two", &reads, &added).await?.expect_receipt("approved");

        let later = "update passkeys set first_seen_at = first_seen_at - interval '24 hours' where sub = $1";
        sqlx::query(later).bind(&guest.sub).execute(&case.db).await?;
        decide(case, "three", &changes, &added).await?.expect_receipt("approved");
        Ok(std::fs::remove_file(&added.passkey)?)
    })
    .await;
}
