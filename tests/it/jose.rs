//! Every place that takes a JWS refuses the same table of attacks, and takes the right one. Some go through it with the rest of
//! their bad input; `tests/architecture/jose.rs` lists which, and fails where a place is missing.

use crate::access_tokens::access_token;
use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::exchange_policy::self_claims;
use crate::feed::revoke;
use crate::gates::Process;
use crate::introspection::{ask, ask_as, inactive};
use crate::pairing;
use crate::routes::extension_request;
use crate::rows::{evidence_of, keyring_of, put_evidence};
use crate::step_up;
use crate::support::jose::attacks;
use crate::support::keys::{Client, Key, now};
use crate::support::middlebox::Middlebox;
use crate::support::person;
use crate::support::plans::{call, grant, reading, rotation, shared};
use crate::support::realm::{Mood, Realm};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::sse::Feed;
use crate::support::stack::{Form, Stack};
use crate::support::until;
use marque::keys::Purpose;
use marque_core::evidence::{Payload, read, signing_input, write};
use marque_core::names::{
    ASSERTION_TYPE_JWT, GRANT_INTENT, TOKEN_TYPE_INTENT, TOKEN_TYPE_SELF_SIGNED, TOKEN_TYPE_TXN, TYP_JWT,
    TYP_PLAN_REQUEST, TYP_STEP_UP_REQUEST,
};
use marque_gate::{Presented, Reason};
use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;

/// No attack where a plain JWT is what is asked for: `typ` is optional there (RFC 7519 §5.1), and common libraries write none.
const PLAIN_JWT: &str = "no typ";

/// A poll for an intent that is none: with right credentials it is `invalid_grant`.
async fn poll(stack: &Stack, what: &str, assertion: &str, proof: &str) -> Reply {
    let form = [
        ("grant_type", GRANT_INTENT),
        ("intent_id", &Uuid::nil().to_string()),
        ("client_assertion_type", ASSERTION_TYPE_JWT),
        ("client_assertion", assertion),
    ];
    let Ok(proof) = reqwest::header::HeaderValue::from_str(proof) else {
        panic!("{what} cannot travel in a header");
    };
    Reply::to(what, stack.http.post(stack.url("/token")).header("dpop", proof).form(&form)).await
}

/// A proof as a header can carry it.
pub fn can_travel(proof: &str) -> bool {
    proof.len() < 16_000 && proof.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

#[tokio::test]
async fn a_client_assertion() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let assertion = || agent.assert(&agent.assertion_claims(stack.issuer()));
    let proof = || agent.dpop.proof_of(&Key::proof_claims("POST", &stack.url("/token")));
    for (what, assertion) in attacks(&assertion(), Some(&agent.signing), false) {
        if what == PLAIN_JWT {
            continue;
        }
        poll(&stack, what, &assertion, &proof()).await.refused(401, "invalid_client");
    }
    poll(&stack, "a right one", &assertion(), &proof()).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_proof_of_possession() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let assertion = || agent.assert(&agent.assertion_claims(stack.issuer()));
    let proof = || agent.dpop.proof_of(&Key::proof_claims("POST", &stack.url("/token")));
    for (what, proof) in attacks(&proof(), Some(&agent.dpop), true) {
        if can_travel(&proof) {
            poll(&stack, what, &assertion(), &proof).await.refused(400, "invalid_dpop_proof");
        }
    }
    poll(&stack, "a right one", &assertion(), &proof()).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_subject_token() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let txn = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    for (right, kind) in [(&granted.token, TOKEN_TYPE_INTENT), (&txn, TOKEN_TYPE_TXN)] {
        for (what, token) in attacks(right, None, false) {
            let form: Form<'_> = stack.exchange_form(&token, kind);
            let reply = stack.post(what, &agent, "/token", &form).await;
            reply.because(400, "invalid_request", "token_invalid").naming("subject_token");
        }
        exchange_all(&stack, &agent, right, kind).await.success(200);
    }
}

/// What is asked of the decision point, with another token or another proof.
async fn evaluate(stack: &Stack, what: &str, mut body: Value, member: &str, jws: &str) -> Reply {
    body["context"][member] = jws.into();
    stack.post_json(what, EVALUATION, &body).await
}

