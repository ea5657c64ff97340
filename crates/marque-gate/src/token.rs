//! A transaction token, or an access token for the gate's own location, whose signature and claims hold: verified once, believed for many calls.

use crate::config::GateConfig;
use crate::envelopes::CarriedEnvelope;
use crate::refusal::Refusal;
use crate::weight;
use marque_core::access_token::AccessClaims;
use marque_core::claims::{Actor, Carried, Confirmation, IntentRef, TxnClaims, TxnContext};
use marque_core::envelope::Envelope;
use marque_core::jws::{self, JwsError, KeySet};
use marque_core::limits;
use marque_core::names::TYP_ACCESS;
use marque_core::prepared::Prepared;
use marque_core::reason::Reason;

/// What a transaction token says, from one whose signature, `typ`, `iss`, `aud` and claims hold. It says nothing about
/// who presents it. Only a [`Gate`](crate::Gate) makes one.
pub struct VerifiedToken {
    pub(crate) claims: Claims,
    carried: CarriedEnvelope,
    heap_bytes: usize,
}

/// What a verified token says besides its steps.
pub(crate) struct Claims {
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "only a ledger of its own counts for one issuer")
    )]
    pub issuer: String,
    pub subject: String,
    pub intent: IntentRef,
    pub jti: String,
    pub txn: String,
    pub act: Actor,
    pub cnf: Confirmation,
    pub exp: i64,
    pub iat: i64,
    typ: &'static str,
    signed_by: String,
}

/// Says whose it is.
impl std::fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("VerifiedToken");
        shown.field("client_id", &self.claims.act.sub).field("intent", &self.claims.intent.id).finish_non_exhaustive()
    }
}

impl VerifiedToken {
    /// What a token of so many bytes says, with the envelope that it carries.
    pub(crate) fn new(claims: Claims, carried: CarriedEnvelope, bytes: usize) -> Self {
        let envelope = carried.prepared.envelope();
        let heap_bytes = weight::heap_bytes(bytes.saturating_add(carried.fetched_bytes), envelope);
        Self { claims, carried, heap_bytes }
    }

    /// Bytes of the heap that it takes at most, with the envelope that it names.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// All that the token carries: the steps and what holds for all of them.
    pub fn envelope(&self) -> &Envelope {
        self.carried.prepared.envelope()
    }

    /// The same with its index.
    pub fn prepared(&self) -> &Prepared {
        &self.carried.prepared
    }
}

impl Claims {
    /// Whether the key that signed it is among these, and may sign such tokens.
    pub fn is_signed_by_one_of(&self, keys: &KeySet) -> bool {
        keys.by_thumbprint(&self.signed_by, self.typ).is_some()
    }

    /// The `typ` of the token: one kind never passes for the other.
    pub fn typ(&self) -> &'static str {
        self.typ
    }

    /// The thumbprint of the key that signed it.
    pub fn signed_by(&self) -> &str {
        &self.signed_by
    }

    /// `exp`, then `iat`. `exp` is taken without leeway: what a person approved until an instant ends at that instant.
    /// There is no `nbf`: a token with one does not parse.
    pub fn check_time(&self, now: i64) -> Result<(), Refusal> {
        if self.exp <= now {
            let over = now.saturating_sub(self.exp);
            let problem = format!("the token ended {over} s ago by this gate's clock (exp): exchange its parent again");
            return Err(Refusal::new(Reason::TokenExpired).because(problem).of_intent(&self.intent.id));
        }
        if self.iat > now.saturating_add(limits::CLOCK_LEEWAY_SECS) {
            let ahead = self.iat.saturating_sub(now);
            let problem =
                format!("the token is from {ahead} s ahead of this gate's clock (iat): the clocks differ by too much");
            return Err(invalid(problem).of_intent(&self.intent.id));
        }
        Ok(())
    }
}

/// What came of a token: a key that is not known may be learned.
pub(crate) enum TokenError {
    UnknownKey,
    Refused(Refusal),
}

impl From<Refusal> for TokenError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn invalid(what: String) -> Refusal {
    Refusal::new(Reason::TokenInvalid).because(what)
}

/// Verifies all of a token of a `typ` but its time: signature, `typ`, claims, `iss`, `aud`, in this order.
pub(crate) fn verify(
    token: &str,
    typ: &'static str,
    keys: &KeySet,
    config: &GateConfig,
) -> Result<(Claims, Carried), TokenError> {
    let verified = jws::verify(token, typ, keys).map_err(|error| match error {
        JwsError::UnknownKey => TokenError::UnknownKey,
        JwsError::WrongType(_) => {
            invalid(format!("the token {error}: an intent token is exchanged at Marque and used nowhere else")).into()
        }
        error => invalid(format!("the token {error}")).into(),
    })?;
    let (claims, audience) = match typ {
        TYP_ACCESS => (
            AccessClaims::parse(&verified.payload).and_then(AccessClaims::into_transaction),
            (&config.location, "the token is for another resource server"),
        ),
        _ => (TxnClaims::parse(&verified.payload), (&config.trust_domain, "the token is for another trust domain")),
    };
    let claims = claims.map_err(|refused| invalid(format!("the token's claims: {refused}")))?;
    if claims.iss != config.issuer {
        return Err(invalid("the token is from another issuer".into()).into());
    }
    if claims.aud != *audience.0 {
        return Err(invalid(audience.1.into()).into());
    }
    let TxnContext { intent, carried } = claims.tctx;
    let claims = Claims {
        issuer: claims.iss,
        subject: claims.sub,
        intent,
        jti: claims.jti,
        txn: claims.txn,
        act: claims.act,
        cnf: claims.cnf,
        exp: claims.exp,
        iat: claims.iat,
        typ,
        signed_by: verified.thumbprint,
    };
    Ok((claims, carried))
}
