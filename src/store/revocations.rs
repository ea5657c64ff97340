//! The revocation feed's rows.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// The notification channel of the database.
pub const CHANNEL: &str = "marque_revocations";

/// Where the feed of a realm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Changes when sequence numbers start anew.
    pub epoch: Uuid,
    /// The last number given.
    pub seq: i64,
}

/// One revocation.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Its place in the feed.
    pub seq: i64,
    /// What was revoked.
    pub intent_id: Uuid,
    /// When.
    pub revoked_at: OffsetDateTime,
    /// When its tokens would have ended by themselves.
    pub until: OffsetDateTime,
}

/// Where the feed of a realm stands; begins it if there is none.
pub async fn position(conn: &mut PgConnection, realm: &str, epoch_if_new: Uuid) -> Result<Position, StoreError> {
    sqlx::query!(
        "insert into feeds (realm, epoch, seq) values ($1, $2, 0) on conflict on constraint feeds_pkey do nothing",
        realm,
        epoch_if_new
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_as!(Position, "select epoch, seq from feeds where realm = $1", realm).fetch_one(conn).await
}

/// Appends a revocation. The number is taken under the feed's row lock, so numbers follow commit order.
pub async fn append(
    conn: &mut PgConnection,
    realm: &str,
    intent_id: Uuid,
    cause: &str,
    until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let seq = sqlx::query_scalar!("update feeds set seq = seq + 1 where realm = $1 returning seq", realm)
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query!(
        "insert into revocations (realm, seq, intent_id, cause, revoked_at, until) values ($1, $2, $3, $4, $5, $6)",
        realm,
        seq,
        intent_id,
        cause,
        now,
        until
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("select pg_notify($1, $2) as notified", CHANNEL, realm).fetch_one(conn).await.map(drop)
}

/// Revocations after a place in the feed, in order.
pub async fn after(conn: &mut PgConnection, realm: &str, seq: i64) -> Result<Vec<Revocation>, StoreError> {
    sqlx::query_as!(
        Revocation,
        "select seq, intent_id, revoked_at, until from revocations where realm = $1 and seq > $2 order by seq",
        realm,
        seq
    )
    .fetch_all(conn)
    .await
}

/// Revocations whose tokens have not ended by themselves.
pub async fn live(conn: &mut PgConnection, realm: &str, now: OffsetDateTime) -> Result<Vec<Revocation>, StoreError> {
    sqlx::query_as!(
        Revocation,
        "select seq, intent_id, revoked_at, until from revocations where realm = $1 and until > $2 order by seq",
        realm,
        now
    )
    .fetch_all(conn)
    .await
}
