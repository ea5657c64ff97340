//! Step-up: an agent hands in a resource server's challenge for one call, and waits for the person.
//!
//! [`request_step_up`]:
//! 1. The challenge: by a key of the client that answers for the call's location, for this server, of now, for this
//!    client and the key that it proves.
//! 2. The client holds a token of the challenge's call chain, bound to that key; the intent is active; the plan comes
//!    from the evidence.
//! 3. Decide again, with the ledger: exactly this step needs a step-up for exactly this call.
//! 4. The challenge is used once. The same call that waits already is answered with what it was answered before.
//! 5. Keep the document that the person will see.
//!
//! [`poll_step_up`]:
//! 6. Pending: wait, or slow down. Denied or over: say so. Approved: the call may be repeated, once.

use super::approved_plans::load_evidence;
use super::authenticate_client::AuthenticatedClient;
use super::authenticate_resource_server::answers_for;
use super::ledger::Sought;
use super::pending_plan::PRESENTED_BYTES;
use super::use_step_up::{Presenter, step_ups};
use super::verify_evidence::Proven;
use super::verify_step_up::read_catalog;
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::store::step_ups::{NewStepUp, StepUpRow};
use crate::{random, store};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::decide::{Decision, LateValue, decide};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::evidence::Evidence;
use marque_core::jws::{self, JwsError, KeySet};
use marque_core::plan::Agent;
use marque_core::reason::Reason;
use marque_core::recall::Recall;
use marque_core::step_up::challenge::{Challenge, Expected};
use marque_core::step_up::document::{Document, Person, ShownArgument, ShownRecord, ShownResource};
use marque_core::step_up::lines::lines;
use marque_core::timestamp::{self, Timestamp};
use marque_core::{limits, names};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a person has to decide on a call; the client is told when it is over.
const PENDING: Duration = Duration::minutes(5);
/// How long after the request an approved call may still be made.
const GOOD: Duration = Duration::minutes(15);
/// Seconds between two polls, at first.
const POLL_INTERVAL_SECS: i32 = 3;
/// What too early a poll adds to the interval (RFC 8628 §3.5).
const SLOW_DOWN_SECS: i32 = 5;

/// What the client is answered.
#[derive(Clone, Debug)]
pub struct Requested {
    /// Names the request from now on.
    pub step_up_id: Uuid,
    /// Digest of the document that the person will sign.
    pub document_digest: Digest,
    /// Where the person decides.
    pub approval_uri: String,
    /// Seconds until the person can no longer decide.
    pub expires_in: i64,
    /// Seconds between two polls.
    pub interval: i64,
}

/// An approval that waits for its one call.
#[derive(Clone, Debug)]
pub struct Approved {
    /// The request.
    pub step_up_id: Uuid,
    /// The intent.
    pub intent_id: Uuid,
    /// The step.
    pub step: String,
    /// Digest of the call that may now be made.
    pub call_digest: Digest,
    /// Seconds until it may no longer be made.
    pub expires_in: i64,
}

/// Takes in a challenge.
///
/// # Errors
/// `invalid_request` with reason `challenge_invalid`, `challenge_used` or `step_up_not_needed`; `access_denied` with
/// the reason why no step-up would permit the call.
pub async fn request_step_up(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    compact: &str,
) -> Result<Requested, FlowError> {
    let challenge = verify_challenge(cx, client, compact).await?;
    let intent_id = parse_intent_id(&challenge.intent.id).ok_or_else(unknown_intent)?;
    let (evidence, proven) = expect_holder(cx, client, &challenge, intent_id).await?;
    let envelope = Envelope::of(&proven.plan).map_err(FlowError::internal)?;
    let step = envelope.step(&challenge.step).ok_or_else(|| invalid("the plan has no such step"))?;
    let presenter =
        Presenter { intent: &challenge.intent, sub: &proven.sub, client_id: client.client_id(), cnf: &client.cnf };
    let now = cx.app.clock.now();
    let call = challenge.call().seen_by(step);
    let mut tx = cx.app.db.begin().await?;
    if !store::intents::lock_active(&mut tx, cx.realm_name(), intent_id, now).await? {
        return Err(not_active(cx, &mut tx, intent_id).await?.into());
    }
    let (late, waiting) = needed(cx, &mut tx, (intent_id, &envelope), step, presenter, &call).await?;
    use_challenge(cx, &mut tx, &challenge).await?;
    let requested = match waiting {
        Some(step_up_id) => find_earlier(cx, &mut tx, step_up_id, now).await?,
        None => keep(cx, &mut tx, (&challenge, client), (&evidence, &proven), (step, &late), now).await?,
    };
    tx.commit().await?;
    tracing::info!(intent = %intent_id, step_up = %requested.step_up_id, "step_up.requested");
    Ok(requested)
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new(OAuthError::InvalidRequest, text).because(Reason::ChallengeInvalid)
}

