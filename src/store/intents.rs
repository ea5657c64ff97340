//! Intents: submitted plans and where they stand.

use super::{StoreError, in_order};
use marque_core::canonical::Digest;
use marque_core::lifecycle::IntentState;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// Where an intent stands.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Its id.
    pub intent_id: Uuid,
    /// The submitting client.
    pub client_id: String,
    /// The key it submitted with.
    pub jkt: String,
    state: String,
    /// What the person gave as reason for a denial.
    pub denial_reason: Option<String>,
    /// Until when the person can decide.
    pub pending_until: OffsetDateTime,
    /// When the plan ends.
    pub expires_at: OffsetDateTime,
    /// When the agent asked last.
    pub polled_at: Option<OffsetDateTime>,
    /// Seconds that the agent must wait between two polls.
    pub poll_interval_secs: i32,
    /// When the agent first redeemed the approval.
    pub redeemed_at: Option<OffsetDateTime>,
}

impl Intent {
    /// Where it stands. A word that is no state is a revoked intent: rows can only deny.
    pub fn state(&self) -> IntentState {
        IntentState::from_word(&self.state).unwrap_or(IntentState::Revoked)
    }
}

/// What was submitted and resolved.
#[derive(Clone, Debug)]
pub struct Documents {
    /// The resolved plan's canonical bytes.
    pub plan: Vec<u8>,
    /// The catalogs' JWS in the plan's order.
    pub catalogs: Vec<String>,
}

/// A new intent.
pub struct NewIntent<'a> {
    /// Its id.
    pub intent_id: Uuid,
    /// The submitting client.
    pub client_id: &'a str,
    /// The key it submitted with.
    pub jkt: &'a str,
    /// The plan's user, if named by user name.
    pub username: Option<&'a str>,
    /// The plan's user, if named by subject.
    pub sub: Option<&'a str>,
    /// The resolved plan's canonical bytes.
    pub plan: &'a [u8],
    /// The catalogs' JWS in the plan's order.
    pub catalogs: &'a [String],
    /// Until when the person can decide.
    pub pending_until: OffsetDateTime,
    /// When the plan ends.
    pub expires_at: OffsetDateTime,
    /// Seconds that the agent must wait between two polls.
    pub poll_interval_secs: i32,
}

/// Keeps a new intent, pending.
pub async fn insert(
    conn: &mut PgConnection,
    realm: &str,
    intent: &NewIntent<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into intents (intent_id, realm, client_id, jkt, username, sub, plan, catalogs, state, submitted_at,
             pending_until, expires_at, poll_interval_secs)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10, $11, $12)",
        intent.intent_id,
        realm,
        intent.client_id,
        intent.jkt,
        intent.username,
        intent.sub,
        intent.plan,
        intent.catalogs,
        now,
        intent.pending_until,
        intent.expires_at,
        intent.poll_interval_secs
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Holds other submissions of one agent until the transaction ends.
pub async fn lock_agent(conn: &mut PgConnection, realm: &str, client_id: &str) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1 || chr(10) || $2, 2)) as locked", realm, client_id)
        .fetch_one(conn)
        .await
        .map(drop)
}

/// How many plans of an agent wait for a user.
pub async fn count_pending(
    conn: &mut PgConnection,
    realm: &str,
    client_id: &str,
    username: Option<&str>,
    sub: Option<&str>,
    now: OffsetDateTime,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from intents where realm = $1 and client_id = $2 and state = 'pending'
           and pending_until > $3 and username is not distinct from $4 and sub is not distinct from $5"#,
        realm,
        client_id,
        now,
        username,
        sub
    )
    .fetch_one(conn)
    .await
}

/// The intent of an id. One that was ever revoked is revoked, whatever its own row says.
pub async fn find(conn: &mut PgConnection, realm: &str, intent_id: Uuid) -> Result<Option<Intent>, StoreError> {
    sqlx::query_as!(
        Intent,
        r#"select intent_id, client_id, jkt,
             case when exists (select 1 from revocations r where r.intent_id = i.intent_id) then 'revoked'
                 else state end as "state!",
             denial_reason, pending_until, expires_at, polled_at, poll_interval_secs, redeemed_at
         from intents i where realm = $1 and intent_id = $2"#,
        realm,
        intent_id
    )
    .fetch_optional(conn)
    .await
}

/// An intent, and which evidence it has of its approval.
#[derive(Clone, Debug)]
pub struct WithEvidence {
    /// The intent.
    pub intent: Intent,
    /// SHA-256 of the evidence file of its plan.
    pub evidence: Option<Digest>,
}

