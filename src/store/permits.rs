//! The ledger: how often steps were used, and the permits for it.

use super::StoreError;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// A permit that was given.
#[derive(Clone, Debug)]
pub struct Permit {
    /// Its id.
    pub permit_id: Uuid,
    /// Which step it uses.
    pub step_id: String,
    /// Digest of the call it is for.
    pub call_digest: Vec<u8>,
    /// The proof that came with the call.
    pub proof_jti: String,
    /// `reserved`, `committed` or `released`.
    pub state: String,
    /// Until when a result is expected.
    pub expires_at: OffsetDateTime,
}

/// A permit about to be given.
pub struct NewPermit<'a> {
    /// The intent.
    pub intent_id: Uuid,
    /// Its id.
    pub permit_id: Uuid,
    /// Which step it uses.
    pub step_id: &'a str,
    /// The resource server.
    pub client_id: &'a str,
    /// The resource server's id of the call: a repeat gets the same answer.
    pub call_id: &'a str,
    /// Digest of the call.
    pub call_digest: &'a [u8],
    /// The proof that came with the call.
    pub proof_jti: &'a str,
    /// Until when a result is expected.
    pub expires_at: OffsetDateTime,
}

/// How often a step was used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Uses, reserved or committed.
    pub uses: u64,
    /// Committed uses.
    pub committed: u64,
}

/// Uses of each step of an intent so far, by step id.
pub async fn uses(conn: &mut PgConnection, intent_id: Uuid) -> Result<BTreeMap<String, Used>, StoreError> {
    let rows = sqlx::query!(
        "select step_id, used, (
             select count(*) from permits p
             where p.intent_id = u.intent_id and p.step_id = u.step_id and p.state = 'committed'
         ) as \"committed!\"
         from uses u where u.intent_id = $1",
        intent_id
    )
    .fetch_all(conn)
    .await?;
    let used = rows
        .into_iter()
        .map(|row| (row.step_id, Used { uses: row.used.unsigned_abs(), committed: row.committed.unsigned_abs() }));
    Ok(used.collect())
}

/// Holds other evaluations of the same intent until the transaction ends.
pub async fn lock_ledger(conn: &mut PgConnection, intent_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 5)) as locked", intent_id.to_string())
        .fetch_one(conn)
        .await
        .map(drop)
}

/// Counts one more use of a step, unless it was used as often as allowed: false.
pub async fn reserve_use(
    conn: &mut PgConnection,
    intent_id: Uuid,
    step_id: &str,
    allowed: u64,
) -> Result<bool, StoreError> {
    let counted = sqlx::query!(
        "insert into uses as u (intent_id, step_id, used) values ($1, $2, 1)
         on conflict on constraint uses_pkey do update set used = u.used + 1 where u.used < $3",
        intent_id,
        step_id,
        i64::try_from(allowed).unwrap_or(i64::MAX)
    )
    .execute(conn)
    .await?;
    Ok(counted.rows_affected() == 1)
}

/// Gives back one use of a step.
pub async fn release_use(conn: &mut PgConnection, intent_id: Uuid, step_id: &str) -> Result<(), StoreError> {
    sqlx::query!("update uses set used = used - 1 where intent_id = $1 and step_id = $2", intent_id, step_id)
        .execute(conn)
        .await
        .map(drop)
}

/// Keeps a permit, reserved.
pub async fn insert(conn: &mut PgConnection, permit: &NewPermit<'_>, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into permits (intent_id, permit_id, step_id, client_id, call_id, call_digest, proof_jti, state,
             reserved_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'reserved', $8, $9)",
        permit.intent_id,
        permit.permit_id,
        permit.step_id,
        permit.client_id,
        permit.call_id,
        permit.call_digest,
        permit.proof_jti,
        now,
        permit.expires_at
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Holds other requests with the same call id until the transaction ends.
pub async fn lock_call(
    conn: &mut PgConnection,
    intent_id: Uuid,
    client_id: &str,
    call_id: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1::text || chr(10) || $2 || chr(10) || $3, 3)) as locked",
        intent_id.to_string(),
        client_id,
        call_id
    )
    .fetch_one(conn)
    .await
    .map(drop)
}

/// The permit that a resource server was given for a call id.
pub async fn find_by_call(
    conn: &mut PgConnection,
    intent_id: Uuid,
    client_id: &str,
    call_id: &str,
) -> Result<Option<Permit>, StoreError> {
    sqlx::query_as!(
        Permit,
        "select permit_id, step_id, call_digest, proof_jti, state, expires_at from permits
         where intent_id = $1 and client_id = $2 and call_id = $3",
        intent_id,
        client_id,
        call_id
    )
    .fetch_optional(conn)
    .await
}

/// A resource server's own permit, locked.
pub async fn lock(
    conn: &mut PgConnection,
    intent_id: Uuid,
    permit_id: Uuid,
    client_id: &str,
) -> Result<Option<Permit>, StoreError> {
    sqlx::query_as!(
        Permit,
        "select permit_id, step_id, call_digest, proof_jti, state, expires_at from permits
         where intent_id = $1 and permit_id = $2 and client_id = $3 for update",
        intent_id,
        permit_id,
        client_id
    )
    .fetch_optional(conn)
    .await
}

/// Settles a reserved permit.
pub async fn settle(
    conn: &mut PgConnection,
    intent_id: Uuid,
    permit_id: Uuid,
    state: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update permits set state = $3, settled_at = $4 where intent_id = $1 and permit_id = $2",
        intent_id,
        permit_id,
        state,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}
