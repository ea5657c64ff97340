//! Two servers on one database are one: what one did, the other knows at once.

use crate::exchange::{exchange_all, token_of};
use crate::support::person;
use crate::support::plans::{grant, reading};
use crate::support::reply::Reply;
use crate::support::server::{Copy, Server};
use crate::support::sse::Feed;
use crate::support::stack::Stack;
use crate::support::until;
use futures_util::future::join;
use marque_core::claims::token_hash;
use marque_core::names::{GRANT_INTENT, TOKEN_TYPE_INTENT};
use sqlx::PgPool;
use uuid::Uuid;

async fn number(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn an_approval_that_is_redeemed_at_both_at_once_is_redeemed_once() {
    let main = Stack::open().await;
    let agent = main.agent();
    let intent = main.submitted(&agent, &reading(&main)).await;
    person::approve(&main, &intent).await;
    let copy = Copy::beside(&main).await;
    let (one, other) = (copy.serve().await, copy.serve().await);
    let (first, second) = join(one.stack.poll(&agent, &intent), other.stack.poll(&agent, &intent)).await;
    let id: Uuid = intent.parse().unwrap();
    // The same client with the same key is answered again: each answer has its row, and both end with the one intent.
    for reply in [&first, &second] {
        let hash = token_hash(reply.member("access_token"));
        let rows =
            sqlx::query_scalar::<_, i64>("select count(*) from tokens where intent_id = $1 and token_sha256 = $2");
        let rows = rows.bind(id).bind(hash.as_bytes().as_slice()).fetch_one(&copy.stack.db).await.unwrap();
        assert_eq!(rows, 1, "{}", reply.text);
    }
    crate::feed::revoke(&other.stack, &intent).await;
    for (server, reply) in [(&one, &first), (&other, &second), (&one, &second), (&other, &first)] {
        let refused = exchange_all(&server.stack, &agent, reply.member("access_token"), TOKEN_TYPE_INTENT).await;
        refused.because(400, "invalid_request", "intent_revoked");
    }
}

/// The same octets at another server.
async fn repeat(request: &reqwest::Request, server: &Server) -> Reply {
    let mut request = request.try_clone().unwrap();
    let port = server.stack.base.parse::<reqwest::Url>().unwrap().port();
    request.url_mut().set_port(port).unwrap();
    Reply::to("the same request", reqwest::RequestBuilder::from_parts(server.stack.http.clone(), request)).await
}

#[tokio::test]
async fn a_request_that_one_took_is_a_replay_at_the_other_and_a_revocation_holds_at_both() {
    let main = Stack::open().await;
    let agent = main.agent();
    let granted = grant(&main, &agent, &reading(&main)).await;
    let copy = Copy::beside(&main).await;
    let (one, other) = (copy.serve().await, copy.serve().await);
    let form = vec![("grant_type", GRANT_INTENT.to_owned()), ("intent_id", granted.intent_id.clone())];
    let request = one.stack.signed(&agent, "/token", &form).build().unwrap();
    repeat(&request, &one).await.success(200);
    for server in [&other, &one] {
        let reply = repeat(&request, server).await;
        assert!(reply.status == 401 || reply.status == 400, "{}", reply.text);
        assert!(reply.text.contains("used before") || reply.text.contains("replayed"), "{}", reply.text);
    }

    let mut feed = Feed::open(&other.stack, None).await;
    token_of(&exchange_all(&other.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    crate::feed::revoke(&one.stack, &granted.intent_id).await;
    let reply = exchange_all(&other.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    reply.because(400, "invalid_request", "intent_revoked");
    feed.until_revoked(&granted.intent_id).await;
}

#[tokio::test]
async fn both_tidy_up_at_once_and_neither_minds() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let db = &copy.stack.db;
    let fill = "insert into replays (id, expires_at) select gen_random_uuid(), now() - interval '1 hour' from generate_series(1, 20000)";
    sqlx::query(fill).execute(db).await.unwrap();
    let lasts = number(db, "select count(*) from replays where expires_at > now() + interval '10 minutes'").await;
    let (one, other) = join(copy.serve(), copy.serve()).await;
    until("what is over is gone", || async {
        number(db, "select count(*) from replays where expires_at < now() - interval '30 minutes'").await == 0
    })
    .await;
    assert_eq!(
        lasts,
        number(db, "select count(*) from replays where expires_at > now() + interval '10 minutes'").await
    );
    for server in [&one, &other] {
        assert!(!server.log().contains("were not removed"), "{}", server.log());
        assert_eq!(server.stack.submit("afterwards", &main.agent(), &reading(&main)).await.status, 201);
    }
}
