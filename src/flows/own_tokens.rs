//! Tokens that Marque itself signed, of whichever kind, as others present them.

use super::verified_tokens::VerifiedTokens;
use super::{Context, parse_intent_id};
use marque_core::access_token::AccessClaims;
use marque_core::claims::{Actor, Carried, Confirmation, IntentClaims, IntentRef, MayAct, TxnClaims};
use marque_core::json::Refused;
use marque_core::jws::{JwsError, Verified};
use marque_core::names;
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Intent,
    Txn,
    Access,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Txn, Self::Intent, Self::Access];

    /// Its identifier (RFC 8693 §3).
    pub(super) const fn identifier(self) -> &'static str {
        match self {
            Self::Intent => names::TOKEN_TYPE_INTENT,
            Self::Txn => names::TOKEN_TYPE_TXN,
            Self::Access => names::TOKEN_TYPE_ACCESS,
        }
    }

    /// How it is used at a resource server (RFC 6749 §7.1), `N_A` for what only workloads pass on (RFC 8693 §2.2.1).
    pub(super) const fn token_type(self, cnf: &Confirmation) -> &'static str {
        match self {
            Self::Intent | Self::Access => cnf.token_type(),
            Self::Txn => "N_A",
        }
    }
}

/// What a token says whose signature, issuer and audience are Marque's own. Its time may be over, and it may be revoked.
pub(super) struct OwnToken {
    pub(super) kind: Kind,
    pub(super) intent: IntentRef,
    pub(super) intent_id: Uuid,
    pub(super) jti: Uuid,
    pub(super) sub: String,
    pub(super) aud: String,
    pub(super) iat: i64,
    pub(super) exp: i64,
    pub(super) cnf: Confirmation,
    pub(super) act: Actor,
    pub(super) may_act: Option<MayAct>,
    pub(super) rctx: Map<String, Value>,
    pub(super) txn: Option<Uuid>,
    /// `acr` and `auth_time` of the approval.
    pub(super) signed_in: Option<(String, i64)>,
    pub(super) carried: Carried,
}

impl OwnToken {
    /// The client that holds it.
    pub(super) fn client_id(&self) -> &str {
        &self.act.sub
    }
}

/// Marque's own tokens that were verified, by kind.
pub struct OwnTokens {
    intent: VerifiedTokens<OwnToken>,
    txn: VerifiedTokens<OwnToken>,
    access: VerifiedTokens<OwnToken>,
}

impl Default for OwnTokens {
    fn default() -> Self {
        let (intent, txn) = (VerifiedTokens::of(names::TYP_INTENT), VerifiedTokens::of(names::TYP_TXN));
        Self { intent, txn, access: VerifiedTokens::of(names::TYP_ACCESS) }
    }
}

/// Why a token is none of Marque's own.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOwn {
    #[error("{0}")]
    Unsigned(#[from] JwsError),
    #[error("{0}")]
    Malformed(Refused),
    #[error("is of another issuer or trust domain")]
    Foreign,
    #[error("has another kind of jti, txn or intent id")]
    ForeignId,
}

/// Reads a token of whichever kind; nothing if Marque signed no such token for this realm.
pub(super) fn read(cx: Context<'_>, token: &str) -> Option<Arc<OwnToken>> {
    Kind::ALL.into_iter().find_map(|kind| read_as(cx, token, kind).ok())
}

/// Reads a token of one kind.
///
/// # Errors
/// When Marque signed no such token for this realm.
pub(super) fn read_as(cx: Context<'_>, token: &str, kind: Kind) -> Result<Arc<OwnToken>, NotOwn> {
    let (own, keys) = (&cx.realm.own_tokens, cx.realm.keyring.public());
    match kind {
        Kind::Intent => own.intent.read(token, &keys, |verified| of_intent(cx, verified)),
        Kind::Txn => own.txn.read(token, &keys, |verified| of_txn(cx, verified)),
        Kind::Access => own.access.read(token, &keys, |verified| of_access(cx, verified)),
    }
}

fn of_intent(cx: Context<'_>, verified: &Verified) -> Result<OwnToken, NotOwn> {
    let claims = IntentClaims::parse(&verified.payload).map_err(NotOwn::Malformed)?;
    expect(claims.iss == cx.issuer() && claims.aud == cx.issuer())?;
    let envelope = claims.envelope().map_err(NotOwn::Malformed)?;
    Ok(OwnToken {
        kind: Kind::Intent,
        intent_id: drawn(&claims.intent.id)?,
        intent: IntentRef { id: claims.intent.id, digest: claims.intent.digest, version: claims.intent.version },
        jti: drawn(&claims.jti)?,
        sub: claims.sub,
        aud: claims.aud,
        iat: claims.iat,
        exp: claims.exp,
        cnf: claims.cnf,
        act: claims.act,
        may_act: None,
        rctx: Map::new(),
        txn: None,
        signed_in: Some((claims.acr, claims.auth_time)),
        carried: Carried::Inline(envelope),
    })
}

fn of_txn(cx: Context<'_>, verified: &Verified) -> Result<OwnToken, NotOwn> {
    let claims = TxnClaims::parse(&verified.payload).map_err(NotOwn::Malformed)?;
    expect(claims.iss == cx.issuer() && claims.aud == cx.realm.config.trust_domain)?;
    of_chain(Kind::Txn, claims)
}

fn of_access(cx: Context<'_>, verified: &Verified) -> Result<OwnToken, NotOwn> {
    let claims = AccessClaims::parse(&verified.payload).map_err(NotOwn::Malformed)?;
    expect(claims.iss == cx.issuer())?;
    of_chain(Kind::Access, claims.into_transaction().map_err(NotOwn::Malformed)?)
}

fn of_chain(kind: Kind, claims: TxnClaims) -> Result<OwnToken, NotOwn> {
    Ok(OwnToken {
        kind,
        intent_id: drawn(&claims.tctx.intent.id)?,
        intent: claims.tctx.intent,
        jti: drawn(&claims.jti)?,
        sub: claims.sub,
        aud: claims.aud,
        iat: claims.iat,
        exp: claims.exp,
        cnf: claims.cnf,
        act: claims.act,
        may_act: claims.may_act,
        rctx: claims.rctx,
        txn: Some(drawn(&claims.txn)?),
        signed_in: None,
        carried: claims.tctx.carried,
    })
}

fn expect(is_own: bool) -> Result<(), NotOwn> {
    if is_own { Ok(()) } else { Err(NotOwn::Foreign) }
}

/// An id that Marque drew.
fn drawn(id: &str) -> Result<Uuid, NotOwn> {
    parse_intent_id(id).ok_or(NotOwn::ForeignId)
}
