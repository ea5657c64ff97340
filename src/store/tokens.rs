//! Tokens that were answered, as a tree: each row has the hash of its parent.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A token about to be answered.
pub struct NewToken<'a> {
    /// The intent it comes from.
    pub intent_id: Uuid,
    /// Its id.
    pub jti: Uuid,
    /// `intent`, `txn` or `access`.
    pub kind: &'a str,
    /// SHA-256 of the token.
    pub token_sha256: &'a [u8],
    /// SHA-256 of the token it was exchanged for, if any.
    pub parent_sha256: Option<&'a [u8]>,
    /// Whose it is.
    pub client_id: &'a str,
    /// The key it is bound to.
    pub jkt: &'a str,
    /// The call chain.
    pub txn: Option<Uuid>,
    /// Hops beyond the agent itself.
    pub hops: i32,
    /// When it was signed.
    pub issued_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// Keeps a token if its intent is still active and its parent was answered by this server and not revoked: one
/// statement, which holds the intent against its revocation. False is a refusal: the token is thrown away.
pub async fn insert_if_active(conn: &mut PgConnection, realm: &str, token: &NewToken<'_>) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "with live as (
             select intent_id from intents i
             where intent_id = $1 and realm = $12 and state = 'active' and expires_at > $10
                 and not exists (select 1 from revocations r where r.intent_id = i.intent_id)
             for share of i
         )
         insert into tokens (intent_id, jti, kind, token_sha256, parent_sha256, client_id, jkt, txn, hops, issued_at, expires_at)
         select live.intent_id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 from live
         where $5::bytea is null
            or exists (
                select 1 from tokens parent where parent.intent_id = $1 and parent.token_sha256 = $5
                    and not exists (
                        select 1 from token_revocations r where r.intent_id = $1 and r.jti = parent.jti
                    )
            )",
        token.intent_id,
        token.jti,
        token.kind,
        token.token_sha256,
        token.parent_sha256,
        token.client_id,
        token.jkt,
        token.txn,
        token.hops,
        token.issued_at,
        token.expires_at,
        realm
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Whether a client was answered a token of a call chain that is bound to this key and was not revoked.
pub async fn holds(
    conn: &mut PgConnection,
    intent_id: Uuid,
    txn: Uuid,
    client_id: &str,
    jkt: &str,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (
             select 1 from tokens t where intent_id = $1 and txn = $2 and client_id = $3 and jkt = $4
                 and not exists (select 1 from token_revocations r where r.intent_id = $1 and r.jti = t.jti)
         ) as "holds!""#,
        intent_id,
        txn,
        client_id,
        jkt
    )
    .fetch_one(conn)
    .await
}

/// Holds other tokens of an intent whose turns are counted until the transaction ends.
pub async fn lock_turns(conn: &mut PgConnection, intent_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 5)) as locked", intent_id.to_string())
        .fetch_one(conn)
        .await
        .map(drop)
}

/// Turns of an intent: chains of transaction tokens that were started, and the given one, started or not.
pub async fn turns(conn: &mut PgConnection, intent_id: Uuid, with: Option<Uuid>) -> Result<u64, StoreError> {
    let turns = sqlx::query_scalar!(
        r#"select count(distinct txn) as "turns!"
         from (select txn from tokens where intent_id = $1 union all select $2::uuid) as started"#,
        intent_id,
        with
    )
    .fetch_one(conn)
    .await?;
    Ok(turns.unsigned_abs())
}

/// Whether an intent was redeemed: whatever its own row says, its token's row stays.
pub async fn is_redeemed(conn: &mut PgConnection, intent_id: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from tokens where intent_id = $1 and kind = 'intent') as "redeemed!""#,
        intent_id
    )
    .fetch_one(conn)
    .await
}

/// Whether a token was answered here, was not revoked, and its intent is active.
pub async fn is_live(
    conn: &mut PgConnection,
    realm: &str,
    intent_id: Uuid,
    token_sha256: &[u8],
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (
             select 1 from tokens t join intents i using (intent_id)
             where t.intent_id = $2 and t.token_sha256 = $3 and i.realm = $1 and i.state = 'active' and i.expires_at > $4
                 and not exists (select 1 from revocations r where r.intent_id = $2)
                 and not exists (select 1 from token_revocations r where r.intent_id = $2 and r.jti = t.jti)
         ) as "live!""#,
        realm,
        intent_id,
        token_sha256,
        now
    )
    .fetch_one(conn)
    .await
}

/// Whether a token of an intent was revoked by itself.
pub async fn is_revoked(conn: &mut PgConnection, intent_id: Uuid, jti: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from token_revocations where intent_id = $1 and jti = $2) as "revoked!""#,
        intent_id,
        jti
    )
    .fetch_one(conn)
    .await
}

/// A token that may still be used.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Its id.
    pub jti: Uuid,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
}

/// A token and all that was exchanged for it, hop after hop, as far as none of them is over or revoked already. One that is
/// over may have had children that are not.
pub async fn subtree(
    conn: &mut PgConnection,
    intent_id: Uuid,
    jti: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<Open>, StoreError> {
    sqlx::query_as!(
        Open,
        r#"with recursive below as (
             select jti, token_sha256, expires_at from tokens where intent_id = $1 and jti = $2
             union all
             select t.jti, t.token_sha256, t.expires_at
             from below b join tokens t on t.intent_id = $1 and t.parent_sha256 = b.token_sha256
         )
         select jti as "jti!", expires_at as "expires_at!" from below b
         where expires_at > $3
             and not exists (select 1 from token_revocations r where r.intent_id = $1 and r.jti = b.jti)"#,
        intent_id,
        jti,
        now
    )
    .fetch_all(conn)
    .await
}
