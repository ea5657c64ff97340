//! Approvals, of plans and of calls: evidence files, and the passkeys that were first seen in them.

use super::StoreError;
use marque_core::canonical::Digest;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Index that holds a passkey's counter values: each is used once.
pub const COUNTER_INDEX: &str = "approvals_counter";

/// What was approved: an intent's plan, or one call of it.
#[derive(Clone, Copy, Debug)]
pub struct Approved {
    /// The intent.
    pub intent_id: Uuid,
    /// The step-up, if it is one call.
    pub step_up_id: Option<Uuid>,
}

/// Keeps an evidence file, written once. The passkey's counter violates [`COUNTER_INDEX`] if any approval has it.
pub async fn insert(
    conn: &mut PgConnection,
    approved: Approved,
    evidence: &[u8],
    credential_id: &[u8],
    sign_count: u32,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into approvals (intent_id, step_up_id, evidence, credential_id, sign_count, approved_at)
         values ($1, $2, $3, $4, $5, $6)",
        approved.intent_id,
        approved.step_up_id,
        evidence,
        credential_id,
        i64::from(sign_count),
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The evidence file of an intent's plan.
pub async fn find_evidence(conn: &mut PgConnection, intent_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar!("select evidence from approvals where intent_id = $1 and step_up_id is null", intent_id)
        .fetch_optional(conn)
        .await
}

/// SHA-256 of [`find_evidence`].
pub async fn find_evidence_digest(conn: &mut PgConnection, intent_id: Uuid) -> Result<Option<Digest>, StoreError> {
    let found = sqlx::query_scalar!(
        "select evidence_sha256 from approvals where intent_id = $1 and step_up_id is null",
        intent_id
    );
    Ok(found.fetch_optional(conn).await?.and_then(|digest| Digest::from_slice(&digest)))
}

/// The evidence file of a step-up's call.
pub async fn find_step_up_evidence(conn: &mut PgConnection, step_up_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar!("select evidence from approvals where step_up_id = $1", step_up_id).fetch_optional(conn).await
}

/// The approved step-ups of an intent, in the order of their approval.
pub async fn step_ups_of(conn: &mut PgConnection, intent_id: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"select step_up_id as "step_up_id!" from approvals where intent_id = $1 and step_up_id is not null
           order by approved_at, step_up_id"#,
        intent_id
    );
    ids.fetch_all(conn).await
}

/// A passkey as it was first seen.
pub struct PinnedPasskey {
    /// The COSE key.
    pub public_key: Vec<u8>,
    /// Whether it can be synced.
    pub backup_eligible: bool,
}

/// Pins a passkey at first sight; answers what is pinned.
pub async fn pin_passkey(
    conn: &mut PgConnection,
    realm: &str,
    sub: &str,
    credential_id: &[u8],
    seen: &PinnedPasskey,
    now: OffsetDateTime,
) -> Result<PinnedPasskey, StoreError> {
    sqlx::query!(
        "insert into passkeys (realm, sub, credential_id, public_key, backup_eligible, first_seen_at)
         values ($1, $2, $3, $4, $5, $6) on conflict on constraint passkeys_pkey do nothing",
        realm,
        sub,
        credential_id,
        seen.public_key,
        seen.backup_eligible,
        now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_as!(
        PinnedPasskey,
        "select public_key, backup_eligible from passkeys where realm = $1 and sub = $2 and credential_id = $3",
        realm,
        sub,
        credential_id
    )
    .fetch_one(conn)
    .await
}

/// When each passkey of a user was first seen, oldest first: credential id and instant.
pub async fn pinned_passkeys(
    conn: &mut PgConnection,
    realm: &str,
    sub: &str,
) -> Result<Vec<(Vec<u8>, OffsetDateTime)>, StoreError> {
    let rows = sqlx::query!(
        "select credential_id, first_seen_at from passkeys where realm = $1 and sub = $2 order by first_seen_at",
        realm,
        sub
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.credential_id, row.first_seen_at)).collect())
}
