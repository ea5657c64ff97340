//! Submission: an authenticated agent hands in its whole plan.
//!
//! 1. The same submission again answers what it answered before.
//! 2. Read strictly.
//! 3. Admission: an agent of the realm, which may ask this user, few plans waiting, delegates that exist.
//! 4. Complete it with the newest catalogs, and keep it, pending ([`pending_plan`](super::pending_plan)).

use super::authenticate_client::AuthenticatedClient;
use super::error::bad_input;
use super::pending_plan::{Agent, NewestCatalogs, PENDING, PendingPlan, approval_uri};
use super::prove_user::{Hint, UserProof, may_ask};
use super::{Context, FlowError, OAuthError, Refusal};
use crate::{random, store};
use marque_core::canonical::Digest;
use marque_core::plan::{StartedBy, SubmittedPlan};
use marque_core::reason::Reason;
use marque_core::{json, limits, names};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use time::Duration;
use uuid::Uuid;

/// Plans of one agent that may wait for one user at a time.
const PENDING_PLANS: i64 = 32;
/// Bytes around the plan in `authorization_details`.
const DETAILS_BYTES: usize = limits::PLAN_BYTES + 1024;

/// What an agent hands in.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// The form parameter `authorization_details`.
    pub authorization_details: &'a str,
    /// The header `Idempotency-Key`.
    pub idempotency_key: Option<&'a str>,
    /// What it sends about the user.
    pub hint: Option<Hint<'a>>,
    /// What it sends besides where it speaks CIBA.
    pub backchannel: Option<Backchannel<'a>>,
}

/// What a backchannel authentication request (CIBA §7.1) says besides plan and user.
#[derive(Clone, Copy, Debug)]
pub struct Backchannel<'a> {
    /// `binding_message`: the plan's purpose or nothing, since the page shows nothing else in the agent's words.
    pub binding_message: Option<&'a str>,
    /// `requested_expiry`: how long the person may take.
    pub requested_expiry: Option<Duration>,
}

/// What the agent is answered.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The intent.
    pub intent_id: Uuid,
    /// Digest of the resolved plan.
    pub plan_digest: Digest,
    /// Where the person decides.
    pub approval_uri: String,
    /// Seconds until the person can no longer decide.
    pub expires_in: i64,
    /// Seconds between two polls.
    pub interval: i64,
    /// `auth_req_id`, where the agent speaks CIBA.
    pub auth_req_id: Option<String>,
}

/// A plan that is taken in, on its way to the store.
struct Accepted {
    plan: PendingPlan,
    proof: Option<UserProof>,
    auth_req_id: Option<String>,
}

/// Takes in a plan.
///
/// # Errors
/// `invalid_authorization_details` with the path of the offence, `access_denied` if the agent may not ask this user.
pub async fn submit_plan(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    submission: &Submission<'_>,
) -> Result<Submitted, FlowError> {
    let request = digest_of(client, submission);
    if let Some(key) = submission.idempotency_key {
        check_idempotency_key(key)?;
        if let Some(answer) = find_earlier(cx, client, key, request).await? {
            return Ok(answer);
        }
    }
    let plan = read(submission.authorization_details)?;
    expect_shown(submission.backchannel, &plan)?;
    let proof = admit(cx, client, &plan, submission.hint).await?;
    let catalogs = NewestCatalogs::of(cx, plan.steps.iter().map(|step| step.location.as_str())).await?;
    let agent = Agent { client_id: client.client_id(), cnf: &client.cnf, started_by: started_by(proof.as_ref()) };
    let backchannel = submission.backchannel;
    let pending = backchannel.and_then(|request| request.requested_expiry).map_or(PENDING, |asked| asked.min(PENDING));
    let accepted = Accepted {
        plan: PendingPlan::complete(cx, plan, &agent, catalogs, pending)?,
        proof,
        auth_req_id: backchannel.map(|_| random::secret()).transpose()?,
    };
    keep(cx, client, submission.idempotency_key.map(|key| (key, request)), accepted).await
}

