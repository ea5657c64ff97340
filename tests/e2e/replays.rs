//! What was answered once is answered once.

use marque_core::canonical::Digest;
use marque_demo::Result;
use marque_demo::agent::Submission;
use serde_json::json;

use crate::browser::{Post, Reply};
use crate::case::{Case, case};

/// Shows the page of a new intent and signs what it would post.
async fn signed(case: &mut Case) -> Result<(Submission, Post)> {
    let (intent, alice) = (case.submit().await?, case.alice.clone());
    case.open(&intent, &alice).await?.expect_page();
    let post = case.browser.sign("tab", &alice.passkey, json!({})).await?;
    Ok((intent, post))
}

/// A new intent that Keycloak has seen approved, and the way back to Marque, not yet taken.
async fn approved_at_keycloak(case: &mut Case) -> Result<(Submission, Reply)> {
    let (intent, post) = signed(case).await?;
    let way_back = case.browser.post("tab", &post).await?;
    assert!(way_back.has_code(), "{way_back:?}");
    Ok((intent, way_back))
}

/// Marque takes what Keycloak sent back.
async fn take_back(case: &mut Case, way_back: &Reply) -> Result<()> {
    let taken = case.browser.request(&way_back.location, None).await?;
    assert_eq!(taken.status, 303, "{taken:?}");
    Ok(())
}

fn parameter(address: &str, name: &str) -> Result<String> {
    let url = reqwest::Url::parse(address)?;
    let found = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    found.ok_or_else(|| format!("{address} has no {name}").into())
}

/// The address with the value of one parameter of another.
fn with_parameter_of(address: &str, name: &str, other: &str) -> Result<String> {
    Ok(address.replace(&parameter(address, name)?, &parameter(other, name)?))
}

#[tokio::test]
async fn a_replayed_post_gives_no_second_code() {
    case(async |case| {
        let (intent, post) = signed(case).await?;
        let first = case.browser.post("tab", &post).await?;
        assert!(first.has_code(), "{first:?}");
        take_back(case, &first).await?;
        case.expect_state(&intent, "approved").await?;
        let second = case.browser.post("tab", &post).await?;
        assert!(!second.has_code(), "{second:?}");
        case.expect_state(&intent, "approved").await
    })
    .await;
}

#[tokio::test]
async fn six_identical_posts_at_once_give_one_code() {
    case(async |case| {
        let (intent, post) = signed(case).await?;
        case.browser.act("leave", json!({"tab": "tab"})).await?;
        let answers = case.browser.requests(&post.url, Some(&post.form), 6).await?;
        let codes: Vec<_> = answers.iter().filter(|answer| answer.has_code()).collect();
        assert_eq!((answers.len(), codes.len()), (6, 1), "{answers:?}");
        take_back(case, codes[0]).await?;
        case.expect_state(&intent, "approved").await
    })
    .await;
}

#[tokio::test]
async fn an_assertion_for_an_earlier_page_is_refused() {
    case(async |case| {
        let (intent, stale) = signed(case).await?;
        let alice = case.alice.clone();
        let unverified = case.browser.sign("tab", &alice.passkey, json!({"verified": false})).await?;
        case.browser
            .see("submit", json!({"tab": "tab", "form": unverified.form}))
            .await?
            .expect_again("Passkey authentication result is invalid");
        case.browser
            .see("submit", json!({"tab": "tab", "form": stale.form}))
            .await?
            .expect_again("Passkey authentication result is invalid");
        case.expect_undecided(&intent).await
    })
    .await;
}

#[tokio::test]
async fn a_replayed_claim_is_refused() {
    case(async |case| {
        let (intent, way_back) = approved_at_keycloak(case).await?;
        take_back(case, &way_back).await?;
        case.expect_granted(&intent).await?;
        let again = case.browser.request(&way_back.location, None).await?;
        assert_eq!((again.status, again.location.as_str()), (400, ""), "{again:?}");
        case.expect_state(&intent, "active").await
    })
    .await;
}

/// RFC 9207: an answer says whose it is.
#[tokio::test]
async fn an_answer_of_another_issuer_or_of_none_is_refused() {
    case(async |case| {
        for issuer in [Some("http://localhost:1/realms/demo"), None] {
            let (intent, way_back) = approved_at_keycloak(case).await?;
            let mut url = reqwest::Url::parse(&way_back.location)?;
            let kept: Vec<(String, String)> =
                url.query_pairs().filter(|(name, _)| name != "iss").map(|(k, v)| (k.into(), v.into())).collect();
            assert_eq!(parameter(&way_back.location, "iss")?, case.env.keycloak.issuer);
            url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(issuer.map(|issuer| ("iss", issuer)));
            let answer = case.browser.request(url.as_str(), None).await?;
            assert_eq!((answer.status, answer.location.as_str()), (400, ""), "{issuer:?}: {answer:?}");
            case.expect_undecided(&intent).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_claim_is_taken_only_from_the_browser_that_began() {
    case(async |case| {
        let (intent, way_back) = approved_at_keycloak(case).await?;
        let visit = json!({"tab": "elsewhere", "browser": "phone", "url": way_back.location});
        assert_eq!(case.browser.see("visit", visit).await?.status(), 400);
        case.expect_undecided(&intent).await?;
        take_back(case, &way_back).await?;
        case.expect_state(&intent, "approved").await
    })
    .await;
}

#[tokio::test]
async fn the_code_of_one_intent_is_not_taken_for_another() {
    case(async |case| {
        let (first, one) = approved_at_keycloak(case).await?;
        let (second, other) = approved_at_keycloak(case).await?;
        let mixed = with_parameter_of(&one.location, "code", &other.location)?;
        let answer = case.browser.request(&mixed, None).await?;
        assert_eq!((answer.status, answer.location.as_str()), (400, ""), "{answer:?}");
        case.expect_undecided(&first).await?;
        case.expect_undecided(&second).await
    })
    .await;
}

/// Even if the row of the sign-in were about another intent.
#[tokio::test]
async fn the_claim_of_one_intent_is_not_taken_for_another() {
    case(async |case| {
        let other = case.submit().await?;
        let (intent, way_back) = approved_at_keycloak(case).await?;
        let state = Digest::of(parameter(&way_back.location, "state")?.as_bytes());
        let moved = sqlx::query("update logins set intent_id = $1 where state_sha256 = $2")
            .bind(other.intent_id.parse::<uuid::Uuid>()?)
            .bind(state.as_bytes().as_slice())
            .execute(&case.db)
            .await?;
        assert_eq!(moved.rows_affected(), 1);
        let answer = case.browser.request(&way_back.location, None).await?;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text.contains("decision is on another plan"), "{answer:?}");
        case.expect_undecided(&intent).await?;
        case.expect_undecided(&other).await
    })
    .await;
}
