//! The gate: from what a request presents to a permit, or to a refusal with its reason.

mod workload;

pub use workload::Workload;

use crate::action::ConcreteAction;
use crate::cache::TokenCache;
use crate::caller::{Caller, Possession};
use crate::config::GateConfig;
use crate::ending::Ending;
use crate::envelopes::{EnvelopeSource, Envelopes, NoEnvelopes};
use crate::keys::KeySource;
use crate::ledger::{Ledger, NoLedger, Outcome, Reservation, Reserved};
use crate::permit::Permit;
use crate::refusal::Refusal;
use crate::replay::{NotTaken, ProofStore, ReplayMemory};
use crate::request::{NEVER_BEARER, Presented, PresentedToken};
use crate::revocations::Revocations;
use crate::signer::Signer;
use crate::step_up;
use crate::token::{self, Claims, TokenError, VerifiedToken};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::claims::{Carried, Confirmation, token_hash};
use marque_core::decide::{Offline, decide_offline};
use marque_core::dpop::{self, Expected, Proof};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::jws::{self, KeySet};
use marque_core::names::{TYP_ACCESS, TYP_TXN};
use marque_core::plan::{Class, Uses};
use marque_core::reason::Reason;
use std::sync::Arc;

/// Checks each concrete action of one resource server.
///
/// The order of the checks, and of the reasons where several hold:
/// 1. exactly one token: a transaction token in `Txn-Token`, or an access token in `Authorization: DPoP`, never `Bearer`
///    unless it is bound to a client certificate: `token_missing`, `token_invalid`;
/// 2. the token's signature, by a key that is not withdrawn, `typ`, claims, `iss`, `aud`: `token_invalid`; `exp`:
///    `token_expired`; where no key is known freshly enough, or the token carries its steps by digest and these cannot be
///    had: `state_unavailable`;
/// 3. exactly one `DPoP` proof that holds for method, URL, token hash and time: `proof_missing`,
///    `proof_invalid`; by the token's key: `proof_key_mismatch`; first use: `proof_replayed`. With a token that is bound to
///    a client certificate, that certificate ([`Presented::with_certificate`]) and no proof: `certificate_mismatch`;
/// 4. the call digest in the proof, if there is one: `call_digest_mismatch`;
/// 5. revocations are known freshly, and neither the intent nor the token is among them: `intent_revoked`,
///    `revocation_state_stale`, `token_revoked`;
/// 6. [`decide_offline`]: the steps of the token permit this call here; else its reason with `nearest`;
/// 7. for every class but read the proof has a call digest, which a certificate cannot have: `call_digest_mismatch`;
/// 8. for everything but uncounted reads without history the ledger reserves a use: its reason, or
///    `ledger_unavailable`; for a call that the person has to approve first `step_up_required`, with a challenge for
///    a client that takes one.
///
/// Proof ids are remembered in memory. A gate that was just started, or one of several behind one
/// address, may take the proof of an uncounted read that another one took within the last minute,
/// unless they share a [`ProofStore`]: see [`Gate::with_proof_store`].
/// For counted steps the ledger takes each proof from one gate only: a call is named after the gate
/// and the proof, so that one gate may ask again when an answer was lost, and no other gate, nor the
/// same one after a restart, is given the same permit.
pub struct Gate {
    id: uuid::Uuid,
    config: GateConfig,
    keys: Arc<dyn KeySource>,
    revocations: Revocations,
    ledger: Arc<dyn Ledger>,
    signer: Option<Signer>,
    replay: ReplayMemory,
    proofs: Option<Arc<dyn ProofStore>>,
    tokens: TokenCache,
    envelopes: Envelopes,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate that decides with the given keys and knowledge of revocations, and, until it is given
    /// a ledger, refuses every counted step.
    pub fn new(config: GateConfig, keys: impl KeySource + 'static, revocations: Revocations) -> Self {
        let replay = ReplayMemory::new(config.replay_capacity);
        let (tokens, envelopes) = (TokenCache::of(config.token_capacity), Envelopes::of(NoEnvelopes));
        let id = new_id();
        let (keys, ledger) = (Arc::new(keys), Arc::new(NoLedger));
        Self { id, config, keys, revocations, ledger, signer: None, replay, proofs: None, tokens, envelopes }
    }

