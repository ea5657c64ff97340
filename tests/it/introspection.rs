//! Introspection: a token means something to its holder and to the resource servers it has steps for, and to nobody else.

use crate::feed::revoke;
use crate::support::keys::{Client, Key, now};
use crate::support::places::Places;
use crate::support::plans::{grant, plan, reading, rotating, shared, step, with};
use crate::support::realm::Admin;
use crate::support::reply::Reply;
use crate::support::stack::Stack;
use marque_core::jws::{self, KeySet};
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_INTROSPECTION};
use serde_json::{Value, json};

/// A location beside the stack's own.
const SECOND: &str = "http://second.example";

/// A client asks about a token.
pub async fn ask(stack: &Stack, what: &str, client: &Client, token: &str) -> Reply {
    stack.post(what, client, "/introspect", &vec![("token", token.to_owned())]).await
}

/// A resource server asks about a token.
pub async fn ask_as(stack: &Stack, what: &str, access_token: &str, token: &str) -> Reply {
    let request = stack.http.post(stack.url("/introspect")).bearer_auth(access_token);
    Reply::to(what, request.form(&[("token", token)])).await
}

/// The one answer for whatever means nothing to the caller.
pub fn inactive(reply: &Reply) {
    assert_eq!(reply.success(200), &json!({"active": false}), "{}", reply.what);
}

fn claims(token: &str) -> Value {
    Value::Object(jws::unverified_claims(token).unwrap())
}

/// The access token of a resource server that answers for [`SECOND`] alone.
async fn second(stack: &Stack) -> String {
    let admin = Admin::sign_in(stack).await;
    let token = admin.token_of_service("it-second", stack.issuer(), None).await;
    admin.add_words("it-second", "marque.kind", &["resource-server"].into()).await;
    admin.add_words("it-second", "marque.locations", &[SECOND].into()).await;
    token
}

/// The stack's resource server describes [`SECOND`] too, so that plans may have steps there.
async fn describe_second(stack: &Stack) -> Places {
    let action = json!({
        "class": "read", "reversible": true, "resource": "environment", "args": {}, "display": {"en": "Look at {resource}"},
    });
    Places::described(stack, &[SECOND], ("look", action)).await
}

#[tokio::test]
async fn the_holder_sees_its_tokens() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let granted = grant(&stack, &agent, &rotating(&stack)).await;
    let txn = stack.transaction_token(&agent, &granted.token, &["rotate"]).await;
    for (token, kind, token_type) in [(&granted.token, TOKEN_TYPE_INTENT, "DPoP"), (&txn, TOKEN_TYPE_TXN, "N_A")] {
        let (reply, claims) = (ask(&stack, kind, &agent, token).await, claims(token));
        let answer = reply.success(200);
        assert_eq!((&answer["active"], &answer["issued_token_type"]), (&json!(true), &json!(kind)));
        assert_eq!((&answer["client_id"], &answer["token_type"]), (&json!(agent.id), &json!(token_type)), "{kind}");
        for name in ["iss", "aud", "sub", "iat", "exp", "jti", "scope", "act", "cnf"] {
            assert_eq!(answer[name], claims[name], "{kind}: {name}");
        }
        assert_eq!(answer.get("txn"), claims.get("txn"), "{kind}");
        assert_eq!(answer["intent"]["id"], granted.intent_id.as_str(), "{kind}");
        assert_eq!(answer["authorization_details"][0]["id"], "rotate", "{kind}");
        assert_eq!(answer["authorization_details"].as_array().unwrap().len(), 1, "{kind}");
    }
    let of_intent = ask(&stack, "an intent token", &agent, &granted.token).await;
    let signed_in = claims(&granted.token);
    assert_eq!((&of_intent.body["acr"], &of_intent.body["auth_time"]), (&signed_in["acr"], &signed_in["auth_time"]));
}

#[tokio::test]
async fn to_anybody_but_its_holder_and_for_what_is_no_token_the_answer_is_inactive_alone() {
    let stack = Stack::open().await;
    let (agent, worker) = (stack.agent(), stack.worker());
    let granted = grant(&stack, &agent, &rotating(&stack)).await;
    let txn = stack.transaction_token(&agent, &granted.token, &["rotate"]).await;
    for token in [&granted.token, &txn] {
        inactive(&ask(&stack, "a delegate that does not hold it", &worker, token).await);
    }
    let rs = stack.access_token().await;
    inactive(&ask_as(&stack, "an intent token at a resource server", &rs, &granted.token).await);
    let (header, forged) = (json!({"alg": "ES256", "typ": "txntoken+jwt"}), claims(&txn));
    let kid = jws::unverified_kid(&txn).unwrap();
    let under_its_id = json!({"alg": "ES256", "typ": "txntoken+jwt", "kid": kid});
    for (what, token) in [
        ("nothing like a token", "garbage".to_owned()),
        ("no JWS", "a.b.c".to_owned()),
        ("an unknown key", Key::fresh().sign_with(&header, &forged)),
        ("an unknown key under the known id", Key::fresh().sign_with(&under_its_id, &forged)),
        ("a cut signature", txn[..txn.len() - 4].to_owned()),
        ("no signature", format!("{}.", txn.rsplit_once('.').unwrap().0)),
        ("an access token of the realm", rs.clone()),
        ("a client assertion", agent.assert(&agent.assertion_claims(stack.issuer()))),
        ("a very long one", "a".repeat(300_000)),
        ("NUL", "a\u{0}b".to_owned()),
    ] {
        inactive(&ask(&stack, what, &agent, &token).await);
        inactive(&ask_as(&stack, what, &rs, &token).await);
    }
}