/// What a repeated submission must have in common with the first. A fresh proof of the user may replace an old one.
fn digest_of(client: &AuthenticatedClient, submission: &Submission<'_>) -> Digest {
    let mut text = format!("{}\n{}", client.jkt, submission.authorization_details);
    if let Some(Backchannel { binding_message, requested_expiry }) = submission.backchannel {
        let expiry = requested_expiry.map_or(0, Duration::whole_seconds);
        text += &format!("\nbackchannel\n{expiry}\n{}", binding_message.unwrap_or_default());
    }
    Digest::of(text.as_bytes())
}

/// The page shows the plan's purpose as the agent's unchecked words; a message that it would not show is refused.
fn expect_shown(backchannel: Option<Backchannel<'_>>, plan: &SubmittedPlan) -> Result<(), Refusal> {
    match backchannel.and_then(|request| request.binding_message) {
        Some(message) if message != plan.purpose => {
            let text =
                "binding_message must be the plan's purpose or left out: the page shows no other text of the agent";
            Err(Refusal::new(OAuthError::InvalidBindingMessage, text))
        }
        _ => Ok(()),
    }
}

fn check_idempotency_key(key: &str) -> Result<(), Refusal> {
    if limits::is_single_use_id(key) {
        return Ok(());
    }
    Err(Refusal::new(OAuthError::InvalidRequest, "Idempotency-Key must be 1 to 512 printable ASCII characters"))
}

/// One `authorization_details` object, whose type is still to be compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    #[serde(rename = "type")]
    kind: String,
    plan: SubmittedPlan,
}

/// One `authorization_details` object of our type, and its plan.
fn read(details: &str) -> Result<SubmittedPlan, Refusal> {
    match json::read_once::<[Detail; 1]>(details.as_bytes(), DETAILS_BYTES) {
        Some(([Detail { kind, plan }], _)) if kind == names::DETAIL_PLAN => plan
            .checked()
            .map_err(|error| bad_input(OAuthError::InvalidAuthorizationDetails, &error).because(Reason::PlanInvalid)),
        _ => read_step_by_step(details),
    }
}

/// [`read`] for what has something wrong: tells what and where.
fn read_step_by_step(details: &str) -> Result<SubmittedPlan, Refusal> {
    let refused = |refused: &json::Refused| bad_input(OAuthError::InvalidAuthorizationDetails, refused);
    let value = json::parse_plan(details.as_bytes(), DETAILS_BYTES)
        .map_err(|error| refused(&error).because(Reason::PlanInvalid))?;
    let Value::Array(mut list) = value else {
        return Err(
            Refusal::new(OAuthError::InvalidAuthorizationDetails, "$: is not an array").because(Reason::PlanInvalid)
        );
    };
    let shape = || {
        let text = format!("$: must hold exactly one object {{\"type\":\"{}\",\"plan\":{{…}}}}", names::DETAIL_PLAN);
        Refusal::new(OAuthError::InvalidAuthorizationDetails, text).because(Reason::PlanInvalid)
    };
    let (Some(Value::Object(mut detail)), true) = (list.pop(), list.is_empty()) else { return Err(shape()) };
    let (kind, plan) = (detail.remove("type"), detail.remove("plan"));
    match (kind.as_ref().and_then(Value::as_str), plan, detail.is_empty()) {
        (Some(names::DETAIL_PLAN), Some(plan), true) => {
            SubmittedPlan::from_value(plan).map_err(|error| refused(&error).because(Reason::PlanInvalid))
        }
        _ => Err(shape()),
    }
}

async fn admit(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    plan: &SubmittedPlan,
    hint: Option<Hint<'_>>,
) -> Result<Option<UserProof>, FlowError> {
    if !client.record.is_kind("agent") {
        let text = "the client is no agent (attribute marque.kind=agent)";
        return Err(Refusal::new(OAuthError::UnauthorizedClient, text).because(Reason::AgentInactive).into());
    }
    let proof = may_ask(cx, client, &plan.user, hint).await?;
    for (index, delegate) in plan.delegates.iter().enumerate() {
        let found = cx.realm.directory.find_client(&cx.realm.keycloak, &delegate.client_id).await?;
        if !found.is_some_and(|record| record.enabled && record.is_kind("agent")) {
            let text = format!("$.delegates[{index}].client_id: is no enabled agent of this realm");
            return Err(Refusal::new(OAuthError::InvalidAuthorizationDetails, text)
                .because(Reason::PlanInvalid)
                .into());
        }
    }
    Ok(proof)
}

