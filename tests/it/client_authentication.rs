//! Who a client is: one method per request, no shared secrets, and tokens of the realm as assertions.

use crate::support::keys::{Client, Key};
use crate::support::plans::reading;
use crate::support::realm::Admin;
use crate::support::reply::Reply;
use crate::support::stack::{Form, Stack};
use marque::http::router::{Caller, ROUTES, Route};
use marque_core::names::{ASSERTION_TYPE_JWT, GRANT_INTENT};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// How late a change of a client at the realm is noticed.
const AS_LATE_AS_ANY_CHANGE: Duration = Duration::from_secs(6);

/// A poll for an intent that is not there: who is authenticated is told so.
fn poll() -> Form<'static> {
    vec![("grant_type", GRANT_INTENT.to_owned()), ("intent_id", Uuid::nil().to_string())]
}

fn went_on(reply: &Reply) {
    reply.refused(400, "invalid_grant");
}

/// A request with whatever assertion, and a right proof.
async fn with_assertion(stack: &Stack, what: &str, proof_key: &Key, assertion: &str, more: Form<'static>) -> Reply {
    let proof = proof_key.proof_of(&Key::proof_claims("POST", &format!("{}/token", stack.issuer())));
    let mut form = more;
    form.push(("client_assertion_type", ASSERTION_TYPE_JWT.into()));
    form.push(("client_assertion", assertion.into()));
    Reply::to(what, stack.http.post(stack.url("/token")).header("dpop", proof).form(&form)).await
}

/// A client of the stack's realm, of this test alone.
async fn register(stack: &Stack, admin: &Admin, id: &str, settings: Value, attributes: Value) -> Client {
    let client = Client { id: id.to_owned(), signing: Key::fresh(), dpop: Key::fresh() };
    admin.remove_client(id).await;
    let mut representation = json!({
        "clientId": id, "enabled": true, "publicClient": false, "clientAuthenticatorType": "client-jwt",
        "standardFlowEnabled": false, "serviceAccountsEnabled": true, "fullScopeAllowed": false,
        "attributes": {
            "use.jwks.string": "true", "jwks.string": client.signing.jwks().to_string(), "marque.kind": "agent",
            "marque.users": stack.env.user.username, "token.endpoint.auth.signing.alg": "ES256",
        },
    });
    representation["attributes"].as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    representation.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    admin.add_client(&representation).await;
    client
}

#[tokio::test]
async fn the_token_endpoint_is_an_audience_only_for_a_client_that_is_switched_to_it() {
    let stack = Stack::open().await;
    let admin = Admin::sign_in(&stack).await;
    let switched = json!({"marque.legacy_audience": "true"});
    let legacy = register(&stack, &admin, "it-legacy", json!({}), switched).await;
    let strict = register(&stack, &admin, "it-strict", json!({}), json!({"marque.legacy_audience": "yes"})).await;
    let endpoint = json!(format!("{}/token", stack.issuer()));
    for (what, client, audience, good) in [
        ("the endpoint", &legacy, endpoint.clone(), true),
        ("the issuer", &legacy, json!(stack.issuer()), true),
        ("both", &legacy, json!([stack.issuer(), endpoint]), false),
        ("another endpoint", &legacy, json!(format!("{}/plans", stack.issuer())), false),
        ("the endpoint, not switched", &strict, endpoint.clone(), false),
        ("the issuer, not switched", &strict, json!(stack.issuer()), true),
    ] {
        let mut claims = client.assertion_claims(stack.issuer());
        claims["aud"] = audience;
        let reply = with_assertion(&stack, what, &client.dpop, &client.assert(&claims), poll()).await;
        if good {
            went_on(&reply);
        } else {
            reply.refused(401, "invalid_client").naming("aud");
        }
    }
}

#[tokio::test]
async fn shared_secrets_are_refused_with_a_sentence() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let secret = || [poll(), vec![("client_id", agent.id.clone()), ("client_secret", "secret".into())]].concat();
    let post = |form: &Form<'_>| stack.http.post(stack.url("/token")).form(form);
    let reply = Reply::to("client_secret", post(&secret())).await;
    reply.refused(401, "invalid_client").naming("shared secrets are not taken");
    let basic = "Basic ZGVtby1hZ2VudDpzZWNyZXQ=";
    let reply = Reply::to("Basic", post(&poll()).header("authorization", basic)).await;
    reply.refused(401, "invalid_client").naming("shared secrets are not taken");
    assert!(reply.header("www-authenticate").starts_with("Basic "), "RFC 6749 5.2");
    let reply = Reply::to("both", post(&secret()).header("authorization", basic)).await;
    reply.refused(400, "invalid_request").naming("one way");
    let reply = Reply::to("a type alone", post(&[poll(), vec![("client_assertion_type", "x".into())]].concat())).await;
    reply.refused(401, "invalid_client");
    Reply::to("nothing", post(&poll())).await.refused(401, "invalid_client").naming("client_assertion");
}

