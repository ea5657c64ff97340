//! Lines of docs/reference/conformance.md that no other test shows.

use crate::access_tokens::access_token;
use crate::evaluation::{EVALUATION, fresh, request};
use crate::exchange::exchange_all;
use crate::exchange_policy::self_claims;
use crate::introspection::{ask, ask_as, inactive};
use crate::support::keys::now;
use crate::support::plans::{grant, reading, rotation, shared, with};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use marque_core::jws;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_SELF_SIGNED, TYP_JWT};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// What every JWS begins with: `{"`, in base64url.
const JWS_BEGINS: &str = "eyJ";

/// Right and wrong requests with every kind of token and proof, at a server whose log is at hand.
#[tokio::test]
async fn no_token_and_no_proof_is_written_to_the_log() {
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let txn = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    let access = access_token(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    access.success(200);
    stack.submitted(&agent, &reading(stack)).await;
    ask(stack, "a transaction token", &agent, &txn).await.success(200);
    let wrong = format!("{}x", granted.token);
    exchange_all(stack, &agent, &wrong, TOKEN_TYPE_INTENT).await.refused(400, "invalid_request");
    stack.post("a revocation", &agent, "/revoke", &vec![("token", wrong.clone())]).await.success(200);
    let body = request(stack, &agent, &txn, &rotation(stack, "none"), &fresh());
    stack.post_json("a call that is refused", EVALUATION, &body).await.success(200);
    let in_query = stack.signed(&agent, &format!("/token?access_token={txn}"), &vec![]);
    Reply::to("a token in the query", in_query).await.refused(400, "invalid_request");
    let in_path = stack.http.get(stack.url(&format!("/plans/{txn}")));
    Reply::to("a token in the path", in_path).await.refused(401, "invalid_client");
    let strange = stack.http.get(stack.url("/results")).bearer_auth(&txn);
    Reply::to("a token of another kind", strange).await.refused(401, "invalid_token");
    let log = server.log();
    assert!(!log.is_empty(), "it logs");
    assert!(!log.contains(JWS_BEGINS), "a token or a proof is in the log: {log}");
}

/// The time in a token stands above the status list, which knows revocations alone.
#[tokio::test]
async fn a_token_that_is_over_is_inactive_although_its_status_is_valid() {
    let stack = Stack::open().await;
    let (agent, rs) = (stack.agent(), stack.access_token().await);
    let short = with(reading(&stack), json!({"limits": {"lifetime_secs": 20, "max_hops": 0}}));
    let granted = grant(&stack, &agent, &short).await;
    let access = access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    let access = access.success(200)["access_token"].as_str().unwrap().to_owned();
    for token in [&granted.token, &access] {
        assert_eq!(ask(&stack, "in time", &agent, token).await.success(200)["active"], true);
    }
    let claims = Value::Object(jws::unverified_claims(&access).unwrap());
    let left = claims["exp"].as_i64().unwrap() - now();
    assert!((0..=20).contains(&left), "it does not outlive the intent: {claims}");
    // The intent's own row lets it live on: the tokens' time alone is over.
    let longer = "update intents set expires_at = now() + interval '1 hour' where intent_id = $1";
    let id: Uuid = granted.intent_id.parse().unwrap();
    sqlx::query(longer).bind(id).execute(&stack.db).await.unwrap();
    tokio::time::sleep(Duration::from_secs(u64::try_from(left).unwrap() + 1)).await;
    for token in [&granted.token, &access] {
        inactive(&ask(&stack, "over", &agent, token).await);
        inactive(&ask_as(&stack, "over", &rs, token).await);
        assert_eq!(crate::status_list::status(&stack, token).await, 0, "nobody revoked it");
    }
    let reply = exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    reply.because(400, "invalid_request", "token_expired");
}

/// RFC 8693 §2.2.1, txn-tokens "Txn-Token Response", identity chaining §5.4.
#[tokio::test]
async fn no_grant_and_no_exchange_gives_a_refresh_token() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let granted = grant(&stack, &agent, &reading(&stack)).await;
    let own = agent.signing.sign(TYP_JWT, &self_claims(&stack, &agent));
    for (what, reply) in [
        ("the intent grant", stack.poll(&agent, &granted.intent_id).await),
        ("a transaction token", exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await),
        ("an access token", access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await),
        ("a chain of one's own", exchange_all(&stack, &agent, &own, TOKEN_TYPE_SELF_SIGNED).await),
    ] {
        let answer = reply.success(200);
        assert!(answer["access_token"].is_string() && answer.get("refresh_token").is_none(), "{what}: {answer}");
        assert!(answer["expires_in"].as_i64().is_some_and(|secs| secs > 0), "{what}: {answer}");
        assert!(answer["scope"].is_string() && answer["issued_token_type"].is_string(), "{what}: {answer}");
    }
}

