//! Status lists: what verifiers that are no gates learn of a token.

use crate::access_tokens::access_token;
use crate::exchange::token_of;
use crate::support::keys::now;
use crate::support::plans::{Granted, grant, reading};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use flate2::read::ZlibDecoder;
use marque_core::canonical::decode;
use marque_core::jws::{self, KeySet};
use marque_core::names::{TOKEN_TYPE_INTENT, TYP_STATUS_LIST};
use marque_core::status_list::status_at;
use serde_json::{Value, json};
use std::io::Read;

/// The place that a token names: the list's path below the issuer, and the index.
fn place(stack: &Stack, token: &str) -> (String, usize) {
    let claims = Value::Object(jws::unverified_claims(token).unwrap());
    let place = &claims["status"]["status_list"];
    let uri = place["uri"].as_str().unwrap_or_else(|| panic!("no place: {claims}"));
    let path = uri.strip_prefix(stack.issuer()).unwrap_or_else(|| panic!("{uri} is not the issuer's"));
    (path.to_owned(), usize::try_from(place["idx"].as_u64().unwrap()).unwrap())
}

/// A list as its server publishes it now, verified.
async fn read(stack: &Stack, path: &str) -> (Value, Vec<u8>) {
    let reply = Reply::to(path, stack.http.get(stack.url(path)).header("accept", "application/statuslist+jwt")).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/statuslist+jwt"), "{}", reply.text);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let jwks: Value = stack.http.get(stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
    let keys = KeySet::from_jwks(&jwks).unwrap();
    let verified = jws::verify(&reply.text, TYP_STATUS_LIST, &keys).expect("a key of its own purpose signed it");
    let claims = Value::Object(verified.claims().unwrap());
    let compressed = decode(claims["status_list"]["lst"].as_str().unwrap()).unwrap();
    let mut bytes = Vec::new();
    ZlibDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).unwrap();
    (claims, bytes)
}

pub async fn status(stack: &Stack, token: &str) -> u8 {
    let (path, idx) = place(stack, token);
    status_at(&read(stack, &path).await.1, idx).expect("a place of the list")
}

async fn revoke(stack: &Stack, token: &str) {
    let reply = stack.post("revocation", &stack.agent(), "/revoke", &vec![("token", token.to_owned())]).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn the_list_is_named_as_the_tokens_name_it_and_says_how_long_it_is_good() {
    let stack = Stack::open().await;
    let granted = grant(&stack, &stack.agent(), &reading(&stack)).await;
    let (path, idx) = place(&stack, &granted.token);
    let (claims, bytes) = read(&stack, &path).await;
    assert_eq!(claims["sub"], format!("{}{path}", stack.issuer()));
    assert_eq!((&claims["iss"], &claims["status_list"]["bits"]), (&json!(stack.issuer()), &json!(2)));
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!((0..=35).contains(&(now() - iat)) && exp > now() && claims["ttl"] == 30, "{claims}");
    assert_eq!((bytes.len(), status_at(&bytes, idx)), (32 * 1024, Some(0)));
    assert_eq!(read(&stack, &path).await.0["exp"].as_i64().unwrap() - exp, 0, "the same list within its ttl");
    for path in ["/status/999999", "/status/x", "/status/-1", "/status/00", "/status/99999999999999"] {
        Reply::to(path, stack.http.get(stack.url(path))).await.refused(404, "not_found");
    }
}

/// Token Status List §9: whoever fetches lists beforehand finds them all, by the metadata and by each list.
#[tokio::test]
async fn all_lists_are_found_in_one_place_that_metadata_and_lists_name() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let granted = grant(&stack, &agent, &reading(&stack)).await;
    let access = token_of(&access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let metadata = Reply::to("metadata", stack.http.get(stack.url("/.well-known/oauth-authorization-server"))).await;
    let place = metadata.member("status_list_aggregation_endpoint");
    let reply = Reply::to("all lists", stack.http.get(place)).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["status_lists"]);
    let lists: Vec<&str> =
        reply.body["status_lists"].as_array().unwrap().iter().map(|uri| uri.as_str().unwrap()).collect();
    for token in [&granted.token, &access] {
        let named = format!("{}{}", stack.issuer(), self::place(&stack, token).0);
        assert_eq!(lists.iter().filter(|uri| **uri == named).count(), 1, "{named} in {lists:?}");
    }
    for uri in lists {
        let (claims, _) = read(&stack, uri.strip_prefix(stack.issuer()).unwrap()).await;
        assert_eq!((&claims["sub"], &claims["status_list"]["aggregation_uri"]), (&json!(uri), &json!(place)));
    }
}

#[tokio::test]
async fn what_was_revoked_is_invalid_in_its_place_and_nothing_else() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let mut granted = Vec::new();
    for _ in 0..3 {
        granted.push(grant(&stack, &agent, &reading(&stack)).await);
    }
    let [ended, partly, whole] = &granted[..] else { panic!("three") };
    let access = |granted: &Granted| {
        let token = granted.token.clone();
        let (stack, agent) = (stack.clone(), stack.agent());
        async move { token_of(&access_token(&stack, &agent, &token, TOKEN_TYPE_INTENT).await) }
    };
    let (of_ended, first, second) = (access(ended).await, access(partly).await, access(partly).await);
    let mut places: Vec<usize> = granted.iter().map(|granted| place(&stack, &granted.token).1).collect();
    places.extend([&of_ended, &first, &second].map(|token| place(&stack, token).1));
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "each token has a place of its own: {places:?}");
    assert!(places.windows(2).any(|pair| pair[1] - pair[0] > 100), "not one after the other: {places:?}");
    revoke(&stack, &ended.token).await;
    revoke(&stack, &first).await;
    // A server that remembers no list.
    let copy = Copy::beside(&stack).await;
    let server = copy.serve().await;
    for (what, token, expected) in [
        ("a revoked intent token", &ended.token, 1),
        ("an access token of a revoked intent", &of_ended, 1),
        ("a revoked access token", &first, 1),
        ("its sibling", &second, 0),
        ("its intent token", &partly.token, 0),
        ("another intent token", &whole.token, 0),
    ] {
        assert_eq!(status(&server.stack, token).await, expected, "{what}");
    }
}
