//! The remote gate: one AuthZEN evaluation, ending in the same `decide` as every gate, and the ledger.
//!
//! 1. The resource server answers for the location.
//! 2. The token: signature, kind, domain, time.
//! 3. The proof: this request, this token, the token's key; for everything but reads, this very call. Of a token that is bound
//!    to a certificate, that certificate instead, which covers no call: it serves reads alone.
//! 4. The intent is still active.
//! 5. Decide as far as the plan alone can tell. What it permits without counting is permitted, and what no step can permit is
//!    refused: neither asks the ledger, nor waits for anybody.
//! 6. For the rest `reserve_permit` asks the ledger, counts the use and reserves a permit.
//! 7. What is refused because no step of the plan is for it comes with what it takes to ask for it.
//!
//! A repeat of the same call id, with the same token, proof and call, gets the same permit; a proof is good for one call id.

use super::access_request::{self, Requestable};
use super::authenticate_resource_server::ResourceServer;
use super::envelopes::carried;
use super::prove_call::{self, Possession, Proven};
use super::reserve_permit::reserve_permit;
use super::reserve_together::Use;
use super::uncounted_permits::Standing;
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::store::replays::SingleUse;
use crate::store::reservations::{CallKey, UncountedCall};
use crate::{random, store};
use marque_core::access_token::AccessClaims;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::claims::{Carried, TxnClaims, token_hash};
use marque_core::decide::{self, LateValue, Offline, decide_offline};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::jws::{JwsError, Verified};
use marque_core::plan::Class;
use marque_core::reason::Reason;
use serde_json::json;
use sqlx::PgConnection;
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

/// A call that a resource server asks about.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `subject.id`: the acting client.
    pub client_id: String,
    /// The concrete call.
    pub call: Call,
    /// `context.txn_token` or `context.access_token`.
    pub token: PresentedToken,
    /// What proves that the caller holds it.
    pub possession: Possession,
    /// `context.call_id`.
    pub call_id: String,
    /// `context.ledger`: the ledger of the resource server's that hands the call over.
    pub ledger: Option<String>,
}

/// The token that a call came with, by where it was.
#[derive(Clone, Debug)]
pub enum PresentedToken {
    /// In `Txn-Token`.
    Transaction(String),
    /// In `Authorization: DPoP`.
    Access(String),
}

impl PresentedToken {
    pub(super) fn compact(&self) -> &str {
        match self {
            Self::Transaction(token) | Self::Access(token) => token,
        }
    }
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Evaluated {
    /// The call is permitted.
    Permit(Permit),
    /// It is not.
    Refused(Box<decide::Refusal>, Option<String>),
    /// It is not, and the person can be asked for it.
    Beyond(Box<decide::Refusal>, Uuid, Requestable),
    /// It would be, once the person has approved this very call.
    StepUp(StepUpNeeded),
}

/// What the person would have to approve.
#[derive(Clone, Debug)]
pub struct StepUpNeeded {
    /// The intent.
    pub intent_id: Uuid,
    /// The step.
    pub step: String,
    /// The values that were not in the plan, and where each came from.
    pub values: Vec<LateValue>,
}

/// A permit for one call.
#[derive(Clone, Debug)]
pub struct Permit {
    /// Its id.
    pub permit_id: Uuid,
    /// The intent.
    pub intent_id: Uuid,
    /// The step it uses.
    pub step: String,
    /// Digest of the call.
    pub call_digest: marque_core::canonical::Digest,
    /// Until when it is good; seconds since the Unix epoch.
    pub expires_at: i64,
    /// `reserved`, or `uncounted` where there is nothing to settle.
    pub state: &'static str,
    /// Its number among the intent's permits; none where nothing is counted.
    pub seq: Option<u64>,
}

/// Evaluates a call.
///
/// # Errors
/// `invalid_target` if the resource server does not answer for the location; a refused call is not an error.
pub async fn evaluate_access(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    evaluation: &Evaluation,
) -> Result<Evaluated, FlowError> {
    if !resource_server.answers_for(&evaluation.call.location) {
        let text = "context.location: the client does not answer for it (attribute marque.locations)";
        return Err(Refusal::new(OAuthError::InvalidTarget, text).into());
    }
    let actor = Some(evaluation.client_id.as_str());
    let claims = match &evaluation.token {
        PresentedToken::Transaction(token) => verify_token(cx, token, actor),
        PresentedToken::Access(token) => verify_access_token(cx, token, (&evaluation.call.location, actor)),
    };
    let claims = match claims {
        Ok(claims) => claims,
        Err(reason) => return Ok(refused(reason, None)),
    };
    let intent = Some(claims.tctx.intent.id.clone());
    let proven = match prove_call::verify(cx, evaluation, &claims) {
        Ok(proven) => proven,
        Err(reason) => return Ok(refused(reason, intent)),
    };
    let ids = parse_intent_id(&claims.tctx.intent.id).zip(parse_intent_id(&claims.jti));
    let Some(ids) = ids else {
        return Ok(refused(Reason::TokenInvalid, None));
    };
    let asked = Asked::new(resource_server, evaluation, &claims, &proven, ids);
    let evaluated = decide_about(cx, &asked).await?;
    let Evaluated::Refused(refusal, intent) = evaluated else { return Ok(evaluated) };
    Ok(match access_request::of_denial(cx, &asked, &refusal).await? {
        Some(request) => Evaluated::Beyond(refusal, asked.intent_id, request),
        None => Evaluated::Refused(refusal, intent),
    })
}

/// A call whose token and proof were verified. Its digests are computed here, once.
pub(super) struct Asked<'a> {
    /// The resource server's client id.
    pub(super) client_id: &'a str,
    pub(super) evaluation: &'a Evaluation,
    pub(super) claims: &'a Arc<TxnClaims>,
    pub(super) proven: &'a Proven,
    pub(super) intent_id: Uuid,
    pub(super) token_id: Uuid,
    pub(super) call_digest: Digest,
    /// Of what the call came with: who asks and by which id, the very token, key and proof, for the call at its place. Only
    /// the same again is a repeat.
    pub(super) presented: Digest,
}