#[tokio::test]
async fn a_transaction_token_and_its_proof_at_the_decision_point() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let token = stack.transaction_token(&agent, &granted.token, &["jose"]).await;
    let call = rotation(&stack, "jose");
    let right = || request(&stack, &agent, &token, &call, &fresh());
    for (what, token) in attacks(&token, None, false) {
        refused(&evaluate(&stack, what, right(), "txn_token", &token).await, "token_invalid");
    }
    let proof = right()["context"]["dpop"].as_str().unwrap().to_owned();
    for (what, proof) in attacks(&proof, Some(&agent.dpop), true) {
        refused(&evaluate(&stack, what, right(), "dpop", &proof).await, "proof_invalid");
    }
    permit(&stack.post_json("a right one", EVALUATION, &right()).await);
}

#[tokio::test]
async fn an_access_token_of_the_realm() {
    let stack = Stack::open().await;
    let right = stack.access_token().await;
    for (what, token) in attacks(&right, None, false) {
        if can_travel(&token) {
            let request = stack.http.get(stack.url("/results")).header("authorization", format!("Bearer {token}"));
            Reply::to(what, request).await.refused(401, "invalid_token");
        }
    }
    Reply::to("a right one", stack.http.get(stack.url("/results")).bearer_auth(&right)).await.success(200);
}

/// A token of the realm in place of an assertion of the client's own.
#[tokio::test]
async fn a_token_of_the_realm_as_client_assertion() {
    let main = Stack::open().await;
    let agent = main.agent();
    let mut realm = Realm::of(&main);
    let account = Uuid::new_v4().to_string();
    let name = format!("service-account-{}", agent.id);
    realm.set_user(
        &account,
        json!({"sub": account, "username": name, "enabled": true, "passkeys": [], "service_account": true}),
    );
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_with(realm.issuer()).await;
    let stack = &server.stack;
    let right = || {
        let claims = json!({
            "iss": realm.issuer(), "aud": stack.issuer(), "azp": agent.id, "sub": account, "typ": "DPoP", "iat": now(),
            "exp": now() + 60, "jti": Uuid::new_v4(), "cnf": {"jkt": agent.dpop.kid},
        });
        realm.key().sign(TYP_JWT, &claims)
    };
    let proof = || agent.dpop.proof_of(&Key::proof_claims("POST", &format!("{}/token", stack.issuer())));
    for (what, assertion) in attacks(&right(), Some(realm.key()), false) {
        if what == PLAIN_JWT {
            continue;
        }
        poll(stack, what, &assertion, &proof()).await.refused(401, "invalid_client");
    }
    poll(stack, "a right one", &right(), &proof()).await.refused(400, "invalid_grant");
}

/// A workload's own token, by which it starts a chain without an intent.
#[tokio::test]
async fn a_self_signed_subject_token() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let right = || agent.signing.sign(TYP_JWT, &self_claims(&stack, &agent));
    for (what, token) in attacks(&right(), Some(&agent.signing), false) {
        if what == PLAIN_JWT {
            continue;
        }
        let form = stack.exchange_form(&token, TOKEN_TYPE_SELF_SIGNED);
        let reply = stack.post(what, &agent, "/token", &form).await;
        reply.because(400, "invalid_request", "token_invalid").naming("subject_token");
    }
    let form = stack.exchange_form(&right(), TOKEN_TYPE_SELF_SIGNED);
    stack.post("a right one", &agent, "/token", &form).await.success(200);
}

