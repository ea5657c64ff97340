//! Transaction tokens that workloads started without an intent.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A token about to be answered.
pub struct NewWorkloadToken<'a> {
    /// Its id.
    pub jti: Uuid,
    /// Whose it is.
    pub client_id: &'a str,
    /// The key it is bound to.
    pub jkt: &'a str,
    /// The call chain.
    pub txn: Uuid,
    /// SHA-256 of the token.
    pub token_sha256: &'a [u8],
    /// SHA-256 of what the workload signed for it.
    pub parent_sha256: &'a [u8],
    /// When it was signed.
    pub issued_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// Keeps a token.
pub async fn insert(conn: &mut PgConnection, realm: &str, token: &NewWorkloadToken<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into workload_tokens
             (realm, jti, client_id, jkt, txn, token_sha256, parent_sha256, issued_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        realm,
        token.jti,
        token.client_id,
        token.jkt,
        token.txn,
        token.token_sha256,
        token.parent_sha256,
        token.issued_at,
        token.expires_at
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Forgets tokens that are over.
pub async fn forget_expired(conn: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!("delete from workload_tokens where expires_at <= $1", now).execute(conn).await.map(drop)
}