fn takes_a_form(route: &Route) -> bool {
    route.method == "POST" && matches!(route.caller, Caller::Client | Caller::Holder | Caller::HolderOrResourceServer)
}

#[tokio::test]
async fn nothing_is_read_from_the_query() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    for path in ROUTES.iter().filter(|route| takes_a_form(route)).map(|route| route.path) {
        for query in ["client_id=demo-agent", "client_secret=secret", "client_assertion=x", "grant_type=x", "a"] {
            let reply = Reply::to(query, stack.signed(&agent, &format!("{path}?{query}"), &poll())).await;
            reply.refused(400, "invalid_request").naming("query");
        }
    }
}

/// What Keycloak answers to a token request with a proof.
async fn realm_tokens(stack: &Stack, client: &Client, more: &[(&str, &str)]) -> Value {
    let realm = &stack.env.keycloak.issuer;
    let url = format!("{realm}/protocol/openid-connect/token");
    let assertion = client.assert(&client.assertion_claims(realm));
    let mut form = vec![("client_assertion_type", ASSERTION_TYPE_JWT), ("client_assertion", assertion.as_str())];
    form.extend_from_slice(more);
    let mut proof = Key::proof_claims("POST", &url);
    proof.as_object_mut().unwrap().remove("nonce");
    let request = stack.http.post(&url).header("dpop", client.dpop.proof_of(&proof)).form(&form);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert!(answer["access_token"].is_string(), "Keycloak gives no token: {answer}");
    answer
}

const CLIENT_CREDENTIALS: [(&str, &str); 1] = [("grant_type", "client_credentials")];

async fn realm_token(stack: &Stack, client: &Client) -> String {
    realm_tokens(stack, client, &CLIENT_CREDENTIALS).await["access_token"].as_str().unwrap().to_owned()
}

fn for_audience(audience: &str) -> Value {
    json!({
        "name": format!("audience {audience}"), "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": audience, "access.token.claim": "true", "id.token.claim": "true"},
    })
}

/// A client whose tokens Keycloak binds to its DPoP key, for Marque and perhaps others.
async fn bound(stack: &Stack, admin: &Admin, id: &str, audiences: &[&str]) -> Client {
    let mappers: Vec<Value> = audiences.iter().map(|audience| for_audience(audience)).collect();
    let settings = json!({"protocolMappers": mappers, "directAccessGrantsEnabled": true});
    register(stack, admin, id, settings, json!({"dpop.bound.access.tokens": "true"})).await
}

#[tokio::test]
async fn a_bound_token_of_the_realm_authenticates_its_client_once() {
    let stack = Stack::open().await;
    let admin = Admin::sign_in(&stack).await;
    let client = bound(&stack, &admin, "it-bound", &[stack.issuer()]).await;
    let token = realm_token(&stack, &client).await;
    went_on(&with_assertion(&stack, "a token of the realm", &client.dpop, &token, poll()).await);
    let again = with_assertion(&stack, "the same again", &client.dpop, &token, poll()).await;
    again.refused(401, "invalid_client").naming("jti");

    let token = realm_token(&stack, &client).await;
    let other = with_assertion(&stack, "another proof key", &Key::fresh(), &token, poll()).await;
    other.refused(401, "invalid_client").naming("cnf");
    let foreign = [poll(), vec![("client_id", stack.agent().id)]].concat();
    let foreign = with_assertion(&stack, "another client_id", &client.dpop, &token, foreign).await;
    foreign.refused(401, "invalid_client").naming("client_id");
    let own = [poll(), vec![("client_id", client.id.clone())]].concat();
    went_on(&with_assertion(&stack, "none of these used it up", &client.dpop, &token, own).await);

    let assertion = realm_token(&stack, &client).await;
    let mut plan = reading(&stack);
    plan["agent"] = client.id.as_str().into();
    let proof = client.dpop.proof_of(&Key::proof_claims("POST", &format!("{}/plans", stack.issuer())));
    let details = json!([{"type": "agent_intent_plan", "plan": plan}]).to_string();
    let form = [
        ("client_assertion_type", ASSERTION_TYPE_JWT),
        ("client_assertion", &assertion),
        ("authorization_details", &details),
    ];
    let submitted = Reply::to("a plan", stack.http.post(stack.url("/plans")).header("dpop", proof).form(&form)).await;
    submitted.success(201);
}