fn unknown_intent() -> Refusal {
    invalid("this client holds no token of the challenge's intent and call chain that is bound to this key")
}

/// The challenge is by the client that answers for the location of the call.
async fn verify_challenge(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    compact: &str,
) -> Result<Challenge, FlowError> {
    let refuse = |error: JwsError| invalid(format!("transaction_challenge {error}"));
    let claimed = jws::unverified_claims(compact).map_err(refuse)?;
    let signer = claimed.get("iss").and_then(serde_json::Value::as_str).unwrap_or_default();
    let record = cx.realm.directory.find_client(&cx.realm.keycloak, signer).await?;
    let none = KeySet::default();
    let keys = record.as_ref().map_or(&none, |record| &record.keys);
    let verified = jws::verify(compact, names::TYP_CHALLENGE, keys).map_err(refuse)?;
    let challenge =
        Challenge::parse(&verified.payload).map_err(|refused| invalid(format!("transaction_challenge {refused}")))?;
    let location = challenge.call().location;
    if !record.is_some_and(|record| answers_for(&record, &location)) {
        return Err(invalid("transaction_challenge is not by the client that answers for the call's location").into());
    }
    let (issuer, client_id, cnf) = (cx.issuer(), client.client_id(), &client.cnf);
    let expected = Expected { issuer, signer: &challenge.iss, client_id, cnf, now: cx.now_secs() };
    challenge.check(&expected).map_err(|error| invalid(error.to_string()))?;
    Ok(challenge)
}

/// The client has a token of the challenge's call chain; the plan is the one that the person signed.
async fn expect_holder(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    challenge: &Challenge,
    intent_id: Uuid,
) -> Result<(Evidence, Proven), FlowError> {
    let mut conn = cx.app.db.look().await?;
    let txn = parse_intent_id(&challenge.txn).ok_or_else(unknown_intent)?;
    store::intents::find(&mut conn, cx.realm_name(), intent_id).await?.ok_or_else(unknown_intent)?;
    if !store::tokens::holds(&mut conn, intent_id, txn, client.client_id(), &client.jkt).await? {
        return Err(unknown_intent().into());
    }
    let (evidence, proven) = load_evidence(&mut conn, cx, intent_id).await?;
    if evidence.payload.plan_digest != challenge.intent.digest || challenge.intent.version != 1 {
        return Err(invalid("the challenge is for another plan or version of it").into());
    }
    Ok((evidence, proven))
}

async fn not_active(cx: Context<'_>, tx: &mut PgConnection, intent_id: Uuid) -> Result<Refusal, FlowError> {
    let reason = cx.why_not_active(tx, intent_id).await?.unwrap_or(Reason::IntentRevoked);
    Ok(Refusal::new(OAuthError::AccessDenied, reason.meaning()).because(reason).about(intent_id))
}

/// The late values of a call that exactly this step would permit if the person approved it, and the step-up by which she
/// is asked already.
async fn needed(
    cx: Context<'_>,
    tx: &mut PgConnection,
    (intent_id, envelope): (Uuid, &Envelope),
    step: &EnvelopeStep,
    presenter: Presenter<'_>,
    call: &Call,
) -> Result<(Vec<LateValue>, Option<Uuid>), FlowError> {
    let ledger = cx.lock_ledger(tx, intent_id).await?;
    let sought = Sought { envelope, recall: Recall::of_call(envelope, call), txn: None };
    let ledger = cx.facts(tx, &ledger, &sought).await?;
    let alone = Envelope { steps: vec![step.clone()], bounds: envelope.bounds.clone() };
    let asked = step_ups(cx, tx, (intent_id, &alone.steps), presenter, call).await?;
    match decide(&alone, call, &asked.known_to(ledger), cx.now_secs()) {
        Decision::StepUp(step_up) => Ok((step_up.values, asked.waiting())),
        Decision::Permit(_) => {
            let reason = Reason::StepUpNotNeeded;
            Err(Refusal::new(OAuthError::InvalidRequest, reason.meaning()).because(reason).about(intent_id).into())
        }
        Decision::Escalate(refused) | Decision::Deny(refused) => {
            let refusal = Refusal::new(OAuthError::AccessDenied, refused.reason.meaning());
            let refusal = refusal.because(refused.reason).about(intent_id);
            Err(Refusal { nearest: refused.nearest, ..refusal }.into())
        }
    }
}

