//! Browsers on their way to the realm and back, and the nonces of displayed pages.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A sign-in that was begun.
pub struct LoginRow {
    /// For which intent.
    pub intent_id: Uuid,
    /// For which step-up of it, if it is about one.
    pub step_up_id: Option<Uuid>,
    /// What the ID token must carry.
    pub nonce: String,
    /// What the code is redeemed with.
    pub pkce_verifier: String,
}

/// A sign-in to remember.
pub struct NewLogin<'a> {
    /// SHA-256 of `state`.
    pub state_sha256: &'a [u8],
    /// SHA-256 of the browser's cookie.
    pub browser_sha256: &'a [u8],
    /// `approve`, `step_up` or `receipt`.
    pub purpose: &'a str,
    /// The rest.
    pub row: LoginRow,
    /// When the browser must be back.
    pub expires_at: OffsetDateTime,
}

/// Remembers a sign-in.
pub async fn insert(conn: &mut PgConnection, login: &NewLogin<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into logins (state_sha256, browser_sha256, intent_id, purpose, nonce, pkce_verifier, expires_at, step_up_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        login.state_sha256,
        login.browser_sha256,
        login.row.intent_id,
        login.purpose,
        login.row.nonce,
        login.row.pkce_verifier,
        login.expires_at,
        login.row.step_up_id
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes a sign-in for one of some purposes: it is answered once, by the browser that began it.
pub async fn take(
    conn: &mut PgConnection,
    state_sha256: &[u8],
    browser_sha256: &[u8],
    purposes: &[String],
    now: OffsetDateTime,
) -> Result<Option<LoginRow>, StoreError> {
    sqlx::query_as!(
        LoginRow,
        "delete from logins where state_sha256 = $1 and browser_sha256 = $2 and purpose = any($3) and expires_at > $4
         returning intent_id, step_up_id, nonce, pkce_verifier",
        state_sha256,
        browser_sha256,
        purposes,
        now
    )
    .fetch_optional(conn)
    .await
}

/// Remembers the nonce of one display of the approval page.
pub async fn insert_display(
    conn: &mut PgConnection,
    nonce: &[u8],
    intent_id: Uuid,
    step_up_id: Option<Uuid>,
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into displays (nonce, intent_id, step_up_id, expires_at) values ($1, $2, $3, $4)",
        nonce,
        intent_id,
        step_up_id,
        expires_at
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Uses the nonce of a display: once, in time, for its own intent, and its own step-up if it is of one.
pub async fn use_display(
    conn: &mut PgConnection,
    nonce: &[u8],
    intent_id: Uuid,
    step_up_id: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let used = sqlx::query!(
        "update displays set used_at = $4 where nonce = $1 and intent_id = $2
             and step_up_id is not distinct from $3 and used_at is null and expires_at > $4",
        nonce,
        intent_id,
        step_up_id,
        now
    )
    .execute(conn)
    .await?;
    Ok(used.rows_affected() == 1)
}

/// Forgets what is over.
pub async fn forget_expired(conn: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!("delete from logins where expires_at <= $1", now).execute(&mut *conn).await?;
    sqlx::query!("delete from displays where expires_at <= $1", now).execute(conn).await.map(drop)
}