impl<'a> Asked<'a> {
    fn new(
        resource_server: &'a ResourceServer,
        evaluation: &'a Evaluation,
        claims: &'a Arc<TxnClaims>,
        proven: &'a Proven,
        (intent_id, token_id): (Uuid, Uuid),
    ) -> Self {
        let (call, call_digest) = (&evaluation.call, evaluation.call.digest());
        let (holder, of_request) = proven.identity();
        let presented = Digest::of_canonical(&json!([
            resource_server.client_id(),
            evaluation.call_id,
            evaluation.client_id,
            token_hash(evaluation.token.compact()),
            holder,
            of_request,
            call.location,
            call_digest,
            call.environment,
            call.records
        ]));
        let client_id = resource_server.client_id();
        Self { client_id, evaluation, claims, proven, intent_id, token_id, call_digest, presented }
    }

    pub(super) fn refused(&self, reason: Reason) -> Evaluated {
        refused(reason, Some(self.intent_id.to_string()))
    }

    /// The refusal of a call whose intent or token is not active, with the reason that the rows give.
    pub(super) async fn inactive(&self, cx: Context<'_>, conn: &mut PgConnection) -> Result<Evaluated, FlowError> {
        let reason = match cx.why_not_active(conn, self.intent_id).await? {
            None if store::tokens::is_revoked(conn, self.intent_id, self.token_id).await? => Reason::TokenRevoked,
            reason => reason.unwrap_or(Reason::IntentRevoked),
        };
        Ok(self.refused(reason))
    }

    /// Whether the proof covers this very call, if a step's effect asks for it.
    pub(super) fn is_proven(&self, step: &EnvelopeStep) -> bool {
        is_proven(step, self.proven.call_digest(), self.call_digest)
    }

    /// The call by the resource server's id of it.
    pub(super) fn key(&self, cx: Context<'_>) -> CallKey {
        CallKey {
            realm: cx.realm_name().to_owned(),
            intent_id: self.intent_id,
            client_id: self.client_id.to_owned(),
            call_id: self.evaluation.call_id.clone(),
            token_id: self.token_id,
        }
    }

    /// What the call uses up.
    pub(super) fn used_proof(&self, cx: Context<'_>) -> Result<SingleUse, FlowError> {
        self.proven.used(cx, self.claims, (self.client_id, self.token_id, &self.evaluation.call_id))
    }

