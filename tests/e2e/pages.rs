//! What pages show, to whom, and what their forms do.

use marque_demo::Result;
use serde_json::{Value, json};

use crate::case::{Case, case};

/// Text that would be markup, a directive, a script or the end of a string, if anybody took it for one.
const HOSTILE: &str = r#"</li><script>globalThis.marqueHostile = 1</script><img src=x onerror="globalThis.marqueHostile = 1"> ${7*7} #{7*7} <#assign x=1>${msg("doLogIn")} {{ 7*7 }} {resource} {args.value_from} ' " \ &lt;"#;

/// The plan with hostile text wherever an agent has its say.
fn hostile(mut plan: Value) -> Value {
    plan["purpose"] = HOSTILE.into();
    plan["steps"][1]["resource"]["id"] = HOSTILE.into();
    plan["steps"][3]["args"]["value_from"] = json!({"const": HOSTILE});
    plan["steps"][4]["args"]["value_from"] = json!({"one_of": [HOSTILE, "svc-api"]});
    plan
}

async fn expect_only_text(case: &mut Case, quoted: &str) -> Result<Vec<String>> {
    let read = case.browser.act("read", json!({"tab": "tab", "selector": "#plan-lines li"})).await?;
    let lines: Vec<String> = serde_json::from_value(read["texts"].clone())?;
    assert!(lines.iter().filter(|line| line.contains(quoted)).count() >= 4, "{lines:#?}");
    assert_eq!(read["elements"], 0, "the lines hold markup: {lines:#?}");
    let defined = case.browser.act("defines", json!({"tab": "tab", "name": "marqueHostile"})).await?;
    assert_eq!(defined["defined"], false, "the plan's text ran");
    Ok(lines)
}

#[tokio::test]
async fn hostile_text_is_shown_as_text() {
    case(async |case| {
        let alice = case.alice.clone();
        let intent = case.submit_for(&alice, hostile(case.agent.plan())).await?;
        case.open(&intent, &alice).await?.expect_page();
        let quoted = Value::from(HOSTILE).to_string();
        let page = expect_only_text(case, &quoted).await?;
        assert_eq!(page.get(2), Some(&format!("The agent says (not checked): {quoted}")));
        case.press(&alice).await?.expect_receipt("approved");
        assert_eq!(expect_only_text(case, &quoted).await?, page);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_approval_page_is_not_shown_within_another() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open(&intent, &alice).await?.expect_page();
        let answer = case.browser.act("header", json!({"tab": "tab", "name": "content-security-policy"})).await?;
        let policies: Vec<String> = serde_json::from_value(answer["values"].clone())?;
        // A browser keeps each of several policies (CSP Level 3 §3.1).
        assert!(policies.iter().any(|policy| policy.contains("frame-ancestors 'none'")), "{policies:?}");
        case.expect_undecided(&intent).await
    })
    .await;
}

#[tokio::test]
async fn a_hostile_denial_is_shown_as_text() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.open(&intent, &alice).await?.expect_page();
        let deny = json!({"tab": "tab", "reason": HOSTILE});
        case.browser.see("deny", deny).await?.expect_receipt("denied");
        let read = case.browser.act("read", json!({"tab": "tab", "selector": "q"})).await?;
        assert_eq!(read, json!({"texts": [HOSTILE], "elements": 0}));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn text_that_changes_its_direction_or_cannot_be_seen_is_refused_at_submission() {
    case(async |case| {
        let count = "select count(*) from intents";
        let before: i64 = sqlx::query_scalar(count).fetch_one(&case.db).await?;
        for hidden in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{7}', '\u{e0041}'] {
            let text = format!("Read{hidden} only");
            let (mut purpose, mut argument) = (case.agent.plan(), case.agent.plan());
            purpose["purpose"] = text.as_str().into();
            argument["steps"][3]["args"]["value_from"] = json!({"const": text});
            for plan in [purpose, argument] {
                let answer = case.hand_in(&plan).await?;
                let refused = (400, Some("invalid_authorization_details"));
                assert_eq!((answer.status, answer.text("error")), refused, "{hidden:?}: {answer:?}");
            }
        }
        let after: i64 = sqlx::query_scalar(count).fetch_one(&case.db).await?;
        assert_eq!(after, before);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_receipt_does_not_exist_for_another_user() {
    case(async |case| {
        let (intent, alice, bob) = (case.submit().await?, case.alice.clone(), case.bob());
        case.approve(&intent, &alice).await?;
        let receipt = |id: &str| format!("{}/receipt/{id}", case.env.marque.issuer);
        let (known, unknown) = (receipt(&intent.intent_id), receipt("0190a0b0-0000-7000-8000-000000000000"));
        let visit = |url: String| json!({"tab": "elsewhere", "browser": "phone", "url": url, "person": bob.sign_in()});
        let foreign = case.browser.see("visit", visit(known)).await?;
        let missing = case.browser.see("visit", visit(unknown)).await?;
        for name in ["title", "text", "state"] {
            assert_eq!(foreign.text(name), missing.text(name), "{name}: {foreign:?}");
        }
        assert_eq!((foreign.status(), missing.status()), (404, 404), "{foreign:?}");
        case.expect_state(&intent, "approved").await
    })
    .await;
}

#[tokio::test]
async fn only_the_form_of_the_receipt_page_revokes() {
    case(async |case| {
        let (intent, alice) = (case.submit().await?, case.alice.clone());
        case.approve(&intent, &alice).await?;
        let field = json!({"tab": "tab", "selector": "input[name=csrf]", "name": "value"});
        let csrf = case.browser.act("attribute", field).await?["value"].clone();
        let revoke = format!("{}/receipt/{}/revoke", case.env.marque.issuer, intent.intent_id);
        for form in [json!({"other": "1"}), json!({"csrf": "A".repeat(43)})] {
            let refused = case.browser.request(&revoke, Some(&form)).await?;
            assert_eq!((refused.status, refused.location.as_str()), (400, ""), "{refused:?}");
        }
        let form = json!({"csrf": csrf});
        let stranger = reqwest::Client::builder().no_proxy().build()?.post(&revoke).form(&form).send().await?;
        assert_eq!(stranger.status(), 404);
        case.expect_state(&intent, "approved").await?;
        assert_eq!(case.browser.request(&revoke, Some(&form)).await?.status, 303);
        case.expect_state(&intent, "revoked").await?;
        case.expect_told(&intent, "invalid_grant", Some("intent_revoked")).await.map(drop)
    })
    .await;
}
