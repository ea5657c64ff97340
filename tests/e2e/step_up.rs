//! Step-ups: the agent meets a challenge, the person approves exactly that call, the agent goes on.

use std::fs;
use std::path::Path;

use marque_core::canonical::Digest;
use marque_core::names::TYP_STEP_UP_EVIDENCE;
use marque_demo::Result;
use marque_demo::agent::{Submission, step};
use marque_demo::clients::{Answer, SigningKey};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::case::{Case, case};
use crate::evidence::{export, folder, verify, verify_with};

/// How long the agent waits for a person who has already decided.
const DECIDED: Duration = Duration::from_secs(30);

/// Alice's plan, in which one update is asked about again.
fn plan(case: &Case) -> Value {
    let mut plan = case.agent.plan();
    plan["steps"][4]["approve"] = "step_up".into();
    plan["steps"][4]["uses"] = 3.into();
    plan["limits"]["max_step_ups"] = 3.into();
    plan
}

/// An approved plan, and a transaction token for all of it.
async fn granted(case: &mut Case) -> Result<(Submission, String)> {
    let plan = plan(case);
    let alice = case.alice.clone();
    let intent = case.submit_for(&alice, plan).await?;
    case.approve(&intent, &alice).await?;
    let body = case.agent.poll(&intent.intent_id).await?.success()?;
    let token = body["access_token"].as_str().ok_or("there is no intent token")?.to_owned();
    Ok((intent, case.agent.transaction_token(&token, None).await?))
}

fn challenge(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.text("error")), (401, Some("transaction_authorization_required")), "{answer:?}");
    assert_eq!((answer.reason(), &answer.body["step"]), ("step_up_required", &json!(step::UPDATE_WORKER)));
    answer.body["step_up"]["transaction_challenge"].as_str().unwrap_or_default().to_owned()
}

/// A step-up where an intent is expected: both are opened by their id.
fn as_submission(requested: &Value) -> Result<Submission> {
    let id = requested["transaction_authorization_id"].clone();
    Ok(serde_json::from_value(json!({
        "intent_id": id, "plan_digest": requested["document_digest"], "digest_words": requested["digest_words"],
        "approval_uri": requested["approval_uri"], "expires_in": requested["expires_in"],
        "interval": requested["interval"],
    }))?)
}

/// Polls at the pace that Marque asks for.
async fn wait(case: &Case, step_up: &Submission) -> Result<Answer> {
    let deadline = Instant::now() + DECIDED;
    loop {
        sleep(Duration::from_secs(step_up.interval)).await;
        let answer = case.agent.poll_call(&step_up.intent_id).await?;
        if answer.text("error") != Some("authorization_pending") || Instant::now() > deadline {
            return Ok(answer);
        }
    }
}

#[tokio::test]
async fn the_waiting_agent_goes_on_with_the_approved_call_once() {
    case(async |case| {
        let (intent, token) = granted(case).await?;
        let (call, alice) = (case.agent.update("WORKER_KEY", "svc-api"), case.alice.clone());
        let challenge = challenge(&case.agent.party.call(&token, &call).await?);
        let requested = case.agent.ask(&challenge).await?;
        assert_eq!(requested.status, 201, "{requested:?}");
        let step_up = as_submission(&requested.body)?;
        let pending = case.agent.poll_call(&step_up.intent_id).await?;
        assert_eq!((pending.status, pending.text("error")), (400, Some("authorization_pending")));

        let seen = case.open_in("call", "desk", &step_up, &alice).await?;
        seen.expect_page();
        assert_eq!(seen.text("words"), step_up.digest_words);
        let lines = seen.lines();
        assert_eq!(lines[0], "demo-agent asks alice to approve one call.");
        assert!(lines.contains(&"   value_from: \"svc-api\""), "{lines:?}");
        assert!(lines.contains(&"      chosen by the agent, within the plan"), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("CHANGE: Set secret \"WORKER_KEY\"")), "{lines:?}");
        case.press_in("call", &alice).await?.expect_receipt("active");

        let approved = wait(case, &step_up).await?.success()?;
        assert_eq!((&approved["state"], &approved["step"]), (&json!("approved"), &json!(step::UPDATE_WORKER)));
        assert_eq!(approved["call_digest"], call.digest().to_base64());
        let other = case.agent.update("WORKER_KEY", "svc-worker");
        assert_eq!(case.agent.party.call(&token, &other).await?.status, 401, "another argument is another call");
        let done = case.agent.party.call(&token, &call).await?;
        assert_eq!(done.status, 200, "{done:?}");
        let again = case.agent.party.call(&token, &call).await?;
        assert_eq!((again.status, again.reason()), (401, "step_up_required"), "an approval is good for one call");
        let used = case.agent.poll_call(&step_up.intent_id).await?;
        assert_eq!((used.status, used.text("error")), (400, Some("invalid_grant")), "{used:?}");
        case.expect_state(&intent, "active").await
    })
    .await;
}