/// In the request's transaction: a challenge is used only if its request stands.
async fn use_challenge(cx: Context<'_>, tx: &mut PgConnection, challenge: &Challenge) -> Result<(), FlowError> {
    let until = challenge.exp + limits::CLOCK_LEEWAY_SECS;
    if cx.use_once_in(tx, "challenge", &challenge.iss, &challenge.jti, until).await? {
        return Ok(());
    }
    let reason = Reason::ChallengeUsed;
    Err(Refusal::new(OAuthError::InvalidRequest, reason.meaning()).because(reason).into())
}

async fn find_earlier(
    cx: Context<'_>,
    tx: &mut PgConnection,
    step_up_id: Uuid,
    now: OffsetDateTime,
) -> Result<Requested, FlowError> {
    let row = store::step_ups::find(tx, cx.realm_name(), step_up_id).await?;
    let row = row.ok_or_else(|| FlowError::internal("a step-up that was just found is gone"))?;
    Ok(answer(cx, step_up_id, Digest::of(&row.document), row.pending_until, now))
}

async fn keep(
    cx: Context<'_>,
    tx: &mut PgConnection,
    (challenge, client): (&Challenge, &AuthenticatedClient),
    (evidence, proven): (&Evidence, &Proven),
    (step, late): (&EnvelopeStep, &[LateValue]),
    now: OffsetDateTime,
) -> Result<Requested, FlowError> {
    let step_up_id = random::id();
    let plan_ends = OffsetDateTime::from_unix_timestamp(proven.plan.expires_at().map_err(FlowError::internal)?);
    let plan_ends = plan_ends.map_err(FlowError::internal)?;
    let (pending_until, expires_at) = (plan_ends.min(now + PENDING), plan_ends.min(now + GOOD));
    // None for a location without a catalog: what was signed as one that cannot be explained is asked about as such.
    let at = proven.plan.catalogs.iter().position(|catalog| catalog.location == step.location);
    let catalog = at.and_then(|at| evidence.payload.catalogs.get(at)).map(String::as_str);
    let document = document(challenge, step, late, (evidence, proven), step_up_id, (catalog, expires_at))?;
    let canonical = document.canonical();
    let row = NewStepUp {
        step_up_id,
        intent_id: parse_intent_id(&document.intent_id).ok_or_else(unknown_intent)?,
        step_id: &step.id,
        client_id: client.client_id(),
        jkt: &client.jkt,
        approval: document.approval.as_bytes(),
        document: &canonical,
        catalog,
        pending_until,
        expires_at,
        poll_interval_secs: POLL_INTERVAL_SECS,
    };
    store::step_ups::insert(tx, cx.realm_name(), &row, now).await?;
    Ok(answer(cx, step_up_id, document.digest(), pending_until, now))
}

/// What the person will see. A call that cannot be shown whole is refused.
fn document(
    challenge: &Challenge,
    step: &EnvelopeStep,
    late: &[LateValue],
    (evidence, proven): (&Evidence, &Proven),
    step_up_id: Uuid,
    (catalog, expires_at): (Option<&str>, OffsetDateTime),
) -> Result<Document, FlowError> {
    let call = challenge.call().seen_by(step);
    let described = catalog.map(read_catalog).transpose().map_err(FlowError::internal)?;
    let expires_at = timestamp::format(expires_at.unix_timestamp()).and_then(Timestamp::try_from);
    let document = Document {
        version: 1,
        issuer: challenge.aud.clone(),
        step_up_id: step_up_id.to_string(),
        intent_id: challenge.intent.id.clone(),
        plan_digest: evidence.payload.plan_digest,
        user: Person { iss: proven.plan.user.iss.clone(), sub: proven.sub.clone(), username: proven.username.clone() },
        presenter: Agent { client_id: challenge.act.sub.clone(), cnf: challenge.cnf.clone() },
        step: step.id.clone(),
        class: step.class,
        location: call.location.clone(),
        action: call.action.clone(),
        resource: ShownResource::of(&call.resource, &step.resource.id, &proven.plan),
        args: ShownArgument::of(&call, late, &proven.plan),
        approval: call.approval(),
        reason: challenge.reason.clone(),
        records: ShownRecord::of(&call),
        catalog: described.as_ref().map(Catalog::reference),
        expires_at: expires_at.map_err(FlowError::internal)?,
    };
    let refuse = |text: String| {
        let text = format!("the call cannot be shown to the person: {text}");
        Refusal::new(OAuthError::InvalidRequest, text).because(Reason::CallMalformed)
    };
    let bytes = document.canonical();
    Document::from_canonical(&bytes).map_err(|refused| refuse(refused.to_string()))?;
    lines(&document, described.as_ref(), "en").map_err(refuse)?;
    if bytes.len() + catalog.map_or(0, str::len) > PRESENTED_BYTES {
        return Err(refuse(format!("at most {PRESENTED_BYTES} bytes can be, its catalog included")).into());
    }
    Ok(document)
}

