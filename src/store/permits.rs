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
    /// Its number among the intent's permits; none for permits of earlier versions.
    pub seq: Option<i64>,
    /// Digest of the call it is for.
    pub call_digest: Vec<u8>,
    /// Digest of what the call came with.
    pub presented: String,
    /// `reserved`, `committed`, `released` or `unknown`.
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
    /// The call, sealed.
    pub call: &'a [u8],
    /// Digest of what the call came with.
    pub presented: &'a str,
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

/// Keeps a permit, reserved. Returns its number. The caller holds the ledger's lock.
pub async fn insert(conn: &mut PgConnection, permit: &NewPermit<'_>, now: OffsetDateTime) -> Result<u64, StoreError> {
    let seq = sqlx::query_scalar!(
        "insert into permits (intent_id, permit_id, step_id, client_id, call_id, call_digest, proof_jti, state,
             reserved_at, expires_at, call, seq)
         values ($1, $2, $3, $4, $5, $6, $7, 'reserved', $8, $9, $10,
             (select coalesce(max(seq), 0) + 1 from permits where intent_id = $1))
         returning seq as \"seq!\"",
        permit.intent_id,
        permit.permit_id,
        permit.step_id,
        permit.client_id,
        permit.call_id,
        permit.call_digest,
        permit.presented,
        now,
        permit.expires_at,
        permit.call
    )
    .fetch_one(conn)
    .await?;
    Ok(seq.unsigned_abs())
}

/// A call that may have had an effect, as it was kept.
pub struct PastPermit {
    /// The permit's id.
    pub permit_id: Uuid,
    /// The step it uses.
    pub step_id: String,
    /// `reserved`, `committed` or `unknown`.
    pub state: String,
    /// The call, sealed.
    pub call: Option<Vec<u8>>,
    /// Its receipt, sealed.
    pub receipt: Option<Vec<u8>>,
}

/// The calls of some steps of an intent that may have had an effect, oldest first.
pub async fn past(conn: &mut PgConnection, intent_id: Uuid, steps: &[String]) -> Result<Vec<PastPermit>, StoreError> {
    sqlx::query_as!(
        PastPermit,
        "select p.permit_id, p.step_id, p.state, p.call, r.receipt as \"receipt?\"
         from permits p left join results r using (intent_id, permit_id)
         where p.intent_id = $1 and p.step_id = any($2) and p.state <> 'released' order by p.seq",
        intent_id,
        steps
    )
    .fetch_all(conn)
    .await
}

/// A permit whose end nobody has told.
pub struct OpenPermit {
    /// The intent.
    pub intent_id: Uuid,
    /// The permit's id.
    pub permit_id: Uuid,
    /// The step it uses.
    pub step_id: String,
    /// Its number among the intent's permits; none for permits of earlier versions.
    pub seq: Option<i64>,
    /// The resource server's id of the call.
    pub call_id: String,
    /// Digest of the call.
    pub call_digest: Vec<u8>,
    /// `reserved` or `unknown`.
    pub state: String,
    /// When it was given.
    pub reserved_at: OffsetDateTime,
}

/// A resource server's own permits whose end nobody has told, oldest first, up to a number.
pub async fn open(
    conn: &mut PgConnection,
    realm: &str,
    client_id: &str,
    limit: i64,
) -> Result<Vec<OpenPermit>, StoreError> {
    sqlx::query_as!(
        OpenPermit,
        "select p.intent_id, permit_id, step_id, seq, call_id, call_digest, p.state, reserved_at
         from permits p join intents i on i.intent_id = p.intent_id and i.realm = $1
         where p.client_id = $2 and p.state in ('reserved', 'unknown') order by reserved_at limit $3",
        realm,
        client_id,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Marks the reservations that nobody settled in time.
pub async fn mark_unknown(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64, StoreError> {
    let marked =
        sqlx::query!("update permits set state = 'unknown' where state = 'reserved' and expires_at <= $1", now)
            .execute(conn)
            .await?;
    Ok(marked.rows_affected())
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
        "select permit_id, step_id, seq, call_digest, proof_jti as presented, state, expires_at from permits
         where intent_id = $1 and client_id = $2 and call_id = $3",
        intent_id,
        client_id,
        call_id
    )
    .fetch_optional(conn)
    .await
}

/// A resource server's own permit, locked. Client ids mean something within their realm only.
pub async fn lock(
    conn: &mut PgConnection,
    realm: &str,
    intent_id: Uuid,
    permit_id: Uuid,
    client_id: &str,
) -> Result<Option<Permit>, StoreError> {
    sqlx::query_as!(
        Permit,
        "select permit_id, step_id, seq, call_digest, proof_jti as presented, state, expires_at from permits
         where intent_id = $1 and permit_id = $2 and client_id = $3
             and exists (select 1 from intents i where i.intent_id = $1 and i.realm = $4)
         for update",
        intent_id,
        permit_id,
        client_id,
        realm
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
