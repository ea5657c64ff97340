//! Envelopes that are too long for a token, by their digest.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Keeps an envelope until the token that names it is over; one that is there already is kept as it is, as long as the
/// longer of both times.
pub async fn keep(
    conn: &mut PgConnection,
    realm: &str,
    digest: &[u8],
    content: &[u8],
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into envelopes (realm, digest, content, expires_at) values ($1, $2, $3, $4)
         on conflict on constraint envelopes_pkey
         do update set expires_at = greatest(envelopes.expires_at, excluded.expires_at)",
        realm,
        digest,
        content,
        expires_at
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What is kept under a digest; its reader compares the two.
pub async fn find(conn: &mut PgConnection, realm: &str, digest: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar!("select content from envelopes where realm = $1 and digest = $2", realm, digest)
        .fetch_optional(conn)
        .await
}

/// Forgets envelopes that no token names any more.
pub async fn forget_expired(conn: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!("delete from envelopes where expires_at <= $1", now).execute(conn).await.map(drop)
}