/// OAuth 2.1 §7.11. The page on which a person decides is Keycloak's.
#[tokio::test]
async fn no_page_of_marque_is_shown_within_another() {
    let stack = Stack::open().await;
    let id = Uuid::nil();
    for path in [format!("/approve/{id}"), format!("/receipt/{id}"), "/callback".into(), "/receipt/callback".into()] {
        let reply = Reply::to(&path, stack.http.get(stack.url(&path))).await;
        assert!(reply.header("content-type").starts_with("text/html"), "{path}: {:?}", reply.headers);
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy:?}");
    }
}

/// RFC 8414 §2: what the metadata promises is there, and what it does not promise is not.
#[tokio::test]
async fn each_endpoint_and_grant_of_the_metadata_is_there() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let reply = Reply::to("metadata", stack.http.get(stack.url("/.well-known/oauth-authorization-server"))).await;
    let metadata = reply.body.as_object().unwrap();
    assert_eq!(metadata["issuer"], stack.issuer(), "to the byte, without a slash at its end");
    let places = metadata.iter().filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"));
    let places: Vec<_> = places.map(|(name, place)| (name, place.as_str().unwrap())).collect();
    assert!(places.len() > 8, "{places:?}");
    for (name, place) in places {
        assert!(place.starts_with(&format!("{}/", stack.issuer())), "{name}: {place}");
        let (get, post) = (Reply::to(name, stack.http.get(place)).await, Reply::to(name, stack.http.post(place)).await);
        let nowhere = "there is nothing at this path";
        // Envelopes have their digest in the path.
        let is_there = [get, post].iter().any(|reply| reply.member("error_description") != nowhere);
        assert!(is_there || name == "marque_envelopes_endpoint", "{name}: {place}");
    }
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    for grant in grants {
        let form = vec![("grant_type", grant.as_str().unwrap().to_owned())];
        let reply = stack.post("no more than the grant", &agent, "/token", &form).await;
        assert!(["invalid_request", "invalid_target"].contains(&reply.member("error")), "{grant}: {}", reply.text);
    }
    for grant in ["authorization_code", "implicit", "refresh_token", "client_credentials", "password"] {
        assert!(!grants.contains(&json!(grant)), "{grant}");
        let reply = stack.post(grant, &agent, "/token", &vec![("grant_type", grant.to_owned())]).await;
        reply.refused(400, "unsupported_grant_type");
    }
}

/// A slash makes another issuer, to clients as to Marque.
#[tokio::test]
async fn an_issuer_with_a_slash_at_its_end_is_another_issuer() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let mut claims = agent.assertion_claims(&format!("{}/", stack.issuer()));
    let ask = async |claims: &Value| {
        let proof = crate::support::keys::Key::proof_claims("POST", &format!("{}/token", stack.issuer()));
        let form = [
            ("grant_type", marque_core::names::GRANT_INTENT),
            ("intent_id", "x"),
            ("client_assertion_type", marque_core::names::ASSERTION_TYPE_JWT),
            ("client_assertion", &agent.assert(claims)),
        ];
        let request = stack.http.post(stack.url("/token")).header("dpop", agent.dpop.proof_of(&proof));
        Reply::to("an assertion", request.form(&form)).await
    };
    ask(&claims).await.refused(401, "invalid_client").naming("aud");
    claims["aud"] = stack.issuer().into();
    ask(&claims).await.refused(400, "invalid_grant");
}
