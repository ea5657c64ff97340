//! Leaving the trust domain: a grant for one foreign issuer, for a signed step that says so and is charged for it.

use crate::evaluation::{EVALUATION, fresh, request};
use crate::exchange::{exchange_all, token_of};
use crate::introspection::{ask, inactive};
use crate::support::keys::{Client, now};
use crate::support::plans::{Granted, call, grant, plan, step, with};
use crate::support::realm::Admin;
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::{Form, Stack};
use crate::support::until;
use marque_core::jws::{self, KeySet};
use marque_core::names::{
    ACTION_LEAVE, ASSERTION_TYPE_JWT, TOKEN_TYPE_INTENT, TOKEN_TYPE_JWT, TOKEN_TYPE_TXN, TYP_CATALOG, TYP_DOMAIN_GRANT,
    TYP_TXN,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const FOREIGN: &str = "https://as.foreign.example";

/// A step by which a chain leaves for an issuer with a scope.
fn leaving(id: &str, issuer: &str, scope: &str) -> Value {
    json!({
        "id": id, "location": issuer, "action": ACTION_LEAVE, "resource": {"type": "scope", "id": scope},
        "args": {"*": {"any": true}},
    })
}

/// The stack's resource server describes how chains leave for two issuers: one of nobody's, and the realm itself.
async fn described(stack: &Stack) {
    static ONCE: OnceCell<()> = OnceCell::const_new();
    let make = || async {
        let rs = stack.env.clients.rs.client_id.as_str();
        let key = Client::of(&stack.env.clients.rs).signing;
        let own = stack.env.keycloak.issuer.as_str();
        Admin::sign_in(stack).await.add_words(rs, "marque.locations", &[FOREIGN, own].into()).await;
        for location in [FOREIGN, own] {
            let action = json!({
                "class": "grant", "reversible": false, "resource": "scope", "args": {},
                "display": {"en": "Leave for another domain, to act there for you with {resource}"},
            });
            let document =
                json!({"iss": rs, "version": now(), "location": location, "actions": {ACTION_LEAVE: action}});
            until("the catalog of the way out", || async {
                let request = stack.http.post(stack.url("/catalogs")).bearer_auth(stack.access_token().await);
                let request = request.header("content-type", "application/jose").body(key.sign(TYP_CATALOG, &document));
                Reply::to("a catalog", request).await.status == 201
            })
            .await;
        }
    };
    ONCE.get_or_init(make).await;
}

async fn granted(stack: &Stack, steps: Vec<Value>) -> Granted {
    described(stack).await;
    grant(stack, &stack.agent(), &plan(stack, steps)).await
}

/// The lines of configuration that let chains leave for an issuer.
fn lets_leave(issuer: &str) -> String {
    format!("\n[[realms.foreign_issuers]]\nissuer = {issuer:?}\n")
}

fn form(token: &str, kind: &str, issuer: &str) -> Form<'static> {
    vec![
        ("grant_type", marque_core::names::GRANT_TOKEN_EXCHANGE.into()),
        ("audience", issuer.into()),
        ("requested_token_type", TOKEN_TYPE_JWT.into()),
        ("subject_token", token.into()),
        ("subject_token_type", kind.into()),
    ]
}

async fn leave(stack: &Stack, what: &str, token: &str, issuer: &str, more: Form<'static>) -> Reply {
    let form = [form(token, TOKEN_TYPE_TXN, issuer), more].concat();
    stack.post(what, &stack.agent(), "/token", &form).await
}

fn claims(token: &str) -> Value {
    Value::Object(jws::unverified_claims(token).unwrap())
}

