//! The ledger: what was counted of an intent, and the permits for it.

use super::StoreError;
use sqlx::PgConnection;
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
    /// How it ended, sealed; nothing as long as nobody told.
    pub outcome: Option<Vec<u8>>,
    /// Until when a result is expected.
    pub expires_at: OffsetDateTime,
}

/// What was counted of an intent, sealed; nothing of one that was never used.
pub async fn counts(conn: &mut PgConnection, intent_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar!("select counts from ledgers where intent_id = $1", intent_id).fetch_optional(conn).await
}

/// [`counts`], held against every other decision and settlement of the intent until the transaction ends.
pub async fn lock_counts(conn: &mut PgConnection, intent_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar!("select counts from ledgers where intent_id = $1 for update", intent_id)
        .fetch_optional(conn)
        .await
}

/// Begins to count, unless somebody else did.
pub async fn begin_counts(conn: &mut PgConnection, intent_id: Uuid, counts: &[u8]) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into ledgers (intent_id, counts) values ($1, $2) on conflict on constraint ledgers_pkey do nothing",
        intent_id,
        counts
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A call that may have had an effect, as it was kept.
pub struct PastPermit {
    /// The permit's id.
    pub permit_id: Uuid,
    /// The step it uses.
    pub step_id: String,
    /// How it ended, sealed; nothing as long as nobody told.
    pub outcome: Option<Vec<u8>>,
    /// The call, sealed, if it was asked for.
    pub call: Option<Vec<u8>>,
    /// Its receipt, sealed, if it was asked for.
    pub receipt: Option<Vec<u8>>,
    /// Bytes of the calls and receipts up to here.
    pub bytes: i64,
}

/// What is looked up of the past.
pub struct Wanted<'w> {
    /// Steps whose calls are looked up.
    pub calls_of: &'w [String],
    /// Steps whose receipts are looked up.
    pub receipts_of: &'w [String],
    /// Rows at most.
    pub rows: i64,
    /// Bytes at most; one row that goes beyond comes with it.
    pub bytes: i64,
}

/// The calls of some steps of an intent that may have had an effect, oldest first, up to a number of rows and bytes.
pub async fn past(
    conn: &mut PgConnection,
    intent_id: Uuid,
    wanted: &Wanted<'_>,
) -> Result<Vec<PastPermit>, StoreError> {
    sqlx::query_as!(
        PastPermit,
        r#"select permit_id as "permit_id!", step_id as "step_id!", outcome, call as "call?", receipt as "receipt?",
             bytes as "bytes!" from (
             select *, (sum(own) over (order by seq))::bigint as bytes from (
                 select *, coalesce(octet_length(call), 0) + coalesce(octet_length(receipt), 0) as own from (
                     select p.seq, p.permit_id, p.step_id, p.outcome, r.receipt,
                         case when p.step_id = any($2) then p.call end as call
                     from permits p left join results r
                         on r.intent_id = p.intent_id and r.permit_id = p.permit_id and p.step_id = any($3)
                     where p.intent_id = $1 and (p.step_id = any($2) or p.step_id = any($3))
                         and p.state <> 'released'
                 ) as wanted
             ) as sized
         ) as past where bytes - own <= $5 order by seq limit $4"#,
        intent_id,
        wanted.calls_of,
        wanted.receipts_of,
        wanted.rows,
        wanted.bytes
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

/// A place in the list of open permits: that of a permit, listed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenPlace {
    /// When it was given.
    pub reserved_at: OffsetDateTime,
    /// Its intent.
    pub intent_id: Uuid,
    /// Its id.
    pub permit_id: Uuid,
}

/// A resource server's own permits whose end nobody has told, oldest first, after a place in the list, up to a number.
pub async fn open(
    conn: &mut PgConnection,
    realm: &str,
    client_id: &str,
    after: OpenPlace,
    limit: i64,
) -> Result<Vec<OpenPermit>, StoreError> {
    sqlx::query_as!(
        OpenPermit,
        "select p.intent_id, permit_id, step_id, seq, call_id, call_digest, p.state, reserved_at
         from permits p join intents i on i.intent_id = p.intent_id and i.realm = $1
         where p.client_id = $2 and p.state in ('reserved', 'unknown')
             and (p.reserved_at, p.intent_id, p.permit_id) > ($4, $5, $6)
         order by p.reserved_at, p.intent_id, p.permit_id limit $3",
        realm,
        client_id,
        limit,
        after.reserved_at,
        after.intent_id,
        after.permit_id
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

/// The permit that a resource server was given for a call id.
pub async fn find_by_call(
    conn: &mut PgConnection,
    intent_id: Uuid,
    client_id: &str,
    call_id: &str,
) -> Result<Option<Permit>, StoreError> {
    sqlx::query_as!(
        Permit,
        "select permit_id, step_id, seq, call_digest, proof_jti as presented, outcome, expires_at from permits
         where intent_id = $1 and client_id = $2 and call_id = $3",
        intent_id,
        client_id,
        call_id
    )
    .fetch_optional(conn)
    .await
}

/// How things stand with an intent and a call of it.
pub struct Standing {
    /// Whether the intent is active, not over and was never revoked, nor the token.
    pub is_active: bool,
    /// Whether the resource server was given a permit for this call id.
    pub has_permit: bool,
}

/// How things stand with an intent and a call of it, by the resource server and its id of the call. Nothing is held.
pub async fn standing(
    conn: &mut PgConnection,
    realm: &str,
    intent_id: Uuid,
    (client_id, call_id): (&str, &str),
    token_id: Uuid,
    now: OffsetDateTime,
) -> Result<Standing, StoreError> {
    sqlx::query_as!(
        Standing,
        r#"select exists (
             select from intents i where i.realm = $1 and i.intent_id = $2 and i.state = 'active' and i.expires_at > $5
                 and not exists (select from revocations r where r.intent_id = i.intent_id)
                 and not exists (select from token_revocations t where t.intent_id = i.intent_id and t.jti = $6)
         ) as "is_active!", exists (
             select from permits where intent_id = $2 and client_id = $3 and call_id = $4
         ) as "has_permit!""#,
        realm,
        intent_id,
        client_id,
        call_id,
        now,
        token_id
    )
    .fetch_one(conn)
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
        "select permit_id, step_id, seq, call_digest, proof_jti as presented, outcome, expires_at from permits
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

/// How a permit ends.
pub struct Ended<'e> {
    /// `committed` or `released`.
    pub state: &'e str,
    /// The same, sealed.
    pub outcome: &'e [u8],
    /// What is counted from now on, sealed.
    pub counts: &'e [u8],
}

/// Settles an open permit. The caller holds the permit and the counts.
pub async fn settle(
    conn: &mut PgConnection,
    intent_id: Uuid,
    permit_id: Uuid,
    ended: &Ended<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with counted as (update ledgers set counts = $6 where intent_id = $1)
         update permits set state = $3, outcome = $5, settled_at = $4 where intent_id = $1 and permit_id = $2",
        intent_id,
        permit_id,
        ended.state,
        now,
        ended.outcome,
        ended.counts
    )
    .execute(conn)
    .await
    .map(drop)
}
