//! Signed-in browsers on the receipt page.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Remembers a browser by the digest of its cookie.
pub async fn insert(
    conn: &mut PgConnection,
    cookie_sha256: &[u8],
    intent_id: Uuid,
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into receipt_sessions (cookie_sha256, intent_id, expires_at) values ($1, $2, $3)",
        cookie_sha256,
        intent_id,
        expires_at
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Whether a browser is signed in for an intent.
pub async fn is_signed_in(
    conn: &mut PgConnection,
    cookie_sha256: &[u8],
    intent_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let found = sqlx::query!(
        "select intent_id from receipt_sessions where cookie_sha256 = $1 and intent_id = $2 and expires_at > $3",
        cookie_sha256,
        intent_id,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Forgets what is over.
pub async fn forget_expired(conn: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!("delete from receipt_sessions where expires_at <= $1", now).execute(conn).await.map(drop)
}