/// [`find`] for several intents of several realms, by their place, with the digests of their evidence.
pub async fn find_with_evidence(
    conn: &mut PgConnection,
    asked: &[(String, Uuid)],
) -> Result<Vec<Option<WithEvidence>>, StoreError> {
    let (realms, intents): (Vec<String>, Vec<Uuid>) = asked.iter().cloned().unzip();
    let rows = sqlx::query!(
        r#"select a.place as "place!", i.client_id, i.jkt, i.state as "state!", i.denial_reason, i.pending_until,
             i.expires_at, i.polled_at, i.poll_interval_secs, i.redeemed_at, e.evidence_sha256 as "evidence?"
         from unnest($1::text[], $2::uuid[]) with ordinality as a(realm, intent_id, place)
         cross join lateral (
             select client_id, jkt, denial_reason, pending_until, expires_at, polled_at, poll_interval_secs, redeemed_at,
                 case when exists (select from revocations r where r.intent_id = o.intent_id) then 'revoked'
                     else state end as state
             from intents o where o.intent_id = a.intent_id and o.realm = a.realm limit 1
         ) i
         left join lateral (
             select evidence_sha256 from approvals p
             where p.intent_id = a.intent_id and p.step_up_id is null and i.state in ('approved', 'active') limit 1
         ) e on true"#,
        &realms,
        &intents
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().filter_map(|row| {
        let at = usize::try_from(row.place - 1).ok()?;
        let intent = Intent {
            intent_id: *intents.get(at)?,
            client_id: row.client_id,
            jkt: row.jkt,
            state: row.state,
            denial_reason: row.denial_reason,
            pending_until: row.pending_until,
            expires_at: row.expires_at,
            polled_at: row.polled_at,
            poll_interval_secs: row.poll_interval_secs,
            redeemed_at: row.redeemed_at,
        };
        Some((row.place, Some(WithEvidence { intent, evidence: row.evidence.as_deref().and_then(Digest::from_slice) })))
    });
    Ok(in_order(asked.len(), found.collect::<Vec<_>>().into_iter()))
}

/// The plan of an intent alone: its canonical bytes.
pub async fn plan(conn: &mut PgConnection, intent_id: Uuid) -> Result<Vec<u8>, StoreError> {
    sqlx::query_scalar!("select plan from intents where intent_id = $1", intent_id).fetch_one(conn).await
}

/// The digest of an intent's plan.
pub async fn plan_digest(conn: &mut PgConnection, intent_id: Uuid) -> Result<Digest, StoreError> {
    let sha256 =
        sqlx::query_scalar!(r#"select sha256(plan) as "sha256!" from intents where intent_id = $1"#, intent_id)
            .fetch_one(conn)
            .await?;
    Digest::from_slice(&sha256).ok_or_else(|| StoreError::Decode("a digest of another length".into()))
}

/// The documents of an intent.
pub async fn documents(conn: &mut PgConnection, intent_id: Uuid) -> Result<Documents, StoreError> {
    sqlx::query_as!(Documents, "select plan, catalogs from intents where intent_id = $1", intent_id)
        .fetch_one(conn)
        .await
}

/// [`find`], locked against every change until the transaction ends.
pub async fn lock(conn: &mut PgConnection, realm: &str, intent_id: Uuid) -> Result<Option<Intent>, StoreError> {
    take(conn, intent_id).await?;
    sqlx::query_as!(
        Intent,
        r#"select intent_id, client_id, jkt,
             case when exists (select 1 from revocations r where r.intent_id = i.intent_id) then 'revoked'
                 else state end as "state!",
             denial_reason, pending_until, expires_at, polled_at, poll_interval_secs, redeemed_at
         from intents i where realm = $1 and intent_id = $2 for update of i"#,
        realm,
        intent_id
    )
    .fetch_optional(conn)
    .await
}

/// Shares an intent with others until the transaction ends. Who is about to change it waits for those that share it now, and
/// those that come later wait for him: locks of rows alone would let a stream of readers keep a revocation out for ever.
pub async fn share(conn: &mut PgConnection, intent_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock_shared(hashtextextended($1::uuid::text, 7)) as shared", intent_id)
        .fetch_one(conn)
        .await
        .map(drop)
}

/// How an intent is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// With others, against its revocation.
    Shared,
    /// Alone.
    Alone,
}

/// Holds intents until the transaction ends: those for which nobody has to be waited for; see [`share`]. The answers come in the order
/// of the question.
pub async fn try_hold(conn: &mut PgConnection, intents: Vec<Uuid>, hold: Hold) -> Result<BTreeSet<Uuid>, StoreError> {
    let held: Vec<bool> = sqlx::query_scalar!(
        r#"select case when $2 then pg_try_advisory_xact_lock_shared(key) else pg_try_advisory_xact_lock(key) end as "held!"
         from (select hashtextextended(a.id::text, 7) as key, a.place
             from unnest($1::uuid[]) with ordinality as a(id, place)) keys order by place"#,
        &intents,
        hold == Hold::Shared
    )
    .fetch_all(conn)
    .await?;
    Ok(intents.into_iter().zip(held).filter_map(|(intent_id, held)| held.then_some(intent_id)).collect())
}

/// Has an intent alone until the transaction ends; see [`share`].
async fn take(conn: &mut PgConnection, intent_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 7)) as taken", intent_id)
        .fetch_one(conn)
        .await
        .map(drop)
}

