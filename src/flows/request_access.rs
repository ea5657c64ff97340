//! An access request: a resource server asks for a call that was denied, and the person for whom the agent acts decides.
//!
//! [`request_access`]:
//! 1. The binding token is Marque's own, for this resource server, of now, and for exactly this call of this agent.
//! 2. It is used once; the very same request under the same `Idempotency-Key` is answered what it was answered before.
//! 3. The plan that the call goes beyond is active and no addition itself, its evidence names this agent and key, and it still refuses
//!    the call.
//! 4. What is asked for becomes a plan of its own: this one call, once, for the same person, agent and key, ending when the
//!    other plan ends. What was approved before stays as it is, with all its counts: nothing of it is in the new plan.
//!
//! [`show_request`]: where the request stands. Its approval permits nothing by itself: the agent redeems the new plan, and its
//! next call is decided as every other.

use super::access_request::{Binding, endpoint, is_beyond};
use super::approved_plans::{self, Approved};
use super::authenticate_resource_server::ResourceServer;
use super::pending_plan::{Agent, NewestCatalogs, PENDING, PendingPlan, approval_uri};
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::store::access_requests::AccessRequest;
use crate::{random, store};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::lifecycle::IntentState;
use marque_core::plan::{StartedBy, SubmittedPlan};
use marque_core::reason::Reason;
use marque_core::{json, jws, limits, names};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Requests beyond one plan that may wait for the person at a time: each is one more question to her.
const WAITING: i64 = 3;
/// Requests beyond one plan in all: who needs more submits a plan that says so.
const ALL: i64 = 20;
/// The only step of a plan that was asked for so.
const STEP: &str = "beyond";

/// What a resource server asks for.
#[derive(Clone, Debug)]
pub struct Requested {
    /// `subject.id`: the agent whose call was denied.
    pub agent: String,
    /// The call.
    pub call: Call,
    /// `denial.binding_token`.
    pub binding_token: Option<String>,
    /// `denial.expires_at`.
    pub expires_at: Option<String>,
    /// `denial.evaluation_id`.
    pub evaluation_id: Option<String>,
    /// The header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Digest of the whole body.
    pub digest: Digest,
}

/// Why a request is none, as the profile names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// No approval would permit the call.
    NotRequestable,
    /// The denial is too long ago.
    ExpiredDenial,
    /// The request is not for what was denied.
    InvalidDenialBinding,
    /// The key was used for another request.
    DuplicateRequest,
    /// There is no such request, or not for this caller.
    UnknownTask,
    /// It was, and is over.
    TaskExpired,
}

/// Why nothing was asked for.
#[derive(Debug)]
pub enum RequestError {
    /// As the profile names it, with what to change.
    Problem(ProblemKind, String),
    /// As everywhere else.
    Flow(FlowError),
}

impl From<FlowError> for RequestError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

impl From<Refusal> for RequestError {
    fn from(refusal: Refusal) -> Self {
        Self::Flow(refusal.into())
    }
}

impl From<store::StoreError> for RequestError {
    fn from(error: store::StoreError) -> Self {
        Self::Flow(error.into())
    }
}

fn problem(kind: ProblemKind, text: impl Into<String>) -> RequestError {
    RequestError::Problem(kind, text.into())
}

fn unbound(text: &str) -> RequestError {
    problem(ProblemKind::InvalidDenialBinding, text)
}

/// Where a request stands.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id.
    pub request_id: Uuid,
    /// The intent that was asked for: the agent redeems it.
    pub intent_id: Uuid,
    /// `pending`, `approved`, `denied`, `expired` or `cancelled`.
    pub status: &'static str,
    /// Until when the person can decide, or if she approved, when the plan ends.
    pub until: OffsetDateTime,
    /// Digest of the plan.
    pub plan_digest: Digest,
    /// Where the person decides.
    pub approval_uri: String,
    /// Seconds between two polls of the agent.
    pub interval: i64,
}