/// What an auditor takes away of one call: it holds, and no byte of it can change.
#[tokio::test]
async fn the_evidence_of_an_approved_call_is_verified_offline() {
    case(async |case| {
        let (intent, token) = granted(case).await?;
        let (call, alice) = (case.agent.update("WORKER_KEY", "svc-api"), case.alice.clone());
        let challenge = challenge(&case.agent.party.call(&token, &call).await?);
        let step_up = as_submission(&case.agent.ask(&challenge).await?.success()?)?;
        case.open_in("call", "desk", &step_up, &alice).await?.expect_page();
        case.press_in("call", &alice).await?.expect_receipt("active");
        let other = case.submit().await?;
        case.approve(&other, &alice).await?;

        let folder = folder(case, &step_up)?;
        let file = |name: &str| folder.join(name);
        let (evidence, plan, other_plan, trust) =
            (file("call.json"), file("plan.json"), file("other.json"), file("trust.json"));
        export(case, &["evidence", "step-ups", &intent.intent_id], &file("ids")).await?;
        assert_eq!(fs::read_to_string(file("ids"))?, format!("{}\n", step_up.intent_id));
        export(case, &["evidence", "export", &step_up.intent_id], &evidence).await?;
        export(case, &["evidence", "export", &intent.intent_id], &plan).await?;
        export(case, &["evidence", "export", &other.intent_id], &other_plan).await?;
        export(case, &["trust", "export"], &trust).await?;
        let (code, said) = verify_with(&evidence, Some(&trust), Some(&plan)).await?;
        assert_eq!(code, Some(0), "{said}");
        for text in [
            "approved by  alice",
            "\nanchored",
            "update_secret on secret \"WORKER_KEY\"",
            "svc-api",
            step::UPDATE_WORKER,
        ] {
            assert!(said.contains(text), "{text}: {said}");
        }
        let (code, said) = verify(&evidence, None).await?;
        assert!(code == Some(0) && said.contains("unanchored"), "{said}");
        let (code, said) = verify_with(&evidence, Some(&trust), Some(&other_plan)).await?;
        assert!(code == Some(1) && said.contains("another plan"), "{said}");
        let (code, said) = verify_with(&plan, Some(&trust), Some(&evidence)).await?;
        assert!(code == Some(1) && said.contains("no approval of a call"), "{said}");
        expect_pins(&evidence, &trust, &file("foreign.json")).await?;
        expect_no_change(&evidence, &trust, &file("changed.json")).await?;
        Ok(fs::remove_dir_all(folder)?)
    })
    .await;
}

/// The key of a call's evidence is not the one of a plan's; neither passes for the other, and no other realm's.
async fn expect_pins(evidence: &Path, trust: &Path, file: &Path) -> Result<()> {
    let pins: Value = serde_json::from_slice(&fs::read(trust)?)?;
    let keys = pins["marque"]["jwks"]["keys"].as_array().cloned().unwrap_or_default();
    let others: Vec<Value> = keys.iter().filter(|key| key["marque_typ"] != TYP_STEP_UP_EVIDENCE).cloned().collect();
    assert_eq!(others.len() + 1, keys.len(), "{keys:?}");
    for (place, other) in [
        ("/marque/jwks", json!({"keys": others})),
        ("/realm/jwks", pins["marque"]["jwks"].clone()),
        ("/realm/issuer", json!("https://elsewhere.test/realms/demo")),
    ] {
        let mut pins = pins.clone();
        *pins.pointer_mut(place).ok_or("the trust file has no such member")? = other;
        fs::write(file, pins.to_string())?;
        let (code, said) = verify(evidence, Some(file)).await?;
        assert!(code == Some(1) && said.contains("does not hold"), "{place}: {said}");
    }
    Ok(())
}