/// The intent of an id if it is active, not over and was never revoked, locked against its revocation.
pub async fn lock_active(
    conn: &mut PgConnection,
    realm: &str,
    intent_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    share(conn, intent_id).await?;
    let found = sqlx::query!(
        "select intent_id from intents i where realm = $1 and intent_id = $2 and state = 'active' and expires_at > $3
             and not exists (select 1 from revocations r where r.intent_id = i.intent_id)
         for share of i",
        realm,
        intent_id,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// A user by one of her names at the realm; the two kinds of names never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserKey<'u> {
    /// Her subject identifier.
    Sub(&'u str),
    /// Her user name.
    Username(&'u str),
}

/// The newest intents that are active, not over and never revoked, whose plan holds a text: of the one user who approved
/// them, or of all. Rows may only leave some out; what an intent permits, and whose it is, is read from its evidence.
pub async fn find_live(
    conn: &mut PgConnection,
    realm: &str,
    user: Option<UserKey<'_>>,
    text: &[u8],
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let (sub, username) = match user {
        Some(UserKey::Sub(sub)) => (Some(sub), None),
        Some(UserKey::Username(username)) => (None, Some(username)),
        None => (None, None),
    };
    sqlx::query_scalar!(
        "select intent_id from intents i
         where realm = $1 and state = 'active' and ($2::text is null or approver_sub = $2)
             and ($3::text is null or approver_username = $3)
             and position($4::bytea in plan) > 0 and expires_at > $5
             and not exists (select 1 from revocations r where r.intent_id = i.intent_id)
         order by submitted_at desc limit $6",
        realm,
        sub,
        username,
        text,
        now,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Notes who approved a locked intent, for [`find_live`].
pub async fn note_approver(
    conn: &mut PgConnection,
    intent_id: Uuid,
    sub: &str,
    username: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update intents set approver_sub = $2, approver_username = $3 where intent_id = $1",
        intent_id,
        sub,
        username
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Moves a locked intent to its next state.
pub async fn set_state(
    conn: &mut PgConnection,
    intent_id: Uuid,
    state: IntentState,
    denial_reason: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update intents set state = $2, denial_reason = $3,
             redeemed_at = case when $2 = 'active' then $4 else redeemed_at end,
             revoked_at = case when $2 = 'revoked' then $4 else revoked_at end
         where intent_id = $1",
        intent_id,
        state.word(),
        denial_reason,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Notes a poll of a locked intent, and how long the agent must now wait.
pub async fn note_poll(
    conn: &mut PgConnection,
    intent_id: Uuid,
    interval_secs: i32,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update intents set polled_at = $2, poll_interval_secs = $3 where intent_id = $1",
        intent_id,
        now,
        interval_secs
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The earlier answer to a submission with an idempotency key: the request's digest and its intent.
pub async fn find_submission(
    conn: &mut PgConnection,
    realm: &str,
    client_id: &str,
    idempotency_key: &str,
) -> Result<Option<(Vec<u8>, Uuid)>, StoreError> {
    let found = sqlx::query!(
        "select request_sha256, intent_id from submissions
         where realm = $1 and client_id = $2 and idempotency_key = $3",
        realm,
        client_id,
        idempotency_key
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|row| (row.request_sha256, row.intent_id)))
}

/// Keeps the answer to a submission with an idempotency key.
pub async fn insert_submission(
    conn: &mut PgConnection,
    realm: &str,
    client_id: &str,
    idempotency_key: &str,
    request_sha256: &[u8],
    intent_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into submissions (realm, client_id, idempotency_key, request_sha256, intent_id, submitted_at)
         values ($1, $2, $3, $4, $5, $6)",
        realm,
        client_id,
        idempotency_key,
        request_sha256,
        intent_id,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}