/// To whoever asks about it or revokes it, an attack is no token: the answer is the one for garbage, and the token lives on.
#[tokio::test]
async fn a_token_that_is_asked_about_or_revoked() {
    let stack = Stack::open().await;
    let (agent, rs) = (stack.agent(), stack.access_token().await);
    let granted = grant(&stack, &agent, &reading(&stack)).await;
    let txn = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    let access = token_of(&access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    for right in [&granted.token, &txn, &access] {
        for (what, token) in attacks(right, None, false) {
            inactive(&ask(&stack, what, &agent, &token).await);
            inactive(&ask_as(&stack, what, &rs, &token).await);
            let revoked = stack.post(what, &agent, "/revoke", &vec![("token", token)]).await;
            assert_eq!((revoked.success(200), revoked.text.as_str()), (&Value::Null, ""), "{what}");
        }
        assert_eq!(ask(&stack, "the right one", &agent, right).await.success(200)["active"], true);
    }
}

/// Submits with a proof of the user.
async fn prove(stack: &Stack, what: &str, agent: &Client, (name, proof): (&'static str, &str)) -> Reply {
    let plan = pairing::plan_for(stack, &pairing::bea());
    let details = json!([{"type": "agent_intent_plan", "plan": plan}]).to_string();
    stack.post(what, agent, "/plans", &vec![("authorization_details", details), (name, proof.to_owned())]).await
}

#[tokio::test]
async fn a_proof_of_the_user_at_submission() {
    let main = Stack::open().await;
    let (realm, _copy, server) = pairing::server(&main).await;
    let (stack, agent) = (&server.stack, main.agent());
    let id_token = || realm.key().sign(TYP_JWT, &pairing::id_claims(&realm, &agent));
    let assertion = || pairing::IDP_KEY.sign(pairing::TYP_ID_JAG, &pairing::assertion_claims(stack, &agent));
    for (name, signer, right) in [
        ("id_token_hint", realm.key(), &id_token as &dyn Fn() -> String),
        ("login_hint_token", &*pairing::IDP_KEY, &assertion),
    ] {
        for (what, proof) in attacks(&right(), Some(signer), false) {
            if what == PLAIN_JWT && name == "id_token_hint" {
                continue;
            }
            let reply = prove(stack, what, &agent, (name, &proof)).await;
            reply.because(400, "invalid_request", "not_paired").naming(name);
        }
        prove(stack, "a right one", &agent, (name, &right())).await.success(201);
    }
}

#[tokio::test]
async fn an_access_token_at_the_decision_point() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let token = token_of(&access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let read = call(&stack, "list_service_accounts", "environment", "production", json!({}));
    let right = || {
        let mut body = request(&stack, &agent, &token, &read, &fresh());
        body["context"].as_object_mut().unwrap().remove("txn_token");
        body
    };
    for (what, token) in attacks(&token, None, false) {
        refused(&evaluate(&stack, what, right(), "access_token", &token).await, "token_invalid");
    }
    permit(&evaluate(&stack, "a right one", right(), "access_token", &token).await);
}

/// What the realm's extension asks for by a message of its own: a plan, or a call to be approved.
#[tokio::test]
async fn a_request_of_the_realms_extension() {
    let main = Stack::open().await;
    let mut realm = Realm::of(&main);
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_with(realm.issuer()).await;
    let stack = &server.stack;
    let intent = stack.submitted(&stack.agent(), &reading(stack)).await;
    let step_up = step_up::put_in(stack, &intent).await;
    for (path, typ, member, id) in [
        (format!("/internal/plans/{intent}"), TYP_PLAN_REQUEST, "intent_id", &intent),
        (format!("/internal/step-ups/{step_up}"), TYP_STEP_UP_REQUEST, "step_up_id", &step_up),
    ] {
        let right = || realm.key().sign(typ, &extension_request(&realm, stack, member, id));
        let ask = async |what: &str, request: &str| {
            Reply::to(what, stack.http.get(stack.url(&path)).header("authorization", format!("Bearer {request}"))).await
        };
        for (what, request) in attacks(&right(), Some(realm.key()), false) {
            if can_travel(&request) {
                ask(what, &request).await.refused(401, "invalid_token");
            }
        }
        assert_eq!(ask("a right one", &right()).await.status, 200, "{path}");
    }
}

/// A resource server's own gate, which verifies by itself.
#[tokio::test]
async fn a_token_and_its_proof_at_a_gate() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let gate = Process::start(&stack, stack.issuer()).await.gate;
    let txn = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let access = token_of(&access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    for (what, token) in attacks(&txn, None, false) {
        assert_eq!(gate.verify_token(&token, now()).await.unwrap_err().reason(), Reason::TokenInvalid, "{what}");
    }
    for (what, token) in attacks(&access, None, false) {
        assert_eq!(gate.verify_access_token(&token, now()).await.unwrap_err().reason(), Reason::TokenInvalid, "{what}");
    }
    let read = call(&stack, "list_service_accounts", "environment", "production", json!({}));
    let url = format!("{}/call", read.location);
    let proof = agent.dpop.prove_call(&txn, &read, "POST", &url);
    let presented =
        |proof: &str| Presented::new("POST", &url).with_header("Txn-Token", &txn).with_header("DPoP", proof);
    for (what, proof) in attacks(&proof, Some(&agent.dpop), true) {
        let refused = gate.verify_caller(&presented(&proof), now()).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::ProofInvalid, "{what}");
    }
    gate.verify_caller(&presented(&proof), now()).await.unwrap();
    gate.verify_access_token(&access, now()).await.unwrap();
}

/// A workload's own token, at a gate that takes calls without an intent.
#[tokio::test]
async fn a_workloads_own_token_at_a_gate() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let gate = Process::start(&stack, stack.issuer()).await.gate;
    let subject = agent.signing.sign(TYP_JWT, &self_claims(&stack, &agent));
    let form = stack.exchange_form(&subject, TOKEN_TYPE_SELF_SIGNED);
    let right = token_of(&stack.post("a chain of its own", &agent, "/token", &form).await);
    let call = rotation(&stack, "own");
    let url = format!("{}/call", call.location);
    let presented = |token: &str| {
        let proof = agent.dpop.prove_call(token, &call, "POST", &url);
        Presented::new("POST", &url).with_header("Txn-Token", token).with_header("DPoP", &proof)
    };
    for (what, token) in attacks(&right, None, false) {
        let refused = gate.verify_workload(&presented(&token), now()).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::TokenInvalid, "{what}");
    }
    gate.verify_workload(&presented(&right), now()).await.unwrap();
}

