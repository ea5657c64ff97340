//! Ids that may be used once.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Uses an id: false if it was used before.
pub async fn use_once(
    conn: &mut PgConnection,
    issuer: &str,
    jti: &str,
    expires_at: OffsetDateTime,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "insert into replays (issuer, jti, expires_at) values ($1, $2, $3)
         on conflict on constraint replays_pkey do nothing",
        issuer,
        jti,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Forgets ids that could not be used again anyway.
pub async fn forget_expired(conn: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!("delete from replays where expires_at <= $1", now).execute(conn).await.map(drop)
}
