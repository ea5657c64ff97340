//! The same submission by CIBA (OpenID Connect CIBA Core 1.0), poll mode.

use crate::support::keys::Client;
use crate::support::person;
use crate::support::plans::{reading, rotating};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::sse::Feed;
use crate::support::stack::{Form, Stack};
use marque_core::names::{GRANT_CIBA, TOKEN_TYPE_INTENT};
use serde_json::{Value, json};
use uuid::Uuid;

/// The form of a right request for the stack's user.
fn form(stack: &Stack, plan: &Value) -> Form<'static> {
    vec![
        ("authorization_details", json!([{"type": "agent_intent_plan", "plan": plan}]).to_string()),
        ("login_hint", stack.env.user.username.clone()),
        ("scope", "openid".to_owned()),
    ]
}

async fn ask(stack: &Stack, what: &str, client: &Client, form: &Form<'_>) -> Reply {
    stack.post(what, client, "/bc-authorize", form).await
}

async fn poll(stack: &Stack, client: &Client, auth_req_id: &str) -> Reply {
    let form = vec![("grant_type", GRANT_CIBA.into()), ("auth_req_id", auth_req_id.into())];
    stack.post("a CIBA poll", client, "/token", &form).await
}

/// Moves what happened into the past.
async fn set(stack: &Stack, column: &'static str, intent: &str) {
    let sql = format!("update intents set {column} where intent_id = $1");
    let id: Uuid = intent.parse().unwrap();
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).execute(&stack.db).await.unwrap();
}

#[tokio::test]
async fn a_client_that_speaks_ciba_redeems_the_same_intent_once_whichever_grant_it_uses() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let asked = ask(&stack, "a right request", &agent, &form(&stack, &rotating(&stack))).await;
    let answer = asked.success(200);
    let (request, intent) = (asked.member("auth_req_id").to_owned(), asked.member("intent_id").to_owned());
    assert!(request.len() >= 43 && request != intent, "an id of at least 160 random bits: {request}");
    assert!(answer["expires_in"].as_i64().is_some_and(|secs| secs > 500), "{answer}");
    assert_eq!(asked.member("approval_uri"), format!("{}/approve/{intent}", stack.issuer()));
    assert!(!asked.member("digest_words").is_empty() && !asked.member("plan_digest").is_empty());

    poll(&stack, &agent, &request).await.refused(400, "authorization_pending");
    let slower = answer["interval"].as_i64().unwrap() + 5;
    poll(&stack, &agent, &request).await.refused(400, "slow_down").naming(&slower.to_string());
    stack.poll(&agent, &intent).await.refused(400, "slow_down").naming(&(slower + 5).to_string());
    poll(&stack, &stack.worker(), &request).await.refused(400, "invalid_grant");

    person::approve(&stack, &intent).await;
    let mut feed = Feed::open(&stack, None).await;
    let granted = poll(&stack, &agent, &request).await;
    granted.success(200);
    assert_eq!((granted.member("issued_token_type"), granted.member("token_type")), (TOKEN_TYPE_INTENT, "DPoP"));
    let token = granted.member("access_token").to_owned();
    stack.transaction_token(&agent, &token, &["rotate"]).await;
    stack.poll(&agent, &intent).await.success(200);
    set(&stack, "redeemed_at = redeemed_at - interval '61 seconds'", &intent).await;
    poll(&stack, &agent, &request).await.because(400, "invalid_grant", "intent_revoked");
    feed.until_revoked(&intent).await;
    let form = stack.exchange_form(&token, TOKEN_TYPE_INTENT);
    stack.post("an exchange", &agent, "/token", &form).await.because(400, "invalid_request", "intent_revoked");
}

#[tokio::test]
async fn ciba_polls_are_told_of_denial_and_of_time_that_is_over() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let denied = ask(&stack, "a plan", &agent, &form(&stack, &reading(&stack))).await;
    person::deny(&stack, denied.member("intent_id"), "not now").await;
    poll(&stack, &agent, denied.member("auth_req_id")).await.because(400, "access_denied", "denied_by_user");

    let mut short = form(&stack, &reading(&stack));
    short.push(("requested_expiry", "30".into()));
    let asked = ask(&stack, "a short wait", &agent, &short).await;
    assert_eq!(asked.success(200)["expires_in"], 30);
    set(&stack, "pending_until = now()", asked.member("intent_id")).await;
    poll(&stack, &agent, asked.member("auth_req_id")).await.because(400, "expired_token", "intent_expired");
    let mut long = form(&stack, &reading(&stack));
    long.push(("requested_expiry", "86400".into()));
    let asked = ask(&stack, "a wait that is longer than any", &agent, &long).await;
    assert_eq!(asked.success(200)["expires_in"], 600);
}

#[tokio::test]
async fn auth_req_ids_that_are_foreign_unknown_or_no_ids_are_answered_alike() {
    let stack = Stack::open().await;
    let asked = ask(&stack, "a plan", &stack.agent(), &form(&stack, &reading(&stack))).await;
    let foreign = poll(&stack, &stack.worker(), asked.member("auth_req_id")).await;
    foreign.refused(400, "invalid_grant");
    for id in [asked.member("intent_id"), &"A".repeat(43), "a\u{0}b", &"é".repeat(2000), "' or 1=1 --"] {
        let reply = poll(&stack, &stack.agent(), id).await;
        assert_eq!((reply.status, &reply.body), (foreign.status, &foreign.body), "{id:?}");
    }
    let form = vec![("grant_type", GRANT_CIBA.into()), ("intent_id", asked.member("intent_id").into())];
    let reply = stack.post("another id", &stack.agent(), "/token", &form).await;
    reply.refused(400, "invalid_request").naming("auth_req_id");
}