#[tokio::test]
async fn a_signed_step_gives_one_grant_for_one_issuer_without_anything_from_within() {
    let main = Stack::open().await;
    let agent = main.agent();
    let steps = vec![
        with(leaving("leave", FOREIGN, "calendar.read contacts.read"), json!({"uses": 2})),
        step(&main, "rotate", "rotate_key", "svc-api"),
    ];
    let granted = granted(&main, steps).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_as(&main.env.keycloak.issuer, &lets_leave(FOREIGN)).await;
    let stack = &server.stack;
    let txn = token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let reply = leave(stack, "a grant", &txn, FOREIGN, vec![("scope", "calendar.read".into())]).await;
    let token = token_of(&reply);
    assert_eq!((reply.member("token_type"), reply.member("issued_token_type")), ("N_A", TOKEN_TYPE_JWT));
    assert!(reply.body.get("refresh_token").is_none());

    let jwks: Value = stack.http.get(stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
    let keys = KeySet::from_jwks(&jwks).unwrap();
    assert!(jws::verify(&token, TYP_DOMAIN_GRANT, &keys).is_ok(), "by the published keys");
    assert!(jws::verify(&token, TYP_TXN, &keys).is_err(), "a key of its own signed it");
    let (own, parent) = (claims(&token), claims(&txn));
    let names: Vec<_> = own.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["aud", "cnf", "exp", "iat", "iss", "jti", "scope", "sub", "txn"], "nothing from within");
    assert_eq!((&own["aud"], &own["iss"]), (&json!(FOREIGN), &json!(main.issuer())));
    assert_eq!((&own["txn"], &own["sub"], &own["scope"]), (&parent["txn"], &parent["sub"], &json!("calendar.read")));
    assert!((1..=60).contains(&(own["exp"].as_i64().unwrap() - own["iat"].as_i64().unwrap())));

    // Nothing takes it back.
    for kind in [TOKEN_TYPE_TXN, TOKEN_TYPE_INTENT, TOKEN_TYPE_JWT] {
        let back = stack.post("back", &agent, "/token", &stack.exchange_form(&token, kind)).await;
        back.refused(400, "invalid_request");
        leave(stack, "once more", &token, FOREIGN, vec![]).await.refused(400, "invalid_request");
    }
    inactive(&ask(stack, "introspection", &agent, &token).await);
    let rotation = call(&main, "rotate_key", "service_account", "svc-api", json!({}));
    let body = request(stack, &agent, &token, &rotation, &fresh());
    let decided = stack.post_json("a call with it", EVALUATION, &body).await;
    assert_eq!(
        (&decided.success(200)["decision"], &decided.body["context"]["reason"]),
        (&json!(false), &json!("token_invalid"))
    );

    // The ledger counts: two, and then no more, whichever token asks.
    let second = token_of(&leave(stack, "the second", &txn, FOREIGN, vec![]).await);
    assert_ne!(claims(&second)["jti"], own["jti"]);
    assert_eq!(claims(&second)["scope"], "calendar.read contacts.read");
    let other = token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    for token in [&txn, &other] {
        leave(stack, "a third", token, FOREIGN, vec![]).await.because(400, "invalid_request", "uses_exhausted");
    }
    let kept = "select count(*) from tokens where intent_id = $1::uuid and kind = 'grant'";
    let kept: i64 = sqlx::query_scalar(kept).bind(&granted.intent_id).fetch_one(&copy.stack.db).await.unwrap();
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn no_chain_leaves_without_a_step_that_was_shown_as_what_it_is() {
    let main = Stack::open().await;
    let agent = main.agent();
    let steps = vec![
        leaving("leave", FOREIGN, "calendar.read"),
        with(leaving("bound", FOREIGN, "mail.read"), json!({"args": {}})),
        step(&main, "rotate", "rotate_key", "svc-api"),
    ];
    let granted = granted(&main, steps).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_as(&main.env.keycloak.issuer, &lets_leave(FOREIGN)).await;
    let stack = &server.stack;
    let txn = token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let only = |id: &str| vec![("authorization_details", json!([{"type": "agent_intent_step", "id": id}]).to_string())];
    let before = stack.row_counts().await;
    for (what, issuer, more, error) in [
        ("several steps and none named", FOREIGN, vec![], "invalid_target"),
        ("a step that binds arguments", FOREIGN, only("bound"), "invalid_target"),
        ("a step of another kind", FOREIGN, only("rotate"), "invalid_target"),
        ("an issuer that the realm does not name", "https://elsewhere.example", only("leave"), "invalid_target"),
        ("the trust domain", &main.env.marque.trust_domain, only("leave"), "invalid_target"),
        ("Marque itself", main.issuer(), only("leave"), "invalid_target"),
        ("two audiences", FOREIGN, [only("leave"), vec![("audience", FOREIGN.into())]].concat(), "invalid_target"),
        ("a resource", FOREIGN, [only("leave"), vec![("resource", FOREIGN.into())]].concat(), "invalid_target"),
        ("more scope", FOREIGN, [only("leave"), vec![("scope", "calendar.write".into())]].concat(), "invalid_scope"),
        ("an actor token", FOREIGN, [only("leave"), vec![("actor_token", txn.clone())]].concat(), "invalid_request"),
        ("a next actor", FOREIGN, [only("leave"), vec![("may_act", "{}".into())]].concat(), "invalid_request"),
    ] {
        leave(stack, what, &txn, issuer, more).await.refused(400, error);
    }
    let intent = [form(&granted.token, TOKEN_TYPE_INTENT, FOREIGN), only("leave")].concat();
    stack.post("an intent token", &agent, "/token", &intent).await.refused(400, "invalid_request").naming("call chain");
    let worker = main.worker();
    let others = [form(&txn, TOKEN_TYPE_TXN, FOREIGN), only("leave")].concat();
    stack.post("somebody else", &worker, "/token", &others).await.because(400, "invalid_request", "not_a_delegate");
    assert_eq!(stack.row_counts().await, before, "nothing was kept or charged");

    let closed = copy.serve().await;
    leave(&closed.stack, "a realm without a way out", &txn, FOREIGN, only("leave"))
        .await
        .refused(400, "invalid_target");
    stack.post("ended", &agent, "/revoke", &vec![("token", granted.token.clone())]).await;
    leave(stack, "revoked", &txn, FOREIGN, only("leave")).await.because(400, "invalid_request", "intent_revoked");
}

#[tokio::test]
async fn the_real_keycloak_gives_a_plain_token_for_a_grant() {
    let main = Stack::open().await;
    let agent = main.agent();
    let realm = main.env.keycloak.issuer.clone();
    let granted = granted(&main, vec![leaving("bridge", &realm, "profile")]).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_as(&realm, &lets_leave(&realm)).await;
    let txn = token_of(&exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let token = token_of(&leave(&server.stack, "a grant", &txn, &realm, vec![]).await);
    let admin = Admin::sign_in(&main).await;
    admin.believe_grants(&main, &agent.id).await;
    let redeem = async |what: &str, client: &Client, grant: &str| {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
            ("assertion", grant.to_owned()),
            ("client_assertion_type", ASSERTION_TYPE_JWT.to_owned()),
            ("client_assertion", client.assert(&client.assertion_claims(&realm))),
        ];
        let request = main.http.post(format!("{realm}/protocol/openid-connect/token")).form(&form);
        Reply::to(what, request).await
    };
    // Not the last character: of its six bits a signature has two.
    let (start, end) = token.split_at(token.len() - 10);
    let changed = format!("{start}{}{}", if end.starts_with('x') { 'y' } else { 'x' }, &end[1..]);
    assert_eq!(redeem("a changed one", &agent, &changed).await.status, 400);
    assert_eq!(redeem("a transaction token", &agent, &txn).await.status, 400);
    assert_ne!(redeem("another client", &main.worker(), &token).await.status, 200);
    let reply = redeem("the grant", &agent, &token).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let plain = claims(reply.member("access_token"));
    assert_eq!((&plain["iss"], &plain["azp"]), (&json!(realm), &json!(agent.id)));
    assert_eq!(plain["sub"], claims(&txn)["sub"], "for the person");
    assert!(["act", "tctx", "intent", "authorization_details"].iter().all(|name| plain.get(name).is_none()), "{plain}");
    assert_eq!(redeem("once more", &agent, &token).await.status, 400, "single use");

    let back = main.http.post(main.url(EVALUATION)).bearer_auth(reply.member("access_token")).json(&json!({}));
    let back = Reply::to("its product at Marque", back).await;
    assert!([401, 403].contains(&back.status), "{}", back.text);
    let product = main.exchange_form(reply.member("access_token"), TOKEN_TYPE_TXN);
    main.post("its product as subject", &agent, "/token", &product).await.refused(400, "invalid_request");
}
