//! Rows can only deny: whoever writes rows stops work, and gets nothing that was not signed.

use crate::exchange::exchange_all as exchange_of;
use crate::support::keys::{Client, Key};
use crate::support::person;
use crate::support::plans::{grant, reading, rotating, shared, with};
use crate::support::server::Copy;
use crate::support::stack::Stack;
use jsonwebtoken::Algorithm;
use marque::clock::Clock;
use marque::flows::open_keyring::open_keyring;
use marque::keys::{Keyring, SealingKey};
use marque_core::canonical::{canonical, decode};
use marque_core::claims::token_hash;
use marque_core::evidence::{read, signing_input, write};
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_CATALOG};
use marque_demo::agent::Agent;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

/// The stack's own signing keys: for what is rightly signed and wrong otherwise.
pub async fn keyring_of(stack: &Stack) -> Keyring {
    let sealing = SealingKey::from_file(&stack.dir.join("marque-development.key")).unwrap();
    open_keyring(&stack.db.clone().into(), &Clock::default(), &stack.env.keycloak.realm, &sealing).await.unwrap()
}

/// Changes rows of one intent with triggers switched off, as a superuser can.
pub async fn change(db: &PgPool, sql: &'static str, intent: &str) {
    let mut tx = db.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    let id: Uuid = intent.parse().unwrap();
    let done = sqlx::query(sql).bind(id).execute(&mut *tx).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
    tx.commit().await.unwrap();
}

pub async fn evidence_of(db: &PgPool, intent: &str) -> Vec<u8> {
    let id: Uuid = intent.parse().unwrap();
    sqlx::query_scalar("select evidence from approvals where intent_id = $1 and step_up_id is null")
        .bind(id)
        .fetch_one(db)
        .await
        .unwrap()
}

/// Puts an evidence file where an intent's is looked for.
pub async fn put_evidence(db: &PgPool, intent: &str, evidence: &[u8]) {
    let mut tx = db.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    let id: Uuid = intent.parse().unwrap();
    let sql = "insert into approvals (intent_id, evidence, credential_id, sign_count, approved_at)
               values ($1, $2, '\\x00', 0, now()) on conflict (intent_id) where step_up_id is null
               do update set evidence = excluded.evidence";
    sqlx::query(sql).bind(id).bind(evidence).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_row_that_says_approved_or_active_grants_nothing() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let intent = stack.submitted(&agent, &reading(&stack)).await;
    let foreign = evidence_of(&stack.db, &granted.intent_id).await;
    for sql in [
        "update intents set state = 'approved' where intent_id = $1",
        "update intents set state = 'active', redeemed_at = now() where intent_id = $1",
    ] {
        change(&stack.db, sql, &intent).await;
        stack.poll(&agent, &intent).await.because(400, "invalid_grant", "evidence_invalid");
        put_evidence(&stack.db, &intent, &foreign).await;
        stack.poll(&agent, &intent).await.because(400, "invalid_grant", "evidence_invalid");
        change(&stack.db, "delete from approvals where intent_id = $1", &intent).await;
    }
    put_evidence(&stack.db, &intent, b"{}").await;
    stack.poll(&agent, &intent).await.because(400, "invalid_grant", "evidence_invalid");
    change(&stack.db, "delete from approvals where intent_id = $1", &intent).await;
}

/// Evidence with a wider plan, signed again by a key of nobody's.
fn forged(evidence: &[u8]) -> Vec<u8> {
    let mut payload = read(evidence).unwrap().payload;
    payload.plan["steps"][0]["uses"] = json!(100);
    let key = Key::fresh();
    let signature = jsonwebtoken::crypto::sign(&signing_input(&payload), key.private(), Algorithm::ES256).unwrap();
    write(&payload, &key.public, &decode(&signature).unwrap())
}

/// A plan row that allows more of everything.
async fn widen_plan_row(db: &PgPool, intent: &str) {
    let id: Uuid = intent.parse().unwrap();
    let plan: Vec<u8> =
        sqlx::query_scalar("select plan from intents where intent_id = $1").bind(id).fetch_one(db).await.unwrap();
    let mut plan: Value = serde_json::from_slice(&plan).unwrap();
    plan["limits"] = json!({"expires_at": "2999-01-01T00:00:00Z", "max_hops": 8});
    plan["steps"][0]["uses"] = json!(100);
    plan["steps"][0]["resource"]["id"] = json!({"any": true});
    let sql =
        "update intents set plan = $2, expires_at = now() + interval '1 year', catalogs = '{}' where intent_id = $1";
    sqlx::query(sql).bind(id).bind(canonical(&plan)).execute(db).await.unwrap();
}

