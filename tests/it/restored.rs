//! The database is restored from a backup: what was revoked stays refused, what was used stays refused, since everything that
//! was live is suspended until an administrator confirms it; then the rest goes on.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::introspection::{ask, inactive};
use crate::support::keys::{Client, now};
use crate::support::person;
use crate::support::plans::{Granted, call, grant, reading, rotating, rotation};
use crate::support::server::{Copy, Postgres, Server};
use crate::support::sse::{Event, Feed};
use crate::support::stack::Stack;
use crate::support::until;
use marque_core::names::TOKEN_TYPE_INTENT;
use marque_gate::Revocations;
use marque_gate::revocations::FeedMessage;
use serde_json::json;
use sqlx::PgPool;

/// What is there when the backup is made.
struct Before {
    agent: Client,
    revoked: Granted,
    used: Granted,
    untouched: Granted,
    approved: String,
}

impl Before {
    async fn make(stack: &Stack) -> Self {
        let agent = stack.agent();
        let revoked = grant(stack, &agent, &reading(stack)).await;
        let used = grant(stack, &agent, &rotating(stack)).await;
        let untouched = grant(stack, &agent, &reading(stack)).await;
        let approved = stack.submitted(&agent, &reading(stack)).await;
        person::approve(stack, &approved).await;
        Self { agent, revoked, used, untouched, approved }
    }

    /// A call of the single use; answers what `/access` says.
    async fn use_up(&self, server: &Server, token: &str) -> crate::support::reply::Reply {
        let call = rotation(&server.stack, "svc-api");
        let body = request(&server.stack, &self.agent, token, &call, &fresh());
        server.stack.post_json("the single use", EVALUATION, &body).await
    }

    /// Until it is, nothing is given either: what a restored database says is not known to be true.
    async fn is_suspended_at(&self, server: &Server) -> bool {
        let reply = exchange_all(&server.stack, &self.agent, &self.untouched.token, TOKEN_TYPE_INTENT).await;
        assert_ne!(reply.status, 200, "a token between the restore and the suspension");
        reply.status == 400 && reply.text.contains("intent_suspended")
    }

    /// Everything that was live is refused, by a reason of its own.
    async fn expect_suspended(&self, server: &Server, used: &str, read: &str) {
        let stack = &server.stack;
        for granted in [&self.revoked, &self.used, &self.untouched] {
            let reply = exchange_all(stack, &self.agent, &granted.token, TOKEN_TYPE_INTENT).await;
            reply.because(400, "invalid_request", "intent_suspended");
            inactive(&ask(stack, "a suspended token", &self.agent, &granted.token).await);
        }
        stack.poll(&self.agent, &self.approved).await.because(400, "invalid_grant", "intent_suspended");
        refused(&self.use_up(server, used).await, "intent_suspended");
        let look = call(stack, "list_service_accounts", "environment", "production", json!({}));
        let body = request(stack, &self.agent, read, &look, &fresh());
        refused(&stack.post_json("an uncounted read", EVALUATION, &body).await, "intent_suspended");
    }
}

/// Waits until each of so many servers has moved its own number on, twice.
pub async fn beats_go_on(db: &PgPool, servers: i64) {
    let sql = "select count(*), coalesce(min(beat), 0) from server_beats where beat_at > now() - interval '5 s'";
    let beats = async || sqlx::query_as::<_, (i64, i64)>(sql).fetch_one(db).await.unwrap();
    until("the servers look", || async { beats().await.0 == servers }).await;
    let (_, least) = beats().await;
    until("each server's number goes on", || async {
        let (looking, now) = beats().await;
        looking == servers && now > least + 1
    })
    .await;
}

/// A gate that has heard the snapshot of a server.
async fn gate(server: &Server) -> (Revocations, Event) {
    let event = Feed::open(&server.stack, None).await.next().await;
    let gate = Revocations::new();
    gate.apply(FeedMessage::parse(event.payload.to_string().as_bytes()).unwrap(), now());
    (gate, event)
}