/// Takes in a request.
///
/// # Errors
/// A problem of the profile; `invalid_target` where the resource server does not answer for the call's location.
pub async fn request_access(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    requested: &Requested,
) -> Result<Task, RequestError> {
    if !resource_server.answers_for(&requested.call.location) {
        let text = "context.location: the client does not answer for it (attribute marque.locations)";
        return Err(Refusal::new(OAuthError::InvalidTarget, text).into());
    }
    if requested.idempotency_key.as_deref().is_some_and(|key| !limits::is_single_use_id(key)) {
        let text = "Idempotency-Key must be 1 to 512 printable ASCII characters";
        return Err(Refusal::new(OAuthError::InvalidRequest, text).into());
    }
    let client_id = resource_server.client_id();
    let binding = verify(cx, client_id, requested)?;
    let mut conn = cx.app.db.look().await?;
    if let Some(earlier) = earlier(cx, &mut conn, (client_id, binding.jti), requested).await? {
        return task(cx, &mut conn, &earlier).await;
    }
    drop(conn);
    if binding.exp <= cx.now_secs() {
        return Err(problem(ProblemKind::ExpiredDenial, "the denial is too long ago: have the agent call again"));
    }
    expect_agent(cx, requested).await?;
    let approved = match approved_plans::approved(cx, binding.intent).await {
        Err(FlowError::Refused(_)) => return Err(not_active()),
        approved => approved?,
    };
    let is_its_plan = binding.plan == approved.plan_digest;
    if !is_its_plan || !is_beyond(cx, &approved, (&requested.agent, &binding.cnf), &requested.call).await? {
        let text = "the plan itself does not refuse this call, or is an addition, beyond which nothing goes: have the agent call \
                    with a token that carries the step, or submit a plan";
        return Err(problem(ProblemKind::NotRequestable, text));
    }
    let catalogs = NewestCatalogs::of(cx, std::iter::once(requested.call.location.as_str())).await?;
    keep(cx, (client_id, binding.jti), requested, (&approved, catalogs)).await
}

/// Where a request of a resource server's own stands.
///
/// # Errors
/// `unknown_task`, alike for what is not there and what is another's; `task_expired` once nothing can come of it any more.
pub async fn show_request(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    request_id: &str,
) -> Result<Task, RequestError> {
    let unknown = || problem(ProblemKind::UnknownTask, "this client has no such request");
    let id = parse_intent_id(request_id).ok_or_else(unknown)?;
    let mut conn = cx.app.db.look().await?;
    let found = store::access_requests::find(&mut conn, cx.realm_name(), id).await?;
    let request = found.filter(|request| request.client_id == resource_server.client_id()).ok_or_else(unknown)?;
    let task = task(cx, &mut conn, &request).await?;
    if task.status == APPROVED && task.until <= cx.app.clock.now() {
        return Err(problem(ProblemKind::TaskExpired, "the plan that was approved is over"));
    }
    Ok(task)
}

/// What the binding token proves of the request. Its time is looked at later: a repeat is answered whenever it comes.
fn verify(cx: Context<'_>, client_id: &str, requested: &Requested) -> Result<Binding, RequestError> {
    let text = "denial.binding_token: is needed, as it came with the denial";
    let token = requested.binding_token.as_deref().ok_or_else(|| unbound(text))?;
    let foreign = || unbound("denial.binding_token: is none that this decision point signed");
    let verified = jws::verify(token, names::TYP_ACCESS_REQUEST, &cx.realm.keyring.public()).map_err(|_| foreign())?;
    let binding: Binding = json::read_claims(&verified.payload).map_err(|_| foreign())?;
    if !binding.is_of(cx, client_id, (&requested.agent, &requested.call)) {
        return Err(unbound("the request is not for the call that was denied, or not by whoever was answered"));
    }
    if requested.expires_at.as_deref() != Some(binding.denial_expires_at.as_str()) {
        return Err(unbound("denial.expires_at: must be the one that came with the denial"));
    }
    let evaluation_id = binding.jti.to_string();
    if requested.evaluation_id.as_ref().is_some_and(|stated| *stated != evaluation_id) {
        return Err(unbound("denial.evaluation_id: is of another evaluation"));
    }
    Ok(binding)
}

