//! Approving, denying, and who may.

use serde_json::json;

use crate::case::case;

#[tokio::test]
async fn an_approval_gives_the_agent_its_token() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.expect_undecided(&intent).await?;
        let page = case.open(&intent, &alice).await?;
        page.expect_page();
        assert_eq!(page.text("words"), intent.digest_words);
        let shown = page.lines();
        let began = ["demo-agent asks to act for alice.", "YOU DID NOT START THIS: demo-agent asks on its own."];
        assert_eq!(shown.get(..2), Some(&began[..]), "the agent is paired with her, and she gave no sign");
        case.expect_state(&intent, "pending").await?;
        case.press(&alice).await?.expect_receipt("approved");
        case.expect_state(&intent, "approved").await?;
        case.expect_granted(&intent).await
    })
    .await;
}

#[tokio::test]
async fn a_denial_reaches_the_agent_with_its_reason() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open(&intent, &alice).await?.expect_page();
        let deny = json!({"tab": "tab", "reason": "Not on a Friday"});
        case.browser.see("deny", deny).await?.expect_receipt("denied");
        let told = case.expect_told(&intent, "access_denied", Some("denied_by_user")).await?;
        assert!(told.contains("Not on a Friday"), "{told}");
        case.expect_state(&intent, "denied").await
    })
    .await;
}

#[tokio::test]
async fn a_wrong_user_is_refused_and_the_plan_stays_pending() {
    case(async |case| {
        let (intent, bob) = (case.submit().await?, case.bob());
        case.open(&intent, &bob).await?.expect_refusal(400, "This plan is for another user");
        case.expect_undecided(&intent).await
    })
    .await;
}

#[tokio::test]
async fn a_second_decision_is_a_conflict() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.approve(&intent, &alice).await?;
        case.open(&intent, &alice).await?.expect_refusal(409, "decided already");
        case.expect_state(&intent, "approved").await
    })
    .await;
}

#[tokio::test]
async fn a_denial_after_the_approval_changes_nothing() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open_in("at-desk", "desk", &intent, &alice).await?.expect_page();
        case.open_in("on-phone", "phone", &intent, &alice).await?.expect_page();
        case.press_in("at-desk", &alice).await?.expect_receipt("approved");
        let deny = json!({"tab": "on-phone", "reason": "Too late"});
        case.browser.see("deny", deny).await?.expect_refusal(409, "decided already");
        case.expect_state(&intent, "approved").await?;
        case.expect_granted(&intent).await
    })
    .await;
}

#[tokio::test]
async fn an_approval_after_the_denial_changes_nothing() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open_in("at-desk", "desk", &intent, &alice).await?.expect_page();
        case.open_in("on-phone", "phone", &intent, &alice).await?.expect_page();
        let deny = json!({"tab": "on-phone", "reason": ""});
        case.browser.see("deny", deny).await?.expect_receipt("denied");
        case.press_in("at-desk", &alice).await?.expect_refusal(409, "decided already");
        case.expect_state(&intent, "denied").await?;
        case.expect_told(&intent, "access_denied", Some("denied_by_user")).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn two_approvals_of_one_intent_leave_one() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open_in("at-desk", "desk", &intent, &alice).await?.expect_page();
        case.open_in("on-phone", "phone", &intent, &alice).await?.expect_page();
        case.press_in("at-desk", &alice).await?.expect_receipt("approved");
        case.press_in("on-phone", &alice).await?.expect_refusal(409, "decided already");
        case.expect_state(&intent, "approved").await
    })
    .await;
}

#[tokio::test]
async fn two_tabs_approve_each_its_own_intent() {
    case(async |case| {
        let (first, second) = (case.submit().await?, case.submit().await?);
        let alice = case.alice.clone();
        case.open_in("first", "desk", &first, &alice).await?.expect_page();
        let shown = case.open_in("second", "desk", &second, &alice).await?;
        shown.expect_page();
        let one = case.browser.sign("first", &alice.passkey, json!({})).await?;
        let one = case.browser.post("first", &one).await?;
        // Keycloak shows the other tab its page again, because the browser is signed in now.
        let again = json!({"tab": "second", "challenge": shown.text("challenge")});
        assert_eq!(case.browser.see("settle", again).await?.text("place"), "again");
        let other = case.browser.sign("second", &alice.passkey, json!({})).await?;
        let other = case.browser.post("second", &other).await?;
        assert!(one.has_code() && other.has_code(), "{one:?} {other:?}");
        // Both are approved at Keycloak before either comes back; they come back in the order of their opening.
        for (intent, answer) in [(&first, &one), (&second, &other)] {
            let back = case.browser.request(&answer.location, None).await?;
            assert_eq!(back.status, 303, "{back:?}");
            assert!(back.location.ends_with(&format!("/receipt/{}", intent.intent_id)), "{back:?}");
            case.expect_state(intent, "approved").await?;
            case.expect_granted(intent).await?;
        }
        Ok(())
    })
    .await;
}