    /// The call as one that uses a step.
    pub(super) fn as_use(&self, cx: Context<'_>) -> Use<'_> {
        let Self { evaluation, call_digest, presented, .. } = *self;
        Use { key: self.key(cx), call: &evaluation.call, call_digest, presented }
    }

    /// The call as one that nothing counts.
    pub(super) fn uncounted(&self, cx: Context<'_>) -> Result<UncountedCall, FlowError> {
        let (key, proof, presented) = (self.key(cx), self.used_proof(cx)?, self.presented.as_bytes().to_vec());
        Ok(UncountedCall { key, proof, permit_id: random::id(), presented })
    }

    /// A permit of a step whose uses are not counted. It lasts as long as the proof.
    pub(super) fn uncounted_permit(&self, cx: Context<'_>, permit_id: Uuid, step: &EnvelopeStep) -> Permit {
        Permit {
            permit_id,
            intent_id: self.intent_id,
            step: step.id.clone(),
            call_digest: self.call_digest,
            expires_at: self.proven.over_at(self.claims, cx.now_secs()),
            state: "uncounted",
            seq: None,
        }
    }
}

/// Whether a proof that names `proven` covers a call, if a step's effect asks for it.
pub(super) fn is_proven(step: &EnvelopeStep, proven: Option<Digest>, call_digest: Digest) -> bool {
    step.class == Class::Read || proven == Some(call_digest)
}

async fn decide_about(cx: Context<'_>, asked: &Asked<'_>) -> Result<Evaluated, FlowError> {
    let Some(envelope) = envelope_of(cx, asked.claims).await? else {
        return Ok(asked.refused(Reason::TokenInvalid));
    };
    let call = &asked.evaluation.call;
    let offline = decide_offline(&envelope, call, cx.now_secs());
    let is_blocked = cx.realm.config.blocked.iter().any(|blocked| blocked.applies(call));
    if is_blocked || matches!(offline, Offline::AskLedger(_)) {
        return reserve_permit(cx, asked, &envelope).await;
    }
    if let Offline::Permit(step) = offline
        && asked.is_proven(step)
    {
        return match cx.app.uncounted_permits.ask(asked.intent_id, asked.uncounted(cx)?).await? {
            Standing::Permit(permit_id) => Ok(Evaluated::Permit(asked.uncounted_permit(cx, permit_id, step))),
            Standing::ProofReplayed => Ok(asked.refused(Reason::ProofReplayed)),
            // A repeat of a counted call, or another call under its id.
            Standing::Counted => reserve_permit(cx, asked, &envelope).await,
            Standing::NotActive => asked.inactive(cx, &mut *cx.app.db.look().await?).await,
        };
    }
    refuse(cx, asked, &envelope, offline).await
}

/// The refusal of a call that the plan alone refuses. What is wrong with its intent or its id comes first.
async fn refuse(
    cx: Context<'_>,
    asked: &Asked<'_>,
    envelope: &Envelope,
    offline: Offline<'_>,
) -> Result<Evaluated, FlowError> {
    let mut conn = cx.app.db.look().await?;
    let now = cx.app.clock.now();
    let call_id = (asked.client_id, asked.evaluation.call_id.as_str());
    let standing =
        store::permits::standing(&mut conn, cx.realm_name(), asked.intent_id, call_id, asked.token_id, now).await?;
    if !standing.is_active {
        return asked.inactive(cx, &mut conn).await;
    }
    drop(conn);
    match offline {
        _ if standing.has_permit => reserve_permit(cx, asked, envelope).await,
        Offline::Permit(_) => Ok(asked.refused(Reason::CallDigestMismatch)),
        Offline::Refused(refusal) => Ok(Evaluated::Refused(Box::new(refusal), Some(asked.intent_id.to_string()))),
        Offline::AskLedger(_) => reserve_permit(cx, asked, envelope).await,
    }
}

async fn envelope_of<'c>(cx: Context<'_>, claims: &'c TxnClaims) -> Result<Option<Cow<'c, Envelope>>, FlowError> {
    match &claims.tctx.carried {
        Carried::Inline(envelope) => Ok(Some(Cow::Borrowed(envelope))),
        by_digest @ Carried::ByDigest(_) => carried(cx, by_digest).await,
    }
}

fn refused(reason: Reason, intent: Option<String>) -> Evaluated {
    Evaluated::Refused(Box::new(decide::Refusal { reason, nearest: None }), intent)
}

/// A transaction token of this trust domain that is not over; of this actor, where one is named.
pub(super) fn verify_token(cx: Context<'_>, token: &str, actor: Option<&str>) -> Result<Arc<TxnClaims>, Reason> {
    let read = |verified: &Verified| TxnClaims::parse(&verified.payload).map_err(|_| Malformed);
    let claims = cx.realm.txn_tokens.read(token, &cx.realm.keyring.public(), read);
    check_token(cx, claims.map_err(|Malformed| Reason::TokenInvalid)?, (&cx.realm.config.trust_domain, actor))
}

/// An access token of Marque's own for a location that is not over; of this actor, where one is named.
fn verify_access_token(cx: Context<'_>, token: &str, expected: (&str, Option<&str>)) -> Result<Arc<TxnClaims>, Reason> {
    let read = |verified: &Verified| {
        let claims = AccessClaims::parse(&verified.payload).map_err(|_| Malformed)?;
        claims.into_transaction().map_err(|_| Malformed)
    };
    let claims = cx.realm.own_access_tokens.read(token, &cx.realm.keyring.public(), read);
    check_token(cx, claims.map_err(|Malformed| Reason::TokenInvalid)?, expected)
}

fn check_token(
    cx: Context<'_>,
    claims: Arc<TxnClaims>,
    (audience, actor): (&str, Option<&str>),
) -> Result<Arc<TxnClaims>, Reason> {
    let is_actor = actor.is_none_or(|actor| actor == claims.act.sub);
    if claims.iss != cx.issuer() || claims.aud != audience || !is_actor {
        return Err(Reason::TokenInvalid);
    }
    if claims.exp <= cx.now_secs() {
        return Err(Reason::TokenExpired);
    }
    Ok(claims)
}

/// A token that is none of ours.
struct Malformed;

impl From<JwsError> for Malformed {
    fn from(_: JwsError) -> Self {
        Self
    }
}