#[tokio::test]
async fn what_is_granted_is_what_was_signed_whatever_the_rows_say() {
    let stack = Stack::open().await;
    let (agent, worker) = (stack.agent(), stack.worker());
    let plan = with(rotating(&stack), json!({"limits": {"lifetime_secs": 3600, "max_hops": 0}}));
    let intent = stack.submitted(&agent, &plan).await;
    person::approve(&stack, &intent).await;
    let genuine = evidence_of(&stack.db, &intent).await;
    for at in [10, genuine.len() / 2, genuine.len() - 10] {
        let mut flipped = genuine.clone();
        flipped[at] ^= 1;
        put_evidence(&stack.db, &intent, &flipped).await;
        stack.poll(&agent, &intent).await.because(400, "invalid_grant", "evidence_invalid");
    }
    put_evidence(&stack.db, &intent, &forged(&genuine)).await;
    stack.poll(&agent, &intent).await.because(400, "invalid_grant", "evidence_invalid");
    put_evidence(&stack.db, &intent, &genuine).await;

    change(&stack.db, "update intents set client_id = 'demo-worker' where intent_id = $1", &intent).await;
    stack.poll(&worker, &intent).await.because(400, "invalid_grant", "proof_key_mismatch");
    let id: Uuid = intent.parse().unwrap();
    let own = sqlx::query("update intents set jkt = $2 where intent_id = $1").bind(id).bind(&worker.dpop.kid);
    own.execute(&stack.db).await.unwrap();
    stack.poll(&worker, &intent).await.because(400, "invalid_grant", "proof_key_mismatch");
    let other = Client::with_fresh_dpop(&stack.env.clients.agent);
    let own =
        sqlx::query("update intents set client_id = $3, jkt = $2 where intent_id = $1").bind(id).bind(&other.dpop.kid);
    own.bind(&agent.id).execute(&stack.db).await.unwrap();
    stack.poll(&other, &intent).await.because(400, "invalid_grant", "proof_key_mismatch");
    let own = sqlx::query("update intents set jkt = $2 where intent_id = $1").bind(id).bind(&agent.dpop.kid);
    own.execute(&stack.db).await.unwrap();

    widen_plan_row(&stack.db, &intent).await;
    let granted = stack.poll(&agent, &intent).await;
    let [step] = granted.success(200)["authorization_details"].as_array().unwrap().as_slice() else {
        panic!("{}", granted.text)
    };
    assert_eq!((&step["uses"], &step["resource"]["id"]), (&json!(1), &json!("svc-api")));
    assert!(granted.body["expires_in"].as_i64().unwrap() <= 3600);
    let token = granted.member("access_token");
    let txn = exchange_of(&stack, &agent, token, TOKEN_TYPE_INTENT).await;
    let txn = txn.success(200)["access_token"].as_str().unwrap();
    let reply = exchange_of(&stack, &worker, txn, TOKEN_TYPE_TXN).await;
    reply.because(400, "invalid_request", "too_many_hops");
}

#[tokio::test]
async fn a_row_of_a_token_is_no_token() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let claims = Value::Object(marque_core::jws::unverified_claims(&granted.token).unwrap());
    let token = Key::fresh().sign("intent+jwt", &claims);
    let sql = "insert into tokens (intent_id, jti, kind, token_sha256, client_id, jkt, hops, issued_at, expires_at)
               values ($1, $2, 'intent', $3, $4, $5, 0, now(), now() + interval '1 hour')";
    let intent: Uuid = granted.intent_id.parse().unwrap();
    let row = sqlx::query(sql).bind(intent).bind(Uuid::new_v4()).bind(token_hash(&token).as_bytes().as_slice());
    row.bind(&agent.id).bind(&agent.dpop.kid).execute(&stack.db).await.unwrap();
    exchange_of(&stack, &agent, &token, TOKEN_TYPE_INTENT).await.because(400, "invalid_request", "token_invalid");
}

/// Puts a catalog in the place of every kept one, with triggers switched off, as a superuser can.
async fn put_catalog(db: &PgPool, jws: &str, client_id: &str) {
    let mut tx = db.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    let sql = "update catalogs set jws = $1, client_id = $2";
    sqlx::query(sql).bind(jws).bind(client_id).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_catalog_row_that_its_server_did_not_sign_describes_nothing() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let (stack, agent) = (&server.stack, main.agent());
    let catalog = json!({
        "iss": stack.env.resource_server.client_id, "version": 9, "location": stack.location(),
        "actions": {"rotate_key": {"class": "read", "reversible": true, "resource": "service_account", "args": {}, "display": {"en": "Look at {resource}"}}},
    });
    let forged = Key::fresh().sign(TYP_CATALOG, &catalog);
    stack.submitted(&agent, &rotating(stack)).await;
    put_catalog(&stack.db, &forged, &stack.env.resource_server.client_id).await;
    let reply = stack.submit("a forged catalog", &agent, &rotating(stack)).await;
    reply.because(400, "invalid_authorization_details", "unknown_location");
    let own = stack.worker().signing.sign(TYP_CATALOG, &with(catalog, json!({"iss": "demo-worker"})));
    put_catalog(&stack.db, &own, "demo-worker").await;
    let reply = stack.submit("another client's catalog", &agent, &rotating(stack)).await;
    reply.because(400, "invalid_authorization_details", "unknown_location");
}

