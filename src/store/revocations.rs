//! The revocation feed's rows: revoked intents, revoked tokens and withdrawn keys, numbered in one row.

use super::StoreError;
use super::tokens::Open;
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
    /// Since when what came before is suspended; none while nothing is.
    pub suspended_at: Option<OffsetDateTime>,
}

/// One entry of the feed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the feed.
    pub seq: i64,
    /// When it was appended.
    pub at: OffsetDateTime,
    /// The intent that was revoked, if it is a revocation of one.
    pub intent_id: Option<Uuid>,
    /// The id of the token that was revoked, if it is a revocation of one.
    pub token_id: Option<Uuid>,
    /// When the intent's tokens, or the one, would have ended by themselves.
    pub until: Option<OffsetDateTime>,
    /// The id of the key that was withdrawn, if it is a withdrawal.
    pub kid: Option<String>,
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
    sqlx::query_as!(Position, "select epoch, seq, suspended_at from feeds where realm = $1", realm)
        .fetch_one(conn)
        .await
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
    let seq = next(&mut *conn, realm).await?;
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
    notify(conn, realm).await
}

/// Appends the withdrawal of a key that was not withdrawn before.
pub async fn append_withdrawal(
    conn: &mut PgConnection,
    realm: &str,
    kid: &str,
    cause: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let seq = next(&mut *conn, realm).await?;
    sqlx::query!(
        "insert into key_withdrawals (realm, seq, kid, cause, withdrawn_at) values ($1, $2, $3, $4, $5)",
        realm,
        seq,
        kid,
        cause,
        now
    )
    .execute(&mut *conn)
    .await?;
    notify(conn, realm).await
}

/// Appends the revocations of tokens of one intent, each with a number of its own.
pub async fn append_tokens(
    conn: &mut PgConnection,
    realm: &str,
    intent_id: Uuid,
    tokens: &[Open],
    cause: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let (ids, ends): (Vec<Uuid>, Vec<OffsetDateTime>) = tokens.iter().map(|one| (one.jti, one.expires_at)).unzip();
    let appended = sqlx::query!(
        "with numbered as (
             update feeds set seq = seq + cardinality($3::uuid[]) where realm = $1 returning seq - cardinality($3::uuid[]) as before
         )
         insert into token_revocations (realm, seq, intent_id, jti, cause, revoked_at, until)
         select $1, numbered.before + a.place, $2, a.jti, $5, $6, a.until
         from numbered, unnest($3::uuid[], $4::timestamptz[]) with ordinality as a(jti, until, place)",
        realm,
        intent_id,
        &ids,
        &ends,
        cause,
        now
    )
    .execute(&mut *conn)
    .await?;
    // Without its feed's row a realm revokes nothing, and says so.
    if appended.rows_affected() != ids.len() as u64 {
        return Err(StoreError::RowNotFound);
    }
    notify(conn, realm).await
}

/// Takes the next number.
async fn next(conn: &mut PgConnection, realm: &str) -> Result<i64, StoreError> {
    sqlx::query_scalar!("update feeds set seq = seq + 1 where realm = $1 returning seq", realm).fetch_one(conn).await
}

/// Wakes the servers that follow the feed, once the transaction is committed.
pub async fn notify(conn: &mut PgConnection, realm: &str) -> Result<(), StoreError> {
    sqlx::query!("select pg_notify($1, $2) as notified", CHANNEL, realm).fetch_one(conn).await.map(drop)
}

/// Entries after a place in the feed, in order. One statement: what is missing of one kind and there of the other would
/// be a gap that nobody sees.
pub async fn after(conn: &mut PgConnection, realm: &str, seq: i64) -> Result<Vec<Entry>, StoreError> {
    sqlx::query_as!(
        Entry,
        r#"select seq as "seq!", revoked_at as "at!", intent_id as "intent_id?", null::uuid as "token_id?", until as "until?",
             null::text as "kid?"
           from revocations where realm = $1 and seq > $2
           union all
           select seq, revoked_at, null, jti, until, null from token_revocations where realm = $1 and seq > $2
           union all
           select seq, withdrawn_at, null, null, null, kid from key_withdrawals where realm = $1 and seq > $2
           order by 1"#,
        realm,
        seq
    )
    .fetch_all(conn)
    .await
}

/// Revocations whose tokens have not ended by themselves, and all withdrawals, in order. One statement, as [`after`].
pub async fn live(conn: &mut PgConnection, realm: &str, now: OffsetDateTime) -> Result<Vec<Entry>, StoreError> {
    sqlx::query_as!(
        Entry,
        r#"select seq as "seq!", revoked_at as "at!", intent_id as "intent_id?", null::uuid as "token_id?", until as "until?",
             null::text as "kid?"
           from revocations where realm = $1 and until > $2
           union all
           select seq, revoked_at, null, jti, until, null from token_revocations where realm = $1 and until > $2
           union all
           select seq, withdrawn_at, null, null, null, kid from key_withdrawals where realm = $1
           order by 1"#,
        realm,
        now
    )
    .fetch_all(conn)
    .await
}

/// Whether a key was withdrawn.
pub async fn is_withdrawn(conn: &mut PgConnection, realm: &str, kid: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (select from key_withdrawals where realm = $1 and kid = $2) as "is_withdrawn!""#,
        realm,
        kid
    )
    .fetch_one(conn)
    .await
}
