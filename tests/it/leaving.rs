//! Leaving the trust domain: a grant for one foreign issuer, for a signed step that says so and is charged for it.

use crate::evaluation::{EVALUATION, fresh, request};
use crate::exchange::{exchange_all, token_of};
use crate::introspection::{ask, inactive};
use crate::support::keys::Client;
use crate::support::places::Places;
use crate::support::plans::{Granted, call, grant, plan, reading, step, with};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::{Form, Stack};
use marque_core::jws::{self, KeySet};
use marque_core::names::{
    ACTION_LEAVE, ASSERTION_TYPE_JWT, TOKEN_TYPE_ACCESS, TOKEN_TYPE_INTENT, TOKEN_TYPE_JWT, TOKEN_TYPE_TXN,
    TYP_DOMAIN_GRANT, TYP_INTENT_GRANT, TYP_TXN,
};
use serde_json::{Value, json};

const FOREIGN: &str = "https://as.foreign.example";

/// A step by which a chain leaves for an issuer with a scope.
fn leaving(id: &str, issuer: &str, scope: &str) -> Value {
    json!({
        "id": id, "location": issuer, "action": ACTION_LEAVE, "resource": {"type": "scope", "id": scope},
        "args": {"*": {"any": true}},
    })
}

/// The stack's resource server describes how chains leave for two issuers: one of nobody's, and the realm itself.
async fn described(stack: &Stack) -> Places {
    let action = json!({
        "class": "grant", "reversible": false, "resource": "scope", "args": {},
        "display": {"en": "Leave for another domain, to act there for you with {resource}"},
    });
    Places::described(stack, &[FOREIGN, &stack.env.keycloak.issuer], (ACTION_LEAVE, action)).await
}