/// The earlier request that this one repeats.
async fn earlier(
    cx: Context<'_>,
    conn: &mut PgConnection,
    (client_id, binding_jti): (&str, Uuid),
    requested: &Requested,
) -> Result<Option<AccessRequest>, RequestError> {
    let key = requested.idempotency_key.as_deref();
    let found = store::access_requests::find_earlier(conn, cx.realm_name(), binding_jti, (client_id, key)).await?;
    let is_own = |request: &&AccessRequest| request.client_id == client_id && request.idempotency_key.as_deref() == key;
    if let Some(same_key) = found.iter().filter(|_| key.is_some()).find(is_own) {
        if same_key.request_sha256 == requested.digest.as_bytes() {
            return Ok(Some(same_key.clone()));
        }
        let text = "Idempotency-Key was used for another request: use a new key";
        return Err(problem(ProblemKind::DuplicateRequest, text));
    }
    if found.is_empty() {
        return Ok(None);
    }
    Err(unbound("denial.binding_token: was used before; a repeat has the same Idempotency-Key"))
}

/// The agent is still one that may ask.
async fn expect_agent(cx: Context<'_>, requested: &Requested) -> Result<(), RequestError> {
    let found = cx.realm.directory.find_client(&cx.realm.keycloak, &requested.agent).await.map_err(FlowError::from)?;
    if found.is_some_and(|record| record.enabled && record.is_kind("agent")) {
        return Ok(());
    }
    Err(problem(ProblemKind::NotRequestable, "the agent is no enabled agent of this realm"))
}

fn not_active() -> RequestError {
    problem(ProblemKind::NotRequestable, "the plan that the call goes beyond is not active")
}

/// The plan of this one call, the addition of a number.
fn complete(
    cx: Context<'_>,
    requested: &Requested,
    (approved, catalogs): (&Approved, NewestCatalogs),
    number: i64,
) -> Result<PendingPlan, RequestError> {
    let refused = |text: String| problem(ProblemKind::NotRequestable, text);
    let plan = SubmittedPlan::from_value(plan_of(requested, approved, number))
        .map_err(|error| refused(format!("no plan can hold this call: {error}")))?;
    let cnf = &approved.plan.agent.cnf;
    let agent = Agent { client_id: &requested.agent, cnf, started_by: StartedBy::Agent };
    PendingPlan::complete(cx, plan, &agent, catalogs, PENDING).map_err(|refusal| refused(refusal.description))
}

/// This call once, for the person who approved the other plan, as long as that one lasts. Its purpose names that plan by its
/// digest, so that what is signed covers what it goes beyond.
fn plan_of(requested: &Requested, approved: &Approved, number: i64) -> Value {
    let Requested { agent, call, .. } = requested;
    let limits = &approved.plan.limits;
    let args: Map<String, Value> =
        call.args.iter().map(|(name, value)| (name.clone(), json!({"const": value}))).collect();
    let mut step = json!({
        "id": STEP, "location": call.location, "action": call.action, "resource": call.resource, "args": args,
    });
    if let (Some(environment), Some(step)) = (&call.environment, step.as_object_mut()) {
        step.insert("environment".to_owned(), environment.as_str().into());
    }
    let user = match &approved.plan.user.sub {
        Some(sub) => json!({"sub": sub}),
        None => json!({"username": approved.plan.user.username}),
    };
    let purpose = format!(
        "Addition {} to the plan {} with the digest {}: one more call, which that plan does not permit.",
        number,
        approved.intent_id,
        approved.plan_digest.to_base64()
    );
    json!({
        "version": 1, "purpose": purpose, "agent": agent, "user": user, "mode": "strict",
        "limits": {"expires_at": limits.expires_at, "max_hops": limits.max_hops}, "steps": [step],
    })
}