fn answer(cx: Context<'_>, step_up_id: Uuid, digest: Digest, until: OffsetDateTime, now: OffsetDateTime) -> Requested {
    Requested {
        step_up_id,
        document_digest: digest,
        approval_uri: format!("{}/approve/{step_up_id}", cx.issuer()),
        expires_in: (until - now).whole_seconds().max(0),
        interval: i64::from(POLL_INTERVAL_SECS),
    }
}

/// Answers one poll.
///
/// # Errors
/// The poll answers of RFC 8628 §3.5, `invalid_grant` for what is not this client's, or was used.
pub async fn poll_step_up(cx: Context<'_>, client: &AuthenticatedClient, id: &str) -> Result<Approved, FlowError> {
    let unknown = || Refusal::new(OAuthError::InvalidGrant, "this client has no such request with this key");
    let id = parse_intent_id(id).ok_or_else(unknown)?;
    let now = cx.app.clock.now();
    let mut tx = cx.app.db.begin().await?;
    let row = store::step_ups::lock(&mut tx, cx.realm_name(), id).await?;
    let row = row.filter(|row| row.client_id == client.client_id() && row.jkt == client.jkt).ok_or_else(unknown)?;
    if row.state != "denied"
        && let Some(reason) = cx.why_not_active(&mut tx, row.intent_id).await?
    {
        let refusal = Refusal::new(OAuthError::InvalidGrant, reason.meaning());
        return Err(refusal.because(reason).about(row.intent_id).into());
    }
    match row.state.as_str() {
        "pending" if now < row.pending_until => Err(wait(tx, &row, now).await?.into()),
        "approved" if row.is_used => {
            Err(Refusal::new(OAuthError::InvalidGrant, "the approval was used").about(row.intent_id).into())
        }
        "approved" if now < row.expires_at => approved(&row, now),
        "pending" | "approved" => {
            let text = "the time is over: repeat the call to get a new challenge";
            Err(Refusal::new(OAuthError::ExpiredToken, text).about(row.intent_id).into())
        }
        _ => Err(denied(&row).into()),
    }
}

fn denied(row: &StepUpRow) -> Refusal {
    let text = match &row.denial_reason {
        Some(reason) => format!("the person denied the call: {reason}"),
        None => "the person denied the call".into(),
    };
    Refusal::new(OAuthError::AccessDenied, text).because(Reason::DeniedByUser).about(row.intent_id)
}

/// Too early a poll enlarges the interval for good.
async fn wait(mut tx: store::Transaction, row: &StepUpRow, now: OffsetDateTime) -> Result<Refusal, FlowError> {
    let interval = row.poll_interval_secs;
    let too_early = row.polled_at.is_some_and(|at| now - at < Duration::seconds(i64::from(interval)));
    let next = if too_early { interval.saturating_add(SLOW_DOWN_SECS) } else { interval };
    store::step_ups::note_poll(&mut tx, row.step_up_id, next, now).await?;
    tx.commit().await?;
    let refusal = if too_early {
        Refusal::new(OAuthError::SlowDown, format!("poll at most every {next} seconds"))
    } else {
        Refusal::new(OAuthError::AuthorizationPending, "the person has not decided yet")
    };
    Ok(refusal.about(row.intent_id))
}

fn approved(row: &StepUpRow, now: OffsetDateTime) -> Result<Approved, FlowError> {
    let document = Document::from_canonical(&row.document).map_err(FlowError::internal)?;
    Ok(Approved {
        step_up_id: row.step_up_id,
        intent_id: row.intent_id,
        call_digest: document.call().map_err(FlowError::internal)?.digest(),
        step: document.step,
        expires_in: (row.expires_at - now).whole_seconds(),
    })
}