#[tokio::test]
async fn no_other_token_of_the_realm_authenticates_a_client() {
    let stack = Stack::open().await;
    let admin = Admin::sign_in(&stack).await;
    let refused = async |what: &str, key: &Key, token: &str, place: &str| {
        let reply = with_assertion(&stack, what, key, token, poll()).await;
        reply.refused(401, "invalid_client").naming(place);
    };
    let unbound = stack.access_token().await;
    refused("a bearer token", &stack.agent().dpop, &unbound, "bound").await;
    let wide = bound(&stack, &admin, "it-bound-wide", &[stack.issuer(), "https://other.example"]).await;
    refused("two audiences", &wide.dpop, &realm_token(&stack, &wide).await, "aud").await;
    let elsewhere = bound(&stack, &admin, "it-bound-elsewhere", &["https://other.example"]).await;
    refused("another audience", &elsewhere.dpop, &realm_token(&stack, &elsewhere).await, "aud").await;

    let client = bound(&stack, &admin, "it-bound-person", &[stack.issuer()]).await;
    admin.make_user("it-bound-user", "password", None).await;
    let person =
        [("grant_type", "password"), ("username", "it-bound-user"), ("password", "password"), ("scope", "openid")];
    let tokens = realm_tokens(&stack, &client, &person).await;
    refused("a person's token", &client.dpop, tokens["access_token"].as_str().unwrap(), "client_credentials").await;
    refused("an ID token", &client.dpop, tokens["id_token"].as_str().unwrap(), "access token").await;

    let token = realm_token(&stack, &client).await;
    let claims = Value::Object(marque_core::jws::unverified_claims(&token).unwrap());
    refused("the same claims by an unknown key", &client.dpop, &Key::fresh().sign("JWT", &claims), "client_assertion")
        .await;
    refused(
        "the same claims by the client's key",
        &client.dpop,
        &client.signing.sign("JWT", &claims),
        "client_assertion",
    )
    .await;
    went_on(&with_assertion(&stack, "the token itself", &client.dpop, &token, poll()).await);
    let token = realm_token(&stack, &client).await;
    admin.remove_client(&client.id).await;
    tokio::time::sleep(AS_LATE_AS_ANY_CHANGE).await;
    refused("a client that is gone", &client.dpop, &token, "azp").await;
}

/// A bound token sent as Bearer, wherever a token is taken: its key is not proven there.
#[tokio::test]
async fn a_bound_token_sent_as_bearer_is_refused_wherever_a_token_is_taken() {
    let stack = Stack::open().await;
    let admin = Admin::sign_in(&stack).await;
    let attributes = json!({
        "dpop.bound.access.tokens": "true", "marque.kind": "resource-server", "marque.locations": "http://localhost:1",
    });
    let settings = json!({"protocolMappers": [for_audience(stack.issuer())]});
    let server = register(&stack, &admin, "it-bound-server", settings, attributes).await;
    let token = realm_token(&stack, &server).await;
    let granted = crate::support::plans::shared(&stack).await;
    let txn = stack.transaction_token(&stack.agent(), &granted.token, &["list"]).await;
    for route in ROUTES.iter().filter(|route| matches!(route.caller, Caller::ResourceServer | Caller::Administrator)) {
        let path = route.path.replace("{digest}", &"A".repeat(43));
        for (what, token) in [("of the realm", &token), ("an intent's", &granted.token), ("a transaction's", &txn)] {
            for scheme in ["Bearer", "DPoP"] {
                let request = stack.http.request(route.method.parse().unwrap(), stack.url(&path));
                let request = request.header("authorization", format!("{scheme} {token}"));
                let reply = Reply::to(&format!("{what} as {scheme} at {path}"), request).await;
                reply.refused(401, "invalid_token");
            }
        }
        let request = stack.http.request(route.method.parse().unwrap(), stack.url(&path)).bearer_auth(&token);
        Reply::to(&path, request).await.refused(401, "invalid_token").naming("bound to a key");
    }
    let reply = stack.post("a form", &stack.agent(), "/token", &poll()).await;
    went_on(&reply);
    let request = stack.signed(&stack.agent(), "/token", &poll()).header("authorization", format!("Bearer {token}"));
    Reply::to("Bearer beside an assertion", request).await.refused(400, "invalid_request");
}