/// The number of the next request beyond a plan, of which there are only so many.
async fn next_number(conn: &mut PgConnection, parent_id: Uuid, now: OffsetDateTime) -> Result<i64, RequestError> {
    let (all, waiting) = store::access_requests::count(conn, parent_id, now).await?;
    if all < ALL && waiting < WAITING {
        return Ok(all + 1);
    }
    let text =
        format!("{ALL} requests beyond one plan, and {WAITING} at a time: submit a plan that holds what is needed");
    Err(Refusal::new(OAuthError::TooManyRequests, text).because(Reason::TooManyPending).into())
}

/// Counts the request, completes its plan and keeps both, while no other request of the agent does.
async fn keep(
    cx: Context<'_>,
    (client_id, binding_jti): (&str, Uuid),
    requested: &Requested,
    (approved, catalogs): (&Approved, NewestCatalogs),
) -> Result<Task, RequestError> {
    let (now, realm, parent_id) = (cx.app.clock.now(), cx.realm_name(), approved.intent_id);
    let mut tx = cx.app.db.begin().await?;
    store::intents::lock_agent(&mut tx, realm, &requested.agent).await?;
    if let Some(earlier) = earlier(cx, &mut tx, (client_id, binding_jti), requested).await? {
        return task(cx, &mut tx, &earlier).await;
    }
    if !store::intents::lock_active(&mut tx, realm, parent_id, now).await? {
        return Err(not_active());
    }
    let number = next_number(&mut tx, parent_id, now).await?;
    let plan = complete(cx, requested, (approved, catalogs), number)?;
    let intent = plan.intent(now)?;
    let request = AccessRequest {
        request_id: random::id(),
        client_id: client_id.to_owned(),
        binding_jti,
        idempotency_key: requested.idempotency_key.clone(),
        request_sha256: requested.digest.as_bytes().to_vec(),
        parent_id,
        intent_id: intent.intent_id,
    };
    store::intents::insert(&mut tx, realm, &intent, now).await?;
    store::access_requests::insert(&mut tx, realm, &request, now).await.map_err(|error| {
        // Another agent's request came with the same key at the same moment.
        if !store::violates(&error, "access_requests_key") {
            return RequestError::from(FlowError::from(error));
        }
        problem(ProblemKind::DuplicateRequest, "Idempotency-Key was used for another request: use a new key")
    })?;
    let task = task(cx, &mut tx, &request).await?;
    tx.commit().await?;
    tracing::info!(intent = %request.parent_id, beyond = %request.intent_id, "access.requested");
    Ok(task)
}

const APPROVED: &str = "approved";

/// Where a request stands now.
async fn task(cx: Context<'_>, conn: &mut PgConnection, request: &AccessRequest) -> Result<Task, RequestError> {
    let intent = store::intents::find(conn, cx.realm_name(), request.intent_id).await?;
    let intent = intent.ok_or_else(|| FlowError::internal("a request without its intent"))?;
    let plan_digest = store::intents::plan_digest(conn, request.intent_id).await?;
    let (status, until) = match intent.state() {
        IntentState::Pending if cx.app.clock.now() < intent.pending_until => ("pending", intent.pending_until),
        IntentState::Pending => ("expired", intent.pending_until),
        IntentState::Approved | IntentState::Active => (APPROVED, intent.expires_at),
        IntentState::Denied => ("denied", intent.expires_at),
        IntentState::Revoked | IntentState::Suspended => ("cancelled", intent.expires_at),
    };
    Ok(Task {
        request_id: request.request_id,
        intent_id: request.intent_id,
        status,
        until,
        plan_digest,
        approval_uri: approval_uri(cx, request.intent_id),
        interval: i64::from(intent.poll_interval_secs),
    })
}

/// Where a request's standing is shown.
pub fn status_endpoint(cx: Context<'_>, request_id: Uuid) -> String {
    format!("{}/{request_id}", endpoint(cx))
}