async fn keep(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    idempotency: Option<(&str, Digest)>,
    accepted: Accepted,
) -> Result<Submitted, FlowError> {
    let now = cx.app.clock.now();
    let (realm, client_id) = (cx.realm_name(), client.client_id());
    let intent = accepted.plan.intent(now)?;
    let mut tx = cx.app.db.begin().await?;
    store::intents::lock_agent(&mut tx, realm, client_id).await?;
    if let Some((key, request)) = idempotency
        && let Some(earlier) = find_submission(&mut tx, cx, client_id, key, request).await?
    {
        return Ok(earlier);
    }
    let (username, sub) = (intent.username, intent.sub);
    if store::intents::count_pending(&mut tx, realm, client_id, username, sub, now).await? >= PENDING_PLANS {
        let text = format!("{PENDING_PLANS} plans of this agent wait for this user: she decides or they end first");
        return Err(Refusal::new(OAuthError::AccessDenied, text).because(Reason::TooManyPending).into());
    }
    if let Some(proof) = &accepted.proof {
        proof.use_once(cx, &mut tx).await?;
    }
    store::intents::insert(&mut tx, realm, &intent, now).await?;
    if let Some(auth_req_id) = &accepted.auth_req_id {
        store::auth_requests::insert(&mut tx, realm, auth_req_id, intent.intent_id).await?;
    }
    if let Some((key, request)) = idempotency {
        let sha256 = request.as_bytes();
        store::intents::insert_submission(&mut tx, realm, client_id, key, sha256, intent.intent_id, now).await?;
    }
    tx.commit().await?;
    Ok(Submitted {
        intent_id: intent.intent_id,
        plan_digest: accepted.plan.digest(),
        approval_uri: approval_uri(cx, intent.intent_id),
        expires_in: (intent.pending_until - now).whole_seconds(),
        interval: i64::from(intent.poll_interval_secs),
        auth_req_id: accepted.auth_req_id,
    })
}

async fn find_earlier(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    key: &str,
    request: Digest,
) -> Result<Option<Submitted>, FlowError> {
    let mut conn = cx.app.db.look().await?;
    find_submission(&mut conn, cx, client.client_id(), key, request).await
}

async fn find_submission(
    conn: &mut PgConnection,
    cx: Context<'_>,
    client_id: &str,
    key: &str,
    request: Digest,
) -> Result<Option<Submitted>, FlowError> {
    let found = store::intents::find_submission(conn, cx.realm_name(), client_id, key).await?;
    let Some((sha256, intent_id)) = found else { return Ok(None) };
    if sha256 != request.as_bytes() {
        let text = "Idempotency-Key was used for another submission: use a new key";
        return Err(Refusal::new(OAuthError::InvalidRequest, text).into());
    }
    let intent = store::intents::find(conn, cx.realm_name(), intent_id).await?;
    let intent = intent.ok_or_else(|| FlowError::internal("a submission without its intent"))?;
    let left = intent.pending_until - cx.app.clock.now();
    Ok(Some(Submitted {
        intent_id,
        plan_digest: store::intents::plan_digest(conn, intent_id).await?,
        approval_uri: approval_uri(cx, intent_id),
        expires_in: left.whole_seconds().max(0),
        interval: i64::from(intent.poll_interval_secs),
        auth_req_id: store::auth_requests::find(conn, intent_id).await?,
    }))
}

/// Who began a plan, as far as it was shown.
fn started_by(proof: Option<&UserProof>) -> StartedBy {
    if proof.is_some_and(UserProof::shows_presence) { StartedBy::User } else { StartedBy::Agent }
}
