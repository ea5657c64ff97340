//! Keys of Marque's that an operator withdraws: servers that run, gates and the feed believe them no longer, and go on with
//! others.

use crate::evaluation::{EVALUATION, fresh, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::gates::Process;
use crate::support::keys::Key;
use crate::support::plans::{call, rotation, shared};
use crate::support::server::{Copy, Server};
use crate::support::sse::Feed;
use crate::support::stack::Stack;
use crate::support::until;
use marque::keys::Purpose;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::jws::unverified_kid;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_EVIDENCE, TYP_REVOCATION, TYP_TXN};
use marque_gate::Reason;
use serde_json::{Value, json};

/// The id of the key that a server publishes for a `typ`.
pub async fn published(stack: &Stack, typ: &str) -> String {
    let jwks: Value = stack.http.get(stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    let of_typ: Vec<_> = keys.iter().filter(|key| key["marque_typ"] == typ).collect();
    assert_eq!(of_typ.len(), 1, "one key for {typ}: {jwks}");
    of_typ[0]["kid"].as_str().unwrap().to_owned()
}

/// Withdraws the key of a `typ` and waits until a server that runs has another one; answers its id and the new one's.
pub async fn withdraw(server: &Server, typ: &str) -> (String, String) {
    withdraw_of(server, &server.stack.env.keycloak.realm, typ).await
}

/// [`withdraw`] at a server that has several realms.
pub async fn withdraw_of(server: &Server, realm: &str, typ: &str) -> (String, String) {
    let kid = published(&server.stack, typ).await;
    let told = server.command(&["keys", "withdraw", &kid, "--realm", realm]);
    assert_eq!(told, Ok(format!("withdrawn: {kid}\n")));
    until("another key is published", || async { published(&server.stack, typ).await != kid }).await;
    (kid, published(&server.stack, typ).await)
}

fn reading(stack: &Stack) -> Call {
    call(stack, "list_service_accounts", "environment", "production", json!({}))
}

#[tokio::test]
async fn a_running_server_refuses_what_a_withdrawn_key_signed_and_goes_on_with_another() {
    let main = Stack::open().await;
    let (agent, worker, granted) = (main.agent(), main.worker(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let (server, twin) = (copy.serve().await, copy.serve().await);
    let exchanged =
        async |server: &Server| token_of(&exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let evaluated = async |server: &Server, token: &str, call: &Call| {
        let body = request(&server.stack, &agent, token, call, &fresh());
        server.stack.post_json("a call", EVALUATION, &body).await
    };
    let token = exchanged(&server).await;
    for server in [&server, &twin] {
        assert_eq!(evaluated(server, &token, &reading(&main)).await.success(200)["decision"], true);
        token_of(&exchange_all(&server.stack, &worker, &token, TOKEN_TYPE_TXN).await);
    }

    let (old, new) = withdraw(&server, TYP_TXN).await;
    assert_eq!(unverified_kid(&token), Some(old.clone()));
    until("the other server has the same key", || async { published(&twin.stack, TYP_TXN).await == new }).await;
    for server in [&server, &twin] {
        refused(&evaluated(server, &token, &reading(&main)).await, "token_invalid");
        refused(&evaluated(server, &token, &rotation(&main, "for-worker")).await, "token_invalid");
        let handed = exchange_all(&server.stack, &worker, &token, TOKEN_TYPE_TXN).await;
        handed.because(400, "invalid_request", "token_invalid");
        let another = exchanged(server).await;
        assert_eq!(unverified_kid(&another), Some(new.clone()));
        for server in [server, &twin] {
            assert_eq!(evaluated(server, &another, &reading(&main)).await.success(200)["decision"], true);
        }
        token_of(&exchange_all(&server.stack, &worker, &another, TOKEN_TYPE_TXN).await);
    }
}

#[tokio::test]
async fn an_approval_whose_evidence_a_withdrawn_key_signed_gives_no_token() {
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let exchange = async || exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    token_of(&exchange().await);
    withdraw(&server, TYP_EVIDENCE).await;
    exchange().await.because(400, "invalid_grant", "evidence_invalid");
}

#[tokio::test]
async fn an_operator_lists_the_keys_and_withdraws_one_of_the_realm_once() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let (old, new) = withdraw(&server, TYP_TXN).await;
    let listed = server.command(&["keys", "list"]).unwrap();
    let line = |kid: &str| {
        let line = listed.lines().find(|line| line.starts_with(kid)).unwrap_or_else(|| panic!("{kid}: {listed}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line(&old)[1..3], [TYP_TXN, "since"]);
    assert_eq!((line(&old)[4].as_str(), line(&new)[4..].join(" ").as_str()), ("withdrawn", "in use"));
    let all = Purpose::ALL.len() + 1;
    assert_eq!(listed.lines().count(), all, "one for each purpose and the one that was withdrawn: {listed}");

    let never = Key::fresh().kid;
    let error = server.command(&["keys", "withdraw", &never]).unwrap_err();
    assert!(error.contains(&format!("never had a key {never}")), "{error}");
    let before = Feed::open(&server.stack, None).await.next().await;
    assert!(server.command(&["keys", "withdraw", &old]).is_ok(), "once more changes nothing");
    assert_eq!(Feed::open(&server.stack, None).await.next().await.payload["seq"], before.payload["seq"]);
}

#[tokio::test]
async fn a_withdrawn_key_travels_the_feed_and_is_refused_at_once() {
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let exchanged = async || token_of(&exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let token = exchanged().await;
    let process = Process::start(&main, &server.stack.base).await;
    let read = reading(&main);
    assert!(process.check(&agent, &token, &read).await.is_ok());
    let mut feed = Feed::open(&server.stack, None).await;
    let before = feed.next().await;
    assert_eq!(before.payload["keys"], json!([]));

    let (kid, _) = withdraw(&server, TYP_TXN).await;
    let event = feed.next_of("key_withdrawal").await;
    assert_eq!((&event.payload["key"], &event.payload["state"]), (&json!(kid), &json!("withdrawn")));
    let seq = event.payload["seq"].as_i64().unwrap();
    assert_eq!(
        (Some(seq), event.payload["prev"].as_i64()),
        (before.payload["seq"].as_i64().map(|s| s + 1), Some(seq - 1))
    );
    assert_eq!(feed.next_of("heartbeat").await.payload["seq"], seq);
    let refused = async || process.check(&agent, &token, &read).await.err().map(|refusal| refusal.reason());
    until("the key is refused", || async { refused().await == Some(Reason::TokenInvalid) }).await;
    process.becomes("other", Ok(())).await;
    assert_eq!(refused().await, Some(Reason::TokenInvalid));
    let another = exchanged().await;
    until("a new token holds", || async { process.check(&agent, &another, &read).await.is_ok() }).await;
    assert_eq!(Feed::open(&server.stack, None).await.next().await.payload["keys"], json!([kid]));
    drop(server);

    let server = copy.serve().await;
    assert_ne!(published(&server.stack, TYP_TXN).await, kid, "a server that is started has the new one");
    let process = Process::start(&main, &server.stack.base).await;
    assert_eq!(process.check(&agent, &token, &read).await.unwrap_err().reason(), Reason::TokenInvalid);
}

#[tokio::test]
async fn a_feed_whose_own_key_was_withdrawn_goes_on_by_another_which_says_so() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let process = Process::start(&main, &server.stack.base).await;
    let mut feed = Feed::open(&server.stack, None).await;
    feed.next_of("heartbeat").await;
    let (kid, new) = withdraw(&server, TYP_REVOCATION).await;
    feed.learn_keys(&server.stack).await;
    let told = feed.next_of("key_withdrawal").await;
    assert_eq!((&told.payload["key"], &told.signer), (&json!(kid), &new));
    until("the gate has heard", || std::future::ready(process.gate.revocations().is_withdrawn(&kid))).await;
    process.becomes("other", Ok(())).await;
    let other = Digest::of(b"another").to_base64();
    assert!(!process.gate.revocations().is_withdrawn(&other) && !process.gate.revocations().is_withdrawn(&new));
    let first = Feed::open(&server.stack, None).await.next().await;
    assert_eq!((&first.payload["keys"], first.signer), (&json!([kid]), new));
}