    /// The gate with a ledger for counted steps.
    #[must_use]
    pub fn with_ledger(mut self, ledger: impl Ledger + 'static) -> Self {
        self.ledger = Arc::new(ledger);
        self
    }

    /// The gate with a source of the envelopes that are too long for a token. Without one it refuses such tokens.
    #[must_use]
    pub fn with_envelopes(mut self, source: impl EnvelopeSource + 'static) -> Self {
        self.envelopes = Envelopes::of(source);
        self
    }

    /// The gate with a key of the resource server: it signs result receipts, without which no later step takes a value from
    /// a result, and challenges for calls that the person has to approve first, without which nobody is asked.
    #[must_use]
    pub fn with_signer(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// The gate with a memory of proofs that it shares with others: a proof is then taken once by all of them. What
    /// the gate itself remembers is asked first.
    #[must_use]
    pub fn with_proof_store(mut self, proofs: impl ProofStore + 'static) -> Self {
        self.proofs = Some(Arc::new(proofs));
        self
    }

    /// Where the gate stands and whom it believes.
    pub fn config(&self) -> &GateConfig {
        &self.config
    }

    /// What the gate knows about revocations.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Checks one concrete action: all checks in the order above. `now` is in seconds since the Unix epoch.
    ///
    /// A permit of a counted step must be settled: see [`Gate::settle`].
    ///
    /// # Errors
    /// The first check that failed, as a [`Refusal`]. Nothing was charged.
    pub async fn check(&self, request: &Presented, action: ConcreteAction, now: i64) -> Result<Permit, Refusal> {
        let caller = self.verify_caller(request, now).await?;
        self.authorize(caller, action, now).await
    }

    /// Checks who calls, and no action: steps 1 to 3. Charges nothing. For a service that is called
    /// with a transaction token and exchanges it for a hop of its own: Marque refuses the exchange if
    /// the intent is revoked. A service that acts on the caller's word alone asks
    /// [`Gate::check_revocation`] too.
    ///
    /// # Errors
    /// The first check that failed.
    pub async fn verify_caller(&self, request: &Presented, now: i64) -> Result<Caller, Refusal> {
        let presented = request.token()?;
        let (token, verified) = match presented {
            PresentedToken::Transaction(token) => (token, self.verify_token(token, now).await?),
            PresentedToken::Access(token) | PresentedToken::Bearer(token) => {
                (token, self.verify_access_token(token, now).await?)
            }
        };
        let holder = (&verified.claims.cnf, verified.claims.act.sub.as_str());
        let possession = self.possession(request, (token, presented), holder, now).await;
        let possession = possession.map_err(|refusal| match refusal.reason() {
            Reason::ProofReplayed | Reason::StateUnavailable => refusal.of_intent(&verified.claims.intent.id),
            _ => refusal,
        })?;
        Ok(Caller {
            token: token.into(),
            possession,
            method: request.method().into(),
            url: request.url().into(),
            accepts_challenge: request.accepts_challenge(),
            verified,
        })
    }

    /// Checks one concrete action of a caller: steps 4 to 8, and the token's time once more, since
    /// reading the request's body may have taken long. The caller is used up: one proof, one call.
    ///
    /// # Errors
    /// The first check that failed. Nothing was charged.
    pub async fn authorize(&self, caller: Caller, action: ConcreteAction, now: i64) -> Result<Permit, Refusal> {
        let call = action.at(&self.config);
        self.authorize_call(&caller, call, now).await.map_err(|refusal| refusal.of_intent(caller.intent_id()))
    }

    async fn authorize_call(&self, caller: &Caller, call: Call, now: i64) -> Result<Permit, Refusal> {
        if caller.verified.claims.exp <= now {
            return Err(Refusal::new(Reason::TokenExpired));
        }
        let digest = call.digest();
        let signed = caller.possession.call_digest();
        if signed.is_some_and(|signed| signed != digest) {
            return Err(Refusal::new(Reason::CallDigestMismatch));
        }
        self.check_revocation(caller, now)?;
        let (step, is_free) = fitting_step(caller.verified.prepared().decide_offline(&call, now))?;
        if step.class != Class::Read && signed.is_none() {
            let problem = match caller.certificate() {
                None => "the proof lacks call_digest, which every call but a read needs",
                Some(_) => {
                    "a certificate signs no call: every call but a read needs a token that is bound to a DPoP key"
                }
            };
            return Err(Refusal::new(Reason::CallDigestMismatch).because(problem));
        }
        if is_free && step.class == Class::Read {
            return Ok(Permit::new((call, digest), &caller.verified.claims, (&step.id, step.class), None));
        }
        self.reserve(caller, (call, digest), now).await
    }

    /// Step 2 alone: what a token says, if it holds now. One that was verified before is believed without looking at its
    /// signature again, as long as the key that signed it is among the current keys and the feed did not withdraw it; its
    /// time is looked at each time.
    ///
    /// Whoever presents the token has proven nothing by that: see [`Gate::verify_caller`].
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`] or [`Reason::TokenExpired`]; [`Reason::StateUnavailable`] where the steps that it names by
    /// digest cannot be had.
    pub async fn verify_token(&self, token: &str, now: i64) -> Result<Arc<VerifiedToken>, Refusal> {
        self.verify_typed(token, TYP_TXN, now).await
    }

    /// As [`Gate::verify_token`], for an access token (RFC 9068) whose one audience is this gate's location.
    ///
    /// # Errors
    /// As [`Gate::verify_token`].
    pub async fn verify_access_token(&self, token: &str, now: i64) -> Result<Arc<VerifiedToken>, Refusal> {
        self.verify_typed(token, TYP_ACCESS, now).await
    }

    async fn verify_typed(&self, token: &str, typ: &'static str, now: i64) -> Result<Arc<VerifiedToken>, Refusal> {
        let (hash, keys) = (token_hash(token), self.keys.current());
        let known = self.tokens.find(&hash, &keys, &self.revocations).filter(|known| known.claims.typ() == typ);
        if let Some(verified) = known {
            return match verified.claims.check_time(now) {
                Ok(()) => Ok(verified),
                Err(refusal) => {
                    self.tokens.forget(&hash);
                    Err(refusal)
                }
            };
        }
        let (claims, carried) = self.verify_signature(token, typ, &keys).await?;
        if self.revocations.is_withdrawn(claims.signed_by()) {
            return Err(Refusal::new(Reason::TokenInvalid).because("the key that signed the token was withdrawn"));
        }
        claims.check_time(now)?;
        let carried = self.envelopes.carried(carried).await.map_err(|refusal| refusal.of_intent(&claims.intent.id))?;
        let verified = Arc::new(VerifiedToken::new(claims, carried, token.len()));
        self.tokens.keep(hash, &verified);
        Ok(verified)
    }

    async fn verify_signature(
        &self,
        token: &str,
        typ: &'static str,
        keys: &KeySet,
    ) -> Result<(Claims, Carried), Refusal> {
        let unknown = |keys: &KeySet| match keys.keys() {
            [] => Refusal::new(Reason::StateUnavailable)
                .because("Marque's keys are not known here, or were not read for too long: call again"),
            _ => Refusal::new(Reason::TokenInvalid).because("the token is signed by no known key for this purpose"),
        };
        match token::verify(token, typ, keys, &self.config) {
            Ok(verified) => Ok(verified),
            Err(TokenError::Refused(refusal)) => Err(refusal),
            Err(TokenError::UnknownKey) => {
                let kid = jws::unverified_kid(token).ok_or_else(|| unknown(keys))?;
                let keys = self.keys.refreshed(&kid).await;
                token::verify(token, typ, &keys, &self.config).map_err(|error| match error {
                    TokenError::Refused(refusal) => refusal,
                    TokenError::UnknownKey => unknown(&keys),
                })
            }
        }
    }

    /// Possession of what a token is bound to, by the client that holds it: a proof is used up.
    async fn possession(
        &self,
        request: &Presented,
        (token, presented): (&str, PresentedToken<'_>),
        (cnf, client_id): (&Confirmation, &str),
        now: i64,
    ) -> Result<Possession, Refusal> {
        match (cnf, presented) {
            (Confirmation::Jkt(_), PresentedToken::Bearer(_)) => {
                return Err(Refusal::new(Reason::TokenInvalid).because(NEVER_BEARER));
            }
            (Confirmation::Jkt(_), _) => {}
            (Confirmation::X5t(bound), presented) => return certified(request, presented, *bound),
        }
        let expected = Expected { method: request.method(), uri: request.url(), token: Some(token) };
        let compact = request.proof()?;
        let proof = dpop::verify(compact, &expected, now)
            .map_err(|error| Refusal::new(Reason::ProofInvalid).because(error.to_string()))?;
        if !cnf.is_key(&proof.jkt) {
            return Err(Refusal::new(Reason::ProofKeyMismatch));
        }
        self.take_once(&proof, client_id, now).await?;
        Ok(Possession::Proof { proof: compact.into(), jti: proof.jti, call_digest: proof.call_digest })
    }

    async fn take_once(&self, proof: &Proof, client_id: &str, now: i64) -> Result<(), NotTaken> {
        self.replay.take(proof, client_id, now)?;
        match &self.proofs {
            Some(shared) => shared.take(proof, now).await,
            None => Ok(()),
        }
    }

    /// Step 5 alone: whether the caller's intent and token are known not to be revoked, freshly enough.
    ///
    /// # Errors
    /// [`Reason::IntentRevoked`], [`Reason::TokenRevoked`], [`Reason::IntentSuspended`] or
    /// [`Reason::RevocationStateStale`].
    pub fn check_revocation(&self, caller: &Caller, now: i64) -> Result<(), Refusal> {
        let limit = self.config.max_staleness;
        let refusal = |reason| match reason {
            Reason::RevocationStateStale => Refusal::new(reason).because(self.revocations.why_stale(now, limit)),
            reason => Refusal::new(reason),
        };
        let known = self.revocations.check(caller.intent_id(), now, limit);
        let known = known.and_then(|()| match self.revocations.is_token_revoked(&caller.verified.claims.jti) {
            true => Err(Reason::TokenRevoked),
            false if self.revocations.is_suspended(caller.verified.claims.iat) => Err(Reason::IntentSuspended),
            false => Ok(()),
        });
        known.map_err(|reason| refusal(reason).of_intent(caller.intent_id()))
    }

    async fn reserve(&self, caller: &Caller, (call, digest): (Call, Digest), now: i64) -> Result<Permit, Refusal> {
        let call_id = Digest::of(format!("{}\0{}", self.id, caller.possession.of_call()).as_bytes()).to_base64();
        let epoch = self.revocations.epoch();
        let reservation = Reservation { caller, call: &call, call_id, now, handed_over_by: None, epoch };
        let reserved =
            self.ledger.reserve(reservation).await.map_err(|refusal| self.challenged(caller, &call, refusal, now))?;
        let Some(step) = reserved_step(&reserved, caller, (&call, digest), now) else {
            self.settle_reservation(&reserved, Outcome::Released.into(), now).await;
            return Err(Refusal::new(Reason::LedgerUnavailable).because("the ledger answered for another call"));
        };
        let reserved = reserved.seq.is_some().then_some(reserved);
        Ok(Permit::new((call, digest), &caller.verified.claims, (&step.id, step.class), reserved))
    }

    /// The refusal of a call that the person has to approve first, with a challenge for a client that takes one.
    fn challenged(&self, caller: &Caller, call: &Call, refusal: Refusal, now: i64) -> Refusal {
        let (Some(signer), Some(step), true) = (&self.signer, refusal.step_up(), caller.accepts_challenge) else {
            return refusal;
        };
        let step = caller.envelope().step(step);
        let fits = |step: &&_| fitting_step(decide_offline(&alone(step, caller), call, now)).is_ok();
        let Some(step) = step.filter(fits) else {
            return Refusal::new(Reason::LedgerUnavailable).because("the ledger asks for a step-up of another step");
        };
        match step_up::challenge(&self.config, signer, (caller, call, step), (new_id().to_string(), now)) {
            Ok(challenge) => refusal.with_challenge(&self.config.issuer, challenge),
            Err(problem) => {
                tracing::error!(problem, "a challenge cannot be signed");
                refusal
            }
        }
    }

    /// Says how a permitted action ended: an [`Outcome`], or the [`CallResult`](crate::CallResult) that it gave.
    /// [`Outcome::Released`] only if it certainly had no effect. Does nothing for a step that is not counted. A ledger that
    /// cannot be reached is logged: the use then counts, and what became of it is unknown there. `now` is in seconds
    /// since the Unix epoch.
    pub async fn settle(&self, permit: Permit, ending: impl Into<Ending>, now: i64) {
        if let Some(reserved) = permit.reservation() {
            self.settle_reservation(reserved, ending.into(), now).await;
        }
    }

    /// Says how a permit ended that the ledger lists as open, for example one that an earlier process was given before it
    /// was ended. As [`Gate::settle`], but it tells whether the ledger took it.
    ///
    /// # Errors
    /// [`Reason::PermitNotOpen`], [`Reason::ReceiptInvalid`] or [`Reason::LedgerUnavailable`].
    pub async fn settle_open(&self, open: &Reserved, ending: impl Into<Ending>, now: i64) -> Result<(), Refusal> {
        let settlement = ending.into().settlement(open, (self.signer.as_ref(), self.config.issuer()), now);
        self.ledger.settle(open, settlement).await
    }

    pub(crate) async fn settle_reservation(&self, reserved: &Reserved, ending: Ending, now: i64) {
        if reserved.seq.is_none() {
            return;
        }
        let outcome = ending.outcome.code();
        let settlement = ending.settlement(reserved, (self.signer.as_ref(), self.config.issuer()), now);
        if let Err(refusal) = self.ledger.settle(reserved, settlement).await {
            let (permit, intent) = (&reserved.permit_id, &reserved.intent_id);
            tracing::error!(permit, intent, outcome, %refusal, "a permit was not settled");
        }
    }

    #[cfg_attr(not(feature = "tower"), expect(dead_code, reason = "only the layer can be broken off"))]
    pub(crate) fn broken_off(&self, reserved: Reserved) {
        self.ledger.broken_off(reserved);
    }
}

/// A call with a token that is bound to a certificate (RFC 8705 §3): over a connection with that certificate, as `Bearer` where it
/// is an access token, since there is no scheme of its own, and with no proof, which would be believed and not checked.
fn certified(request: &Presented, token: PresentedToken<'_>, bound: Digest) -> Result<Possession, Refusal> {
    let refuse = |problem: &str| Err(Refusal::new(Reason::CertificateMismatch).because(problem));
    if matches!(token, PresentedToken::Access(_)) {
        let problem =
            "the token is bound to a client certificate: send Authorization: Bearer over TLS with that certificate";
        return Err(Refusal::new(Reason::TokenInvalid).because(problem));
    }
    match request.certificate().map(|certificate| certificate.thumbprint()) {
        _ if request.has_proof() => refuse("the token is bound to a client certificate: send no DPoP proof with it"),
        None => refuse("the token is bound to a client certificate: call over TLS with that certificate"),
        Some(thumbprint) if thumbprint != bound => refuse("the token is bound to another client certificate"),
        Some(thumbprint) => Ok(Possession::Certificate { thumbprint, call: new_id().to_string() }),
    }
}

#[expect(clippy::disallowed_methods, reason = "names one gate for its lifetime; no decision depends on it")]
fn new_id() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// The step that fits the call, and whether that is all there is to ask: history is the ledger's.
fn fitting_step(decision: Offline<'_>) -> Result<(&EnvelopeStep, bool), Refusal> {
    match decision {
        Offline::Permit(step) => Ok((step, true)),
        Offline::AskLedger(step) => Ok((step, false)),
        Offline::Refused(refusal) => Err(Refusal::new(refusal.reason).near(refusal.nearest)),
    }
}

fn alone(step: &EnvelopeStep, caller: &Caller) -> Envelope {
    Envelope { steps: vec![step.clone()], bounds: caller.envelope().bounds.clone() }
}

/// The step that the ledger charged, if it is one that permits this very call. It may be a later
/// one than the first that fits, when that one is used up.
fn reserved_step<'c>(
    reserved: &Reserved,
    caller: &'c Caller,
    (call, digest): (&Call, Digest),
    now: i64,
) -> Option<&'c EnvelopeStep> {
    let step = caller.envelope().step(&reserved.step)?;
    let alone = alone(step, caller);
    let fits = reserved.intent_id == caller.intent_id()
        && (reserved.seq.is_some() || step.uses == Uses::Any)
        && reserved.call_digest == digest
        && fitting_step(decide_offline(&alone, call, now)).is_ok();
    fits.then_some(step)
}