#[tokio::test]
async fn what_was_live_before_a_restore_is_suspended_until_it_is_confirmed() {
    let main = Stack::open().await;
    let before = Before::make(&main).await;
    let mut postgres = Postgres::start(&main);
    let mut copy = Copy::within(&main, &postgres).await;
    copy.mark = postgres.mark("one");
    let server = copy.serve().await;
    copy.mark = postgres.mark("two");
    let twin = copy.serve().await;
    let (agent, stack) = (&before.agent, &server.stack);
    let token =
        async |granted: &Granted| token_of(&exchange_all(stack, agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let (use_token, read_token) = (token(&before.used).await, token(&before.untouched).await);
    let (_, first) = gate(&server).await;
    postgres.stop();
    let backup = postgres.save();
    postgres.restart();

    let probe = async || exchange_all(stack, agent, &before.untouched.token, TOKEN_TYPE_INTENT).await.status;
    until("the server is back", || async { probe().await == 200 }).await;
    crate::feed::revoke(stack, &before.revoked.intent_id).await;
    permit(&before.use_up(&server, &use_token).await);
    refused(&before.use_up(&server, &use_token).await, "uses_exhausted");
    stack.poll(agent, &before.approved).await.success(200);
    // So that both servers' own numbers are ahead of the backup's.
    beats_go_on(&copy.stack.db, 2).await;
    postgres.stop();
    postgres.put_back(&backup);
    postgres.restart();

    for server in [&server, &twin] {
        until("what was live is suspended", || before.is_suspended_at(server)).await;
        before.expect_suspended(server, &use_token, &read_token).await;
    }
    beats_go_on(&copy.stack.db, 2).await;
    let (known, event) = gate(&server).await;
    assert_ne!(event.payload["epoch"], first.payload["epoch"], "a new epoch");
    assert_eq!(gate(&twin).await.1.payload["epoch"], event.payload["epoch"], "one for both");
    assert!(known.is_suspended(now()), "and gates hear that what was issued before is suspended");
    assert!(!known.is_suspended(event.payload["suspended_before"].as_i64().unwrap() + 1));

    let shown = server.command(&["restore", "show"]).unwrap();
    assert!(shown.starts_with("suspended since "), "{shown}");
    for intent in [&before.revoked.intent_id, &before.used.intent_id, &before.approved] {
        assert!(shown.contains(intent.as_str()), "{intent}: {shown}");
        server.command(&["restore", "revoke", intent]).unwrap();
    }
    server.command(&["restore", "revoke", &before.revoked.intent_id]).unwrap_err();
    let early = server.command(&["restore", "confirm"]).unwrap_err();
    assert!(early.contains("may be used until"), "{early}");
    server.command(&["restore", "confirm", "--now"]).unwrap();
    server.command(&["restore", "confirm", "--now"]).unwrap_err();
    for server in [&server, &twin] {
        token_of(&exchange_all(&server.stack, agent, &before.untouched.token, TOKEN_TYPE_INTENT).await);
        for ended in [&before.revoked, &before.used] {
            let reply = exchange_all(&server.stack, agent, &ended.token, TOKEN_TYPE_INTENT).await;
            reply.because(400, "invalid_request", "intent_revoked");
        }
        refused(&before.use_up(server, &use_token).await, "intent_revoked");
    }
    let (known, confirmed) = gate(&twin).await;
    assert!(!known.is_suspended(0) && confirmed.payload["epoch"] != event.payload["epoch"]);
}

#[tokio::test]
async fn a_server_that_was_away_during_the_restore_notices_it_before_it_serves() {
    let main = Stack::open().await;
    let before = Before::make(&main).await;
    let mut postgres = Postgres::start(&main);
    let mut copy = Copy::within(&main, &postgres).await;
    copy.mark = postgres.mark("one");
    drop(copy.serve().await);
    postgres.stop();
    let backup = postgres.save();
    postgres.restart();
    let server = copy.serve().await;
    let epoch = gate(&server).await.1.payload["epoch"].clone();
    beats_go_on(&copy.stack.db, 1).await;
    drop(server);
    let server = copy.serve().await;
    assert_eq!(gate(&server).await.1.payload["epoch"], epoch, "a restart is no restore");
    drop(server);
    postgres.stop();
    postgres.put_back(&backup);
    postgres.restart();

    // One that has no mark of its own notices nothing, and hides nothing from the one that has.
    copy.mark = None;
    let stranger = copy.serve().await;
    beats_go_on(&copy.stack.db, 1).await;
    assert_eq!(gate(&stranger).await.1.payload["epoch"], epoch);
    copy.mark = postgres.mark("one");
    let server = copy.serve().await;
    assert!(before.is_suspended_at(&server).await && before.is_suspended_at(&stranger).await, "{}", server.log());
    assert_ne!(gate(&server).await.1.payload["epoch"], epoch);
    server.command(&["restore", "revoke", "--all"]).unwrap();
    server.command(&["restore", "confirm", "--now"]).unwrap();
    let reply = exchange_all(&server.stack, &before.agent, &before.untouched.token, TOKEN_TYPE_INTENT).await;
    reply.because(400, "invalid_request", "intent_revoked");
}

#[tokio::test]
async fn who_cannot_compare_its_database_any_more_gives_nothing() {
    let main = Stack::open().await;
    let agent = main.agent();
    let granted = grant(&main, &agent, &reading(&main)).await;
    let postgres = Postgres::start(&main);
    let mut copy = Copy::within(&main, &postgres).await;
    let folder = postgres.mark("folder").unwrap();
    std::fs::create_dir(&folder).unwrap();
    copy.mark = Some(folder.join("mark.json"));
    let server = copy.serve().await;
    let status = async || exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await.status;
    assert_eq!(status().await, 200);
    assert!(copy.refused_start().await.contains("another server uses it"));
    std::fs::remove_dir_all(&folder).unwrap();
    until("nothing is given", || async { status().await == 503 }).await;
    assert!(server.log().contains("database.not_compared"), "{}", server.log());
    std::fs::create_dir(&folder).unwrap();
    until("the mark is kept again", || async { status().await == 200 }).await;
}