/// A gate gives up the connection on which it is told what Marque did not sign, and begins anew.
#[tokio::test]
async fn a_message_of_the_feed_at_a_gate() {
    let stack = Stack::open().await;
    let middlebox = Middlebox::before(stack.issuer()).await;
    let gate = Process::start(&stack, &middlebox.url).await;
    let mut feed = Feed::open(&stack, None).await;
    let right = feed.next_of("heartbeat").await.jws;
    for (what, message) in attacks(&right, None, false) {
        // A line feed ends the event: it is no part of the message.
        if message.ends_with('\n') {
            continue;
        }
        let feeds = middlebox.feeds();
        middlebox.say(&message);
        until(what, || std::future::ready(middlebox.feeds() > feeds)).await;
    }
    let feeds = middlebox.feeds();
    middlebox.say(&feed.next_of("heartbeat").await.jws);
    let intent = stack.submitted(&stack.agent(), &reading(&stack)).await;
    revoke(&stack, &intent).await;
    gate.becomes(&intent, Err(Reason::IntentRevoked)).await;
    assert_eq!(middlebox.feeds(), feeds, "it goes on where it heard a right one");
}

/// A browser that comes back from the realm, which answers an ID token for the code.
struct SignIn<'s> {
    stack: &'s Stack,
    realm: &'s Realm,
    intent: String,
}

impl SignIn<'_> {
    /// Goes to the realm from one page and comes back to another; the ID token is what `make` makes of the right one.
    async fn back(&self, what: &str, (page, client): (&str, &str), make: impl FnOnce(Value) -> String) -> Reply {
        let (stack, realm, intent) = (self.stack, self.realm, &self.intent);
        let begun = Reply::to(what, stack.http.get(stack.url(&format!("/{page}/{intent}")))).await;
        assert_eq!(begun.status, 303, "{}", begun.text);
        let cookie = begun.header("set-cookie").split(';').next().unwrap().to_owned();
        let claims = json!({
            "iss": realm.issuer(), "aud": client, "azp": client, "typ": "ID", "sub": stack.env.user.sub,
            "preferred_username": stack.env.user.username, "acr": "1", "auth_time": now(), "iat": now(),
            "exp": now() + 300, "jti": Uuid::new_v4(), "nonce": realm.pushed("nonce"),
            "marque_approval": {"v": 1, "decision": "denied", "intent_id": intent},
        });
        realm.set_id_token(&make(claims));
        let query = [("code", "a-code"), ("state", &realm.pushed("state")), ("iss", realm.issuer())];
        let back = Url::parse_with_params(&realm.pushed("redirect_uri"), query).unwrap();
        let path = back.path().strip_prefix(&format!("/realms/{}", stack.env.keycloak.realm)).unwrap();
        let url = stack.url(&format!("{path}?{}", back.query().unwrap()));
        Reply::to(what, stack.http.get(url).header("cookie", cookie)).await
    }
}