#[tokio::test]
async fn changed_signing_keys_do_not_open() {
    let stack = Stack::open().await;
    let copy = Copy::beside(&stack).await;
    let db = &copy.stack.db;
    sqlx::query("create table saved as select * from signing_keys").execute(db).await.unwrap();
    let fresh = Key::fresh().public;
    let own = sqlx::query("create table own as select $1::text as public_jwk").bind(Value::Object(fresh).to_string());
    own.execute(db).await.unwrap();
    for (what, sql) in [
        (
            "a foreign public half",
            "update signing_keys set public_jwk = (select public_jwk from own) where typ = 'txntoken+jwt'",
        ),
        (
            "another row's public half",
            "update signing_keys set public_jwk = (select public_jwk from saved where typ = 'intent+jwt') where typ = 'txntoken+jwt'",
        ),
        (
            "another row's private half",
            "update signing_keys set sealed = (select sealed from saved where typ = 'intent+jwt') where typ = 'txntoken+jwt'",
        ),
        (
            "two purposes swapped",
            "update signing_keys set typ = case typ when 'intent+jwt' then 'txntoken+jwt' else 'intent+jwt' end where typ in ('intent+jwt', 'txntoken+jwt')",
        ),
        ("another id", "update signing_keys set kid = 'x' where typ = 'marque-evidence'"),
        ("no private half", "update signing_keys set sealed = '' where typ = 'marque-evidence'"),
        (
            "a newer row",
            "insert into signing_keys select realm, typ, 'newer', (select public_jwk from own), sealed, created_at + interval '1 hour', signs_from + interval '1 hour' from saved where typ = 'marque-evidence'",
        ),
    ] {
        let done = sqlx::query(sql).execute(db).await.unwrap();
        assert!(done.rows_affected() > 0, "{what}");
        let said = copy.refused_start().await;
        assert!(said.contains("does not open"), "{what}: {said}");
        sqlx::query("delete from signing_keys").execute(db).await.unwrap();
        sqlx::query("insert into signing_keys select * from saved").execute(db).await.unwrap();
    }
    copy.serve().await;
}

#[tokio::test]
async fn a_revoked_intent_comes_back_at_no_gate() {
    let stack = Stack::open().await;
    let (agent, story) = (stack.agent(), Agent::new(&stack.env).unwrap());
    let granted = grant(&stack, &agent, &reading(&stack)).await;
    let txn = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    let call = || async { story.party.call(&txn, &story.list()).await.unwrap() };
    assert_eq!(call().await.status, 200, "the resource server permits before");
    crate::feed::revoke(&stack, &granted.intent_id).await;
    crate::support::until("the resource server refuses", || async { call().await.reason() == "intent_revoked" }).await;

    change(
        &stack.db,
        "update intents set state = 'active', revoked_at = null where intent_id = $1",
        &granted.intent_id,
    )
    .await;
    assert_eq!(call().await.reason(), "intent_revoked");
    let reply = exchange_of(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    reply.because(400, "invalid_request", "intent_revoked");
    change(
        &stack.db,
        "update intents set state = 'approved', redeemed_at = null where intent_id = $1",
        &granted.intent_id,
    )
    .await;
    assert_eq!(stack.poll(&agent, &granted.intent_id).await.status, 400);

    // Whoever removes the revocation's own row too deceives this server, but no gate that has heard of it.
    let saved = "create temp table gone as select * from revocations";
    let mut conn = stack.db.acquire().await.unwrap();
    sqlx::query(saved).execute(&mut *conn).await.unwrap();
    change(&stack.db, "delete from revocations where intent_id = $1", &granted.intent_id).await;
    change(&stack.db, "update intents set state = 'active' where intent_id = $1", &granted.intent_id).await;
    let reply = exchange_of(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    if let Some(token) = reply.body["access_token"].as_str() {
        let answer = story.party.call(token, &story.list()).await.unwrap();
        assert_eq!(answer.reason(), "intent_revoked", "a token that was made after the theft");
    }
    assert_eq!(call().await.reason(), "intent_revoked");
    let back = "insert into revocations select * from gone on conflict do nothing";
    sqlx::query(back).execute(&mut *conn).await.unwrap();
    let reply = exchange_of(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    reply.because(400, "invalid_request", "intent_revoked");
}