#[tokio::test]
async fn a_resource_server_sees_only_the_steps_at_its_own_locations() {
    let stack = Stack::open().await;
    let (agent, rs, second) = (stack.agent(), stack.access_token().await, second(&stack).await);
    let _place = describe_second(&stack).await;
    let elsewhere = with(step(&stack, "look", "look", "production"), json!({"location": SECOND, "uses": "any"}));
    let elsewhere = with(elsewhere, json!({"resource": {"type": "environment", "id": "production"}}));
    let granted =
        grant(&stack, &agent, &plan(&stack, vec![step(&stack, "rotate", "rotate_key", "a"), elsewhere])).await;
    let both = stack.transaction_token(&agent, &granted.token, &["rotate", "look"]).await;
    let here = stack.transaction_token(&agent, &granted.token, &["rotate"]).await;
    let seen = ask_as(&stack, "both", &second, &both).await;
    let answer = seen.success(200);
    assert_eq!((&answer["active"], &answer["scope"]), (&json!(true), &json!("look")), "{answer}");
    let details = answer["authorization_details"].as_array().unwrap();
    assert_eq!((details.len(), &details[0]["id"], &details[0]["location"]), (1, &json!("look"), &json!(SECOND)));
    assert!(!seen.text.contains("rotate"), "{}", seen.text);
    inactive(&ask_as(&stack, "a token for another location", &second, &here).await);
    let own = ask_as(&stack, "its own", &rs, &here).await;
    assert_eq!((&own.success(200)["active"], &own.body["scope"]), (&json!(true), &json!("rotate_key")));
    assert_eq!(own.body["cnf"]["jkt"], agent.dpop.kid.as_str());
}

#[tokio::test]
async fn what_was_revoked_or_is_over_is_inactive() {
    let stack = Stack::open().await;
    let (agent, rs) = (stack.agent(), stack.access_token().await);
    let granted = grant(&stack, &agent, &reading(&stack)).await;
    let txn = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    assert_eq!(ask(&stack, "before", &agent, &txn).await.success(200)["active"], true);
    revoke(&stack, &granted.intent_id).await;
    for token in [&granted.token, &txn] {
        inactive(&ask(&stack, "of a revoked intent", &agent, token).await);
        inactive(&ask_as(&stack, "of a revoked intent", &rs, token).await);
    }
}

#[tokio::test]
async fn whoever_asks_for_it_gets_the_answer_signed_and_addressed() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let jwks: Value = stack.http.get(stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
    let keys = KeySet::from_jwks(&jwks).unwrap();
    for (token, active) in [(granted.token.as_str(), true), ("garbage", false)] {
        let request = stack.signed(&agent, "/introspect", &vec![("token", token.to_owned())]);
        let reply = Reply::to("a signed answer", request.header("accept", "application/token-introspection+jwt")).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/token-introspection+jwt"));
        assert_eq!(reply.header("cache-control"), "no-store");
        let verified = jws::verify(&reply.text, TYP_INTROSPECTION, &keys).expect("a key for this purpose signed it");
        let claims = Value::Object(verified.claims().unwrap());
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(stack.issuer()), &json!(agent.id)));
        assert!((now() - claims["iat"].as_i64().unwrap()).abs() < 5 && claims.get("exp").is_none(), "{claims}");
        assert_eq!(claims["token_introspection"]["active"], active);
        assert_eq!(claims["token_introspection"].get("sub").is_some(), active);
    }
    let typ = |typ: &str| jwks["keys"].as_array().unwrap().iter().filter(|key| key["marque_typ"] == typ).count();
    assert_eq!(typ(TYP_INTROSPECTION), 1, "a key of its own purpose");
}

#[tokio::test]
async fn a_caller_is_one_of_the_two_kinds_and_names_a_token() {
    let stack = Stack::open().await;
    let (agent, rs) = (stack.agent(), stack.access_token().await);
    ask(&stack, "no token", &agent, "").await.refused(400, "invalid_request").naming("token");
    ask_as(&stack, "no token", &rs, "").await.refused(400, "invalid_request").naming("token");
    let both = stack.signed(&agent, "/introspect", &vec![("token", "x".into())]).bearer_auth(&rs);
    Reply::to("both kinds", both).await.refused(400, "invalid_request").naming("one way");
    let twice = vec![("token", "x".to_owned()), ("token", "y".to_owned())];
    stack.post("two tokens", &agent, "/introspect", &twice).await.refused(400, "invalid_request").naming("repeated");
    let hinted = vec![("token", "x".to_owned()), ("token_type_hint", "whatever".to_owned())];
    inactive(&stack.post("an unknown hint", &agent, "/introspect", &hinted).await);
}