/// What the realm answers for the code of a sign-in, at the receipt and to decide on a plan.
#[tokio::test]
async fn an_id_token_of_a_sign_in() {
    let main = Stack::open().await;
    let mut realm = Realm::of(&main);
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_with(realm.issuer()).await;
    let stack = &server.stack;
    let intent = stack.submitted(&stack.agent(), &reading(stack)).await;
    let sign_in = SignIn { stack, realm: &realm, intent };
    let sign = |claims: Value| realm.key().sign(TYP_JWT, &claims);
    let table = |claims: Value| attacks(&sign(claims), Some(realm.key()), false);
    for to in [("receipt", "marque-web"), ("approve", "marque")] {
        for (at, (what, _)) in table(json!({})).into_iter().enumerate() {
            if what == PLAIN_JWT {
                continue;
            }
            let reply = sign_in.back(what, to, |claims| table(claims).remove(at).1).await;
            reply.page(400, "the ID token");
        }
        let reply = sign_in.back("a right one", to, sign).await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        assert!(reply.header("set-cookie").starts_with("marque_receipt="));
    }
}

/// The ID token within evidence is verified again from the file, whoever signed the file.
#[tokio::test]
async fn the_id_token_within_evidence() {
    let stack = Stack::open().await;
    let (agent, keyring) = (stack.agent(), keyring_of(&stack).await);
    let key = keyring.key(Purpose::Evidence).unwrap();
    let intent = stack.submitted(&agent, &reading(&stack)).await;
    person::approve(&stack, &intent).await;
    let right = evidence_of(&stack.db, &intent).await;
    let payload = read(&right).unwrap().payload;
    let file = |id_token: String| {
        let payload = Payload { id_token, ..payload.clone() };
        write(&payload, key.public_jwk(), &key.sign_raw(&signing_input(&payload)).unwrap())
    };
    for (what, id_token) in attacks(&payload.id_token, None, false) {
        put_evidence(&stack.db, &intent, &file(id_token)).await;
        let reply = Reply { what: what.to_owned(), ..stack.poll(&agent, &intent).await };
        reply.because(400, "invalid_grant", "evidence_invalid");
    }
    put_evidence(&stack.db, &intent, &file(payload.id_token.clone())).await;
    stack.poll(&agent, &intent).await.success(200);
}

/// Whoever writes rows makes no catalog count.
#[tokio::test]
async fn a_kept_catalog_and_its_admission() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let (stack, agent) = (&server.stack, main.agent());
    let newest = "select jws, admission from catalogs where location = $1 order by version desc limit 1";
    let right: (String, String) = sqlx::query_as(newest).bind(stack.location()).fetch_one(&stack.db).await.unwrap();
    let put = async |jws: &str, admission: &str| {
        let mut tx = stack.db.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
        let change = "update catalogs set jws = $2, admission = $3 where location = $1
                      and version = (select max(version) from catalogs where location = $1)";
        let change = sqlx::query(change).bind(stack.location()).bind(jws).bind(admission);
        assert_eq!(change.execute(&mut *tx).await.unwrap().rows_affected(), 1);
        tx.commit().await.unwrap();
    };
    let rs = Key::read(&stack.env.clients.rs.key);
    let catalogs = attacks(&right.0, Some(&rs), false).into_iter().map(|(what, jws)| (what, jws, right.1.clone()));
    let admissions = attacks(&right.1, None, false).into_iter().map(|(what, jws)| (what, right.0.clone(), jws));
    for (what, jws, admission) in catalogs.chain(admissions) {
        put(&jws, &admission).await;
        let reply = stack.submit(what, &agent, &reading(stack)).await;
        reply.because(400, "invalid_authorization_details", "unknown_location");
    }
    put(&right.0, &right.1).await;
    stack.submit("the right ones", &agent, &reading(stack)).await.success(201);
}