/// Parameters that make a right request wrong: what, name, value, error, place. An empty value leaves it out.
const WRONG: &[(&str, &str, &str, &str, &str)] = &[
    ("no hint", "login_hint", "", "invalid_request", "login_hint"),
    ("a second hint", "id_token_hint", "a.b.c", "invalid_request", "only one"),
    ("another second hint", "login_hint_token", "a.b.c", "invalid_request", "only one"),
    ("another user's hint", "login_hint", "mallory", "unknown_user_id", "login_hint"),
    ("ping or push", "client_notification_token", "abc", "invalid_request", "client_notification_token"),
    ("a user code", "user_code", "1234", "invalid_request", "user_code"),
    ("a signed request", "request", "a.b.c", "invalid_request", "request"),
    ("a request by reference", "request_uri", "urn:x", "invalid_request", "request_uri"),
    ("another scope", "scope", "openid rotate_key", "invalid_scope", "authorization_details"),
    ("a text that nothing shows", "binding_message", "Press yes", "invalid_binding_message", "binding_message"),
    ("no time", "requested_expiry", "0", "invalid_request", "requested_expiry"),
    ("a negative time", "requested_expiry", "-5", "invalid_request", "requested_expiry"),
    ("a time that is no number", "requested_expiry", "soon", "invalid_request", "requested_expiry"),
    ("a broken time", "requested_expiry", "30.5", "invalid_request", "requested_expiry"),
    ("no plan", "authorization_details", "", "invalid_request", "authorization_details"),
    ("a plan that is none", "authorization_details", "[]", "invalid_authorization_details", "$"),
];

#[tokio::test]
async fn a_ciba_request_that_is_not_offered_is_refused_and_leaves_nothing() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let (stack, agent) = (&server.stack, main.agent());
    let before = stack.row_counts().await;
    for (what, name, value, error, place) in WRONG {
        let mut form = form(stack, &reading(stack));
        form.retain(|(given, _)| given != name);
        form.push((*name, (*value).into()));
        ask(stack, what, &agent, &form).await.refused(400, error).naming(place);
    }
    let mut plan = reading(stack);
    plan["user"] = json!({"username": "mallory"});
    let mut strange = form(stack, &plan);
    strange.retain(|(name, _)| *name != "login_hint");
    strange.push(("login_hint", "mallory".into()));
    ask(stack, "a user that it is not paired with", &agent, &strange).await.because(403, "access_denied", "not_paired");
    assert_eq!(stack.row_counts().await, before);
    let mut shown = form(stack, &reading(stack));
    shown.push(("binding_message", reading(stack)["purpose"].as_str().unwrap().to_owned()));
    ask(stack, "the text that the page shows", &agent, &shown).await.success(200);
}

#[tokio::test]
async fn a_ciba_request_is_repeated_by_its_key_and_only_as_it_was() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let right = form(&stack, &reading(&stack));
    let key = Uuid::new_v4().to_string();
    let send = |path: &'static str, form: &Form<'_>| {
        Reply::to("a keyed request", stack.signed(&agent, path, form).header("idempotency-key", &key))
    };
    let at_once = futures_util::future::join_all((0..4).map(|_| send("/bc-authorize", &right))).await;
    for reply in &at_once {
        reply.success(200);
        for member in ["auth_req_id", "intent_id", "plan_digest"] {
            assert_eq!(reply.member(member), at_once[0].member(member), "concurrent requests make one intent");
        }
    }
    send("/plans", &right).await.refused(400, "invalid_request").naming("Idempotency-Key");
    let other = [right.clone(), vec![("requested_expiry", "60".into())]].concat();
    send("/bc-authorize", &other).await.refused(400, "invalid_request").naming("Idempotency-Key");
}

#[tokio::test]
async fn the_metadata_says_which_ciba_is_offered() {
    let stack = Stack::open().await;
    let place = stack.url("/.well-known/oauth-authorization-server");
    let metadata = Reply::to("metadata", stack.http.get(place)).await;
    assert_eq!(metadata.member("backchannel_authentication_endpoint"), format!("{}/bc-authorize", stack.issuer()));
    assert_eq!(metadata.body["backchannel_token_delivery_modes_supported"], json!(["poll"]));
    assert_eq!(metadata.body["backchannel_user_code_parameter_supported"], false);
    assert!(metadata.body["grant_types_supported"].as_array().unwrap().contains(&GRANT_CIBA.into()));
    assert_eq!(metadata.body.get("backchannel_authentication_request_signing_alg_values_supported"), None);
}

#[tokio::test]
async fn whether_a_user_exists_is_not_told_to_who_may_not_ask_her() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let refused = async |user: Value| {
        let mut plan = reading(&stack);
        plan["user"] = user.clone();
        let hint = user.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        let mut form = form(&stack, &plan);
        form.retain(|(name, _)| *name != "login_hint");
        form.push(("login_hint", hint));
        let reply = ask(&stack, "a user that it may not ask", &agent, &form).await;
        reply.because(403, "access_denied", "not_paired");
        reply.text
    };
    let [known, unknown] = [refused(json!({"username": "dora"})).await, refused(json!({"username": "nobody"})).await];
    assert_eq!(known, unknown);
}
