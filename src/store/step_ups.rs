//! Step-ups: calls that a person is asked about, her approvals, and their one use each.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A step-up's row.
#[derive(Clone, Debug)]
pub struct StepUpRow {
    /// Its id.
    pub step_up_id: Uuid,
    /// The intent whose step the call uses.
    pub intent_id: Uuid,
    /// Who presented the call.
    pub client_id: String,
    /// With which key.
    pub jkt: String,
    /// The document's canonical bytes.
    pub document: Vec<u8>,
    /// The JWS of the catalog that it is shown with, if there is one.
    pub catalog: Option<String>,
    /// `pending`, `approved` or `denied`.
    pub state: String,
    /// What the person gave as reason for a denial.
    pub denial_reason: Option<String>,
    /// Until when the person can decide.
    pub pending_until: OffsetDateTime,
    /// Until when an approved call may be made.
    pub expires_at: OffsetDateTime,
    /// When the client asked last.
    pub polled_at: Option<OffsetDateTime>,
    /// Seconds that the client must wait between two polls.
    pub poll_interval_secs: i32,
    /// Whether the approval was used.
    pub is_used: bool,
}

/// A new step-up.
pub struct NewStepUp<'a> {
    /// Its id.
    pub step_up_id: Uuid,
    /// The intent.
    pub intent_id: Uuid,
    /// The step.
    pub step_id: &'a str,
    /// Who presented the call.
    pub client_id: &'a str,
    /// With which key.
    pub jkt: &'a str,
    /// The call and its resource server.
    pub approval: &'a [u8],
    /// The document's canonical bytes.
    pub document: &'a [u8],
    /// The catalog's JWS, if there is one.
    pub catalog: Option<&'a str>,
    /// Until when the person can decide.
    pub pending_until: OffsetDateTime,
    /// Until when an approved call may be made.
    pub expires_at: OffsetDateTime,
    /// Seconds between two polls.
    pub poll_interval_secs: i32,
}

/// Keeps a new step-up, pending.
pub async fn insert(
    conn: &mut PgConnection,
    realm: &str,
    step_up: &NewStepUp<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into step_ups (step_up_id, realm, intent_id, step_id, client_id, jkt, approval, document, catalog,
             state, requested_at, pending_until, expires_at, poll_interval_secs)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, $12, $13)",
        step_up.step_up_id,
        realm,
        step_up.intent_id,
        step_up.step_id,
        step_up.client_id,
        step_up.jkt,
        step_up.approval,
        step_up.document,
        step_up.catalog,
        now,
        step_up.pending_until,
        step_up.expires_at,
        step_up.poll_interval_secs
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The step-up of an id.
pub async fn find(conn: &mut PgConnection, realm: &str, step_up_id: Uuid) -> Result<Option<StepUpRow>, StoreError> {
    sqlx::query_as!(
        StepUpRow,
        r#"select step_up_id, intent_id, client_id, jkt, document, catalog, state, denial_reason, pending_until,
             expires_at, polled_at, poll_interval_secs,
             exists (select 1 from step_up_uses u where u.step_up_id = s.step_up_id) as "is_used!"
         from step_ups s where realm = $1 and step_up_id = $2"#,
        realm,
        step_up_id
    )
    .fetch_optional(conn)
    .await
}

/// [`find`], locked against every change until the transaction ends.
pub async fn lock(conn: &mut PgConnection, realm: &str, step_up_id: Uuid) -> Result<Option<StepUpRow>, StoreError> {
    sqlx::query!("select step_up_id from step_ups where realm = $1 and step_up_id = $2 for update", realm, step_up_id)
        .fetch_optional(&mut *conn)
        .await?;
    find(conn, realm, step_up_id).await
}

/// A step-up that waits for a person's decision.
pub struct Pending {
    /// Its id.
    pub step_up_id: Uuid,
    /// The step of the call.
    pub step_id: String,
    /// The document's canonical bytes: those of one call may differ in the records that they show.
    pub document: Vec<u8>,
}

/// The step-ups that wait for a person's decision on one call of one presenter.
pub async fn pending(
    conn: &mut PgConnection,
    intent_id: Uuid,
    jkt: &str,
    approval: &[u8],
    now: OffsetDateTime,
) -> Result<Vec<Pending>, StoreError> {
    sqlx::query_as!(
        Pending,
        "select step_up_id, step_id, document from step_ups where intent_id = $1 and jkt = $2 and approval = $3
             and state = 'pending' and pending_until > $4
         order by requested_at",
        intent_id,
        jkt,
        approval,
        now
    )
    .fetch_all(conn)
    .await
}

/// How often a person was asked about calls of an intent, one step-up left out.
pub async fn count_others(conn: &mut PgConnection, intent_id: Uuid, left_out: Option<Uuid>) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from step_ups where intent_id = $1 and step_up_id is distinct from $2"#,
        intent_id,
        left_out
    )
    .fetch_one(conn)
    .await?;
    Ok(count.unsigned_abs())
}

/// Moves a locked step-up to its decided state.
pub async fn set_state(
    conn: &mut PgConnection,
    step_up_id: Uuid,
    state: &str,
    denial_reason: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update step_ups set state = $2, denial_reason = $3 where step_up_id = $1",
        step_up_id,
        state,
        denial_reason
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Notes a poll of a locked step-up, and how long its client must now wait.
pub async fn note_poll(
    conn: &mut PgConnection,
    step_up_id: Uuid,
    interval_secs: i32,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update step_ups set polled_at = $2, poll_interval_secs = $3 where step_up_id = $1",
        step_up_id,
        now,
        interval_secs
    )
    .execute(conn)
    .await
    .map(drop)
}

/// An approval that was not used yet.
pub struct Unused {
    /// The step-up.
    pub step_up_id: Uuid,
    /// The step of the call.
    pub step_id: String,
    /// Its evidence.
    pub evidence: Vec<u8>,
}

/// The approvals of one call of one presenter that were not used yet.
pub async fn unused(
    conn: &mut PgConnection,
    intent_id: Uuid,
    jkt: &str,
    approval: &[u8],
    now: OffsetDateTime,
) -> Result<Vec<Unused>, StoreError> {
    sqlx::query_as!(
        Unused,
        "select s.step_up_id, s.step_id, a.evidence from step_ups s join approvals a on a.step_up_id = s.step_up_id
         where s.intent_id = $1 and s.jkt = $2 and s.approval = $3 and s.state = 'approved' and s.expires_at > $4
             and not exists (select 1 from step_up_uses u where u.step_up_id = s.step_up_id)
         order by s.requested_at",
        intent_id,
        jkt,
        approval,
        now
    )
    .fetch_all(conn)
    .await
}

/// Uses an approval up: false if it was used before.
pub async fn use_up(
    conn: &mut PgConnection,
    step_up_id: Uuid,
    permit_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let used = sqlx::query!(
        "insert into step_up_uses (step_up_id, permit_id, used_at) values ($1, $2, $3)
         on conflict on constraint step_up_uses_pkey do nothing",
        step_up_id,
        permit_id,
        now
    )
    .execute(conn)
    .await?;
    Ok(used.rows_affected() == 1)
}