/// Copies with one changed byte fail, at positions spread over the file.
async fn expect_no_change(evidence: &Path, trust: &Path, file: &Path) -> Result<()> {
    const POSITIONS: usize = 40;
    let bytes = fs::read(evidence)?;
    for index in 0..POSITIONS {
        let at = index * (bytes.len() - 1) / (POSITIONS - 1);
        let mut copy = bytes.clone();
        copy[at] ^= 1;
        fs::write(file, copy)?;
        let (code, said) = verify(file, Some(trust)).await?;
        assert_eq!(code, Some(1), "byte {at}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_denied_call_is_refused_with_the_persons_words() {
    case(async |case| {
        let (intent, token) = granted(case).await?;
        let (call, alice) = (case.agent.update("WORKER_KEY", "svc-api"), case.alice.clone());
        let challenge = challenge(&case.agent.party.call(&token, &call).await?);
        let step_up = as_submission(&case.agent.ask(&challenge).await?.success()?)?;
        case.open_in("call", "desk", &step_up, &alice).await?.expect_page();
        let deny = json!({"tab": "call", "reason": "not this one"});
        case.browser.see("deny", deny).await?.expect_receipt("active");
        let denied = wait(case, &step_up).await?;
        assert_eq!((denied.text("error"), denied.reason()), (Some("access_denied"), "denied_by_user"), "{denied:?}");
        assert!(denied.text("error_description").unwrap_or_default().contains("not this one"), "{denied:?}");
        let refused = case.agent.party.call(&token, &call).await?;
        assert_eq!((refused.status, refused.reason()), (401, "step_up_required"));
        case.open_in("late", "desk", &step_up, &alice).await?.expect_refusal(409, "decided already");
        case.expect_state(&intent, "active").await
    })
    .await;
}

#[tokio::test]
async fn only_the_person_of_the_plan_is_shown_the_call_and_each_page_is_answered_once() {
    case(async |case| {
        let (_, token) = granted(case).await?;
        let (call, alice, bob) = (case.agent.update("WORKER_KEY", "svc-api"), case.alice.clone(), case.bob());
        let challenge = challenge(&case.agent.party.call(&token, &call).await?);
        let step_up = as_submission(&case.agent.ask(&challenge).await?.success()?)?;
        let seen = case.open_in("bobs", "bobs", &step_up, &bob).await?;
        seen.expect_refusal(400, "another user");
        assert_eq!(seen.lines(), [""; 0]);
        case.open_in("call", "desk", &step_up, &alice).await?.expect_page();
        let post = case.browser.sign("call", &alice.passkey, json!({})).await?;
        let first = case.browser.see("submit", json!({"tab": "call", "form": post.form})).await?;
        first.expect_receipt("active");
        let again = case.browser.post("call", &post).await?;
        assert!(!again.has_code(), "{again:?}");
        assert_eq!(wait(case, &step_up).await?.status, 200);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_approval_without_its_evidence_permits_nothing() {
    case(async |case| {
        let (_, token) = granted(case).await?;
        let (call, alice) = (case.agent.update("WORKER_KEY", "svc-api"), case.alice.clone());
        let challenge = challenge(&case.agent.party.call(&token, &call).await?);
        let step_up = as_submission(&case.agent.ask(&challenge).await?.success()?)?;
        let id: uuid::Uuid = step_up.intent_id.parse()?;
        // Whoever can write rows says that it was approved.
        let forge = "update step_ups set state = 'approved' where step_up_id = $1";
        sqlx::query(forge).bind(id).execute(&case.db).await?;
        let refused = case.agent.party.call(&token, &call).await?;
        assert_eq!((refused.status, refused.reason()), (401, "step_up_required"), "a row alone permits nothing");
        let forge = "insert into approvals (intent_id, step_up_id, evidence, credential_id, sign_count, approved_at)
             select intent_id, $1, evidence, credential_id, 0, approved_at from approvals where step_up_id is null
             order by approved_at desc limit 1";
        sqlx::query(forge).bind(id).execute(&case.db).await?;
        let refused = case.agent.party.call(&token, &call).await?;
        assert_eq!(
            (refused.status, refused.reason()),
            (401, "step_up_required"),
            "evidence of a plan is none of a call"
        );

        let pend = "update step_ups set state = 'pending' where step_up_id = $1";
        sqlx::query(pend).bind(id).execute(&case.db).await?;
        case.open_in("call", "desk", &step_up, &alice).await?.expect_page();
        let swap = "update step_ups set document = decode(replace(encode(document, 'escape'), 'svc-api', 'svc-xpi'),
             'escape') where step_up_id = $1";
        sqlx::query(swap).bind(id).execute(&case.db).await?;
        let seen = case.press_in("call", &alice).await?;
        assert_ne!(seen.status(), 200, "a document that was changed while it was shown: {seen:?}");
        let refused = case.agent.party.call(&token, &call).await?;
        assert_eq!((refused.status, refused.reason()), (401, "step_up_required"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_approval_is_for_the_key_that_presented_the_call() {
    case(async |case| {
        let (_, token) = granted(case).await?;
        let (call, alice) = (case.agent.update("WORKER_KEY", "svc-api"), case.alice.clone());
        let challenge = challenge(&case.agent.party.call(&token, &call).await?);
        let mut thief = marque_demo::agent::Agent::new(&case.env)?;
        thief.party.dpop = SigningKey::read(&case.env.clients.worker.dpop_key)?;
        let refused = thief.ask(&challenge).await?;
        assert_eq!((refused.status, refused.reason()), (400, "challenge_invalid"), "{refused:?}");
        let step_up = as_submission(&case.agent.ask(&challenge).await?.success()?)?;
        let foreign = thief.poll_call(&step_up.intent_id).await?;
        assert_eq!((foreign.status, foreign.text("error")), (400, Some("invalid_grant")), "{foreign:?}");
        case.open_in("call", "desk", &step_up, &alice).await?.expect_page();
        case.press_in("call", &alice).await?.expect_receipt("active");
        // The row is turned to another key; what was signed names the agent's.
        let turn = "update step_ups set jkt = $2 where step_up_id = $1";
        let id: uuid::Uuid = step_up.intent_id.parse()?;
        sqlx::query(turn).bind(id).bind(Digest::of(b"another key").to_base64()).execute(&case.db).await?;
        let refused = case.agent.party.call(&token, &call).await?;
        assert_eq!((refused.status, refused.reason()), (401, "step_up_required"));
        sqlx::query(turn).bind(id).bind(case.agent.party.dpop.thumbprint()).execute(&case.db).await?;
        assert_eq!(case.agent.party.call(&token, &call).await?.status, 200);
        Ok(())
    })
    .await;
}
