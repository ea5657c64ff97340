//! Keys of Marque's that an operator rotates: the next one is published before it signs, the former one is believed while
//! what it signed lives, and servers that run change over without a restart.

use crate::evaluation::{EVALUATION, fresh, request};
use crate::exchange::{exchange_all, token_of};
use crate::support::plans::{call, shared};
use crate::support::server::{Copy, Server};
use crate::support::sse::Feed;
use crate::support::stack::Stack;
use crate::support::until;
use crate::withdrawn_keys::published;
use marque::keys::Purpose;
use marque_core::jws::unverified_kid;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_REVOCATION, TYP_TXN};
use serde_json::{Value, json};

/// The ids of all keys that a server publishes for a `typ`.
async fn all_published(stack: &Stack, typ: &str) -> Vec<String> {
    let jwks: Value = stack.http.get(stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
    let keys = jwks["keys"].as_array().unwrap().iter().filter(|key| key["marque_typ"] == typ);
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Rotates the key of a `typ`; answers the next one's id.
fn rotate(server: &Server, typ: &str, after: &str) -> String {
    let told = server.command(&["keys", "rotate", typ, "--after", after]).unwrap();
    let words: Vec<_> = told.split_whitespace().collect();
    assert_eq!(words[1..5], [typ, "next,", "signs", "from"], "{told}");
    words[0].to_owned()
}

/// What `marque keys list` says that a key is for.
fn role(server: &Server, kid: &str) -> String {
    let listed = server.command(&["keys", "list"]).unwrap();
    let line = listed.lines().find(|line| line.starts_with(kid)).unwrap_or_else(|| panic!("{kid}: {listed}"));
    line.split_whitespace().skip(4).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_next_key_is_published_before_it_signs_and_tokens_of_both_hold_at_every_replica() {
    let main = Stack::open().await;
    let (agent, worker, granted) = (main.agent(), main.worker(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let (server, twin) = (copy.serve().await, copy.serve().await);
    let exchanged =
        async |server: &Server| token_of(&exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let read = call(&main, "list_service_accounts", "environment", "production", json!({}));
    let holds = async |server: &Server, token: &str| {
        let body = request(&server.stack, &agent, token, &read, &fresh());
        let reply = server.stack.post_json("a call", EVALUATION, &body).await;
        assert_eq!(reply.success(200)["decision"], true, "{}", reply.text);
        token_of(&exchange_all(&server.stack, &worker, token, TOKEN_TYPE_TXN).await);
    };
    let (old, before) = (published(&server.stack, TYP_TXN).await, exchanged(&server).await);
    let next = rotate(&server, TYP_TXN, "8");
    for server in [&server, &twin] {
        until("the next key is published", || async { all_published(&server.stack, TYP_TXN).await.contains(&next) })
            .await;
        assert_eq!(unverified_kid(&exchanged(server).await), Some(old.clone()), "it does not sign yet");
    }
    assert_eq!(role(&server, &old), "in use");
    assert!(role(&server, &next).starts_with("next, signs from "), "{}", role(&server, &next));
    assert_eq!(rotate(&server, TYP_TXN, "8"), next, "one that waits is enough");

    for server in [&server, &twin] {
        until("the next key signs", || async { unverified_kid(&exchanged(server).await) == Some(next.clone()) }).await;
        let mut both = all_published(&server.stack, TYP_TXN).await;
        both.sort();
        let mut expected = vec![old.clone(), next.clone()];
        expected.sort();
        assert_eq!(both, expected, "what the former one signed lives");
    }
    let after = exchanged(&twin).await;
    for server in [&server, &twin] {
        holds(server, &before).await;
        holds(server, &after).await;
    }
    assert_eq!(role(&server, &next), "in use");
    assert!(role(&server, &old).starts_with("believed until "), "{}", role(&server, &old));

    let ended = "update signing_keys set signs_from = signs_from - interval '1 hour' where typ = $1";
    sqlx::query(ended).bind(TYP_TXN).execute(&copy.stack.db).await.unwrap();
    drop(twin);
    let later = copy.serve().await;
    assert_eq!(
        all_published(&later.stack, TYP_TXN).await,
        std::slice::from_ref(&next),
        "a former key goes when its tokens are over"
    );
    assert_eq!(role(&later, &old), "retired");
    assert_eq!(unverified_kid(&exchanged(&later).await), Some(next));
}

#[tokio::test]
async fn all_keys_are_rotated_at_once_and_the_feed_goes_on_by_its_next_one() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let old = published(&server.stack, TYP_REVOCATION).await;
    let told = server.command(&["keys", "rotate", "--after", "4"]).unwrap();
    assert_eq!(told.lines().count(), Purpose::ALL.len(), "{told}");
    until("all are published", || async {
        let jwks: Value = server.stack.http.get(server.stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
        jwks["keys"].as_array().unwrap().len() == 2 * Purpose::ALL.len()
    })
    .await;
    let mut feed = Feed::open(&server.stack, None).await;
    assert_eq!(feed.next_of("heartbeat").await.signer, old);
    let mut signer = old.clone();
    while signer == old {
        signer = feed.next_of("heartbeat").await.signer;
    }
    assert!(told.contains(&signer), "who looked once knows the next key already");
    let error = server.command(&["keys", "rotate", "nonsense+jwt"]).unwrap_err();
    assert!(error.contains("no key signs \"nonsense+jwt\""), "{error}");
    assert!(server.command(&["keys", "rotate", TYP_TXN, "--after", "0"]).is_err(), "it is published before it signs");
}

#[tokio::test]
async fn the_next_key_takes_over_at_once_from_one_that_is_withdrawn() {
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let exchanged = async || exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    let (old, token) = (published(&server.stack, TYP_TXN).await, token_of(&exchanged().await));
    let next = rotate(&server, TYP_TXN, "600");
    until("it is published", || async { all_published(&server.stack, TYP_TXN).await.contains(&next) }).await;
    let mut feed = Feed::open(&server.stack, None).await;
    feed.next().await;
    server.command(&["keys", "withdraw", &old]).unwrap();
    let told = feed.next_of("key_withdrawal").await;
    assert_eq!(told.payload["key"], json!(old));
    until("the next key signs", || async { unverified_kid(&token_of(&exchanged().await)) == Some(next.clone()) }).await;
    assert_eq!(all_published(&server.stack, TYP_TXN).await, [next]);
    exchange_all(&server.stack, &agent, &token, TOKEN_TYPE_TXN).await.because(400, "invalid_request", "token_invalid");
}