async fn granted(stack: &Stack, steps: Vec<Value>) -> (Places, Granted) {
    let places = described(stack).await;
    (places, grant(stack, &stack.agent(), &plan(stack, steps)).await)
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
    let (_places, granted) = granted(&main, steps).await;
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

/// draft-ietf-oauth-identity-chaining §2.3: the issuer by audience or by resource, the requested type said or not.
#[tokio::test]
async fn an_intent_token_gives_a_grant_without_a_chain_and_that_is_a_turn() {
    let main = Stack::open().await;
    let agent = main.agent();
    let _places = described(&main).await;
    let steps = vec![with(leaving("leave", FOREIGN, "calendar.read"), json!({"uses": 9}))];
    let limits = json!({"limits": {"lifetime_secs": 3600, "max_hops": 2, "turns": 3}});
    let granted = grant(&main, &agent, &with(plan(&main, steps), limits)).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_as(&main.env.keycloak.issuer, &lets_leave(FOREIGN)).await;
    let stack = &server.stack;
    let by = |place: &'static str, is_typed: bool| -> Form<'static> {
        let form = form(&granted.token, TOKEN_TYPE_INTENT, FOREIGN).into_iter();
        let form = form.filter(|(name, _)| is_typed || *name != "requested_token_type");
        form.map(|(name, value)| (if name == "audience" { place } else { name }, value)).collect()
    };
    let [first, second] = [("audience", true), ("resource", false)].map(|(place, is_typed)| by(place, is_typed));
    let (first, second) =
        (ask_for(stack, &agent, "by audience", first).await, ask_for(stack, &agent, "by resource", second).await);
    assert_eq!((second.member("issued_token_type"), second.member("token_type")), (TOKEN_TYPE_JWT, "N_A"));
    let jwks: Value = stack.http.get(stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
    let keys = KeySet::from_jwks(&jwks).unwrap();
    let parent = claims(&granted.token);
    for token in [token_of(&first), token_of(&second)] {
        assert!(jws::verify(&token, TYP_INTENT_GRANT, &keys).is_ok(), "by a key of its own");
        assert!(jws::verify(&token, TYP_DOMAIN_GRANT, &keys).is_err(), "it is no chain's");
        let own = claims(&token);
        let names: Vec<_> = own.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["aud", "cnf", "exp", "iat", "iss", "jti", "scope", "sub"], "nothing from within");
        assert_eq!((&own["aud"], &own["sub"], &own["cnf"]), (&json!(FOREIGN), &parent["sub"], &parent["cnf"]));
        for kind in [TOKEN_TYPE_TXN, TOKEN_TYPE_INTENT, TOKEN_TYPE_JWT] {
            let back = stack.post("back", &agent, "/token", &stack.exchange_form(&token, kind)).await;
            back.refused(400, "invalid_request");
        }
        inactive(&ask(stack, "introspection", &agent, &token).await);
    }
    for (what, more, error) in [
        ("both", vec![("resource", FOREIGN.to_owned())], "invalid_target"),
        ("a second one", vec![("audience", "https://elsewhere.example".into())], "invalid_target"),
        ("more scope", vec![("scope", "calendar.write".into())], "invalid_scope"),
        ("a next actor", vec![("may_act", "{}".into())], "invalid_request"),
    ] {
        ask_for(stack, &agent, what, [by("audience", true), more].concat()).await.refused(400, error);
    }
    let worker = stack.post("somebody else", &main.worker(), "/token", &by("audience", true)).await;
    worker.because(400, "invalid_request", "not_a_delegate");

    // Two chains left; the third turn is a chain within, and there is no fourth, in whichever way.
    let txn = token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    ask_for(stack, &agent, "a fourth turn", by("audience", true)).await.because(
        400,
        "invalid_request",
        "turns_exhausted",
    );
    exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await.because(
        400,
        "invalid_request",
        "turns_exhausted",
    );
    leave(stack, "the chain goes on", &txn, FOREIGN, vec![]).await.success(200);
}

async fn ask_for(stack: &Stack, client: &Client, what: &str, form: Form<'static>) -> Reply {
    stack.post(what, client, "/token", &form).await
}

#[tokio::test]
async fn a_step_that_promises_what_nobody_keeps_beyond_is_not_admitted() {
    let stack = Stack::open().await;
    let _places = described(&stack).await;
    let agent = stack.agent();
    let right = leaving("leave", FOREIGN, "calendar.read");
    for (member, change) in [
        ("args", json!({"args": {}})),
        ("args", json!({"args": {"*": {"any": true}, "note": {"const": "x"}}})),
        ("approve", json!({"approve": "step_up"})),
        ("resource.id", json!({"resource": {"type": "scope", "id": {"any": true}}})),
        ("resource.id", json!({"resource": {"type": "scope", "id": "calendar.read  mail.read"}})),
        ("uses", json!({"uses": "any"})),
    ] {
        let reply = stack.submit(member, &agent, &plan(&stack, vec![with(right.clone(), change)])).await;
        reply.because(400, "invalid_authorization_details", "plan_invalid").naming(&format!("$.steps[0].{member}"));
    }
    stack.submitted(&agent, &plan(&stack, vec![right])).await;
}

#[tokio::test]
async fn no_chain_leaves_without_a_step_that_was_shown_as_what_it_is() {
    let main = Stack::open().await;
    let agent = main.agent();
    let steps = vec![
        leaving("leave", FOREIGN, "calendar.read"),
        leaving("mail", FOREIGN, "mail.read"),
        step(&main, "rotate", "rotate_key", "svc-api"),
    ];
    let (_places, granted) = granted(&main, steps).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_as(&main.env.keycloak.issuer, &lets_leave(FOREIGN)).await;
    let stack = &server.stack;
    let txn = token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let only = |id: &str| vec![("authorization_details", json!([{"type": "agent_intent_step", "id": id}]).to_string())];
    let before = stack.row_counts().await;
    for (what, issuer, more, error) in [
        ("several steps and none named", FOREIGN, vec![], "invalid_target"),
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
    let access = [form(&txn, TOKEN_TYPE_ACCESS, FOREIGN), only("leave")].concat();
    stack.post("an access token", &agent, "/token", &access).await.refused(400, "invalid_request");
    let by_resource: Form<'_> = form(&txn, TOKEN_TYPE_TXN, FOREIGN)
        .into_iter()
        .map(|(name, value)| (if name == "audience" { "resource" } else { name }, value))
        .chain(only("leave"))
        .collect();
    stack.post("no audience", &agent, "/token", &by_resource).await.refused(400, "invalid_target").naming("audience");
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
    let (_places, granted) =
        granted(&main, vec![with(leaving("bridge", &realm, "openid profile"), json!({"uses": 2}))]).await;
    let copy = Copy::beside(&main).await;
    let settings = format!("{}subject = \"username\"\n", lets_leave(&realm));
    let server = copy.serve_as(&realm, &settings).await;
    let txn = token_of(&exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let token = token_of(&leave(&server.stack, "a grant", &txn, &realm, vec![]).await);
    let redeem = async |what: &str, client: &Client, grant: &str| {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
            ("assertion", grant.to_owned()),
            ("scope", "openid profile".to_owned()),
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
    let whole = token_of(&for_intent(&server.stack, &granted.token, &realm).await);
    let reply_to_intent = redeem("the grant of an intent token", &agent, &whole).await;
    assert_eq!(reply_to_intent.status, 200, "{}", reply_to_intent.text);

    // The realm gives an ID token, too. The agent alone was there: it proves no sign-in, and starts nothing.
    let id_token = reply.member("id_token");
    assert_eq!((&claims(id_token)["aud"], claims(id_token).get("auth_time")), (&json!(agent.id), None));
    for hint in ["id_token_hint", "login_hint_token"] {
        let details = json!([{"type": "agent_intent_plan", "plan": reading(&main)}]).to_string();
        let form = vec![("authorization_details", details), (hint, id_token.to_owned())];
        let refused = main.post("its ID token as a proof of her", &agent, "/plans", &form).await;
        refused.because(400, "invalid_request", "not_paired").naming(hint);
    }

    let back = main.http.post(main.url(EVALUATION)).bearer_auth(reply.member("access_token")).json(&json!({}));
    let back = Reply::to("its product at Marque", back).await;
    assert!([401, 403].contains(&back.status), "{}", back.text);
    let product = main.exchange_form(reply.member("access_token"), TOKEN_TYPE_TXN);
    main.post("its product as subject", &agent, "/token", &product).await.refused(400, "invalid_request");
}

/// The intent token itself, in the form of identity chaining.
async fn for_intent(stack: &Stack, token: &str, issuer: &str) -> Reply {
    stack.post("a grant for an intent", &stack.agent(), "/token", &form(token, TOKEN_TYPE_INTENT, issuer)).await
}
