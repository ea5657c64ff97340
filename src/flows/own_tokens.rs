//! Tokens that Marque itself signed, of whichever kind, as others present them.

use super::{Context, parse_intent_id};
use marque_core::access_token::AccessClaims;
use marque_core::claims::{Actor, Carried, Confirmation, IntentClaims, IntentRef, TxnClaims};
use marque_core::{jws, names};
use uuid::Uuid;

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Intent,
    Txn,
    Access,
}

impl Kind {
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
    pub(super) txn: Option<String>,
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

/// Reads a token; nothing if Marque signed no such token for this realm.
pub(super) fn read(cx: Context<'_>, token: &str) -> Option<OwnToken> {
    let keys = cx.realm.keyring.public();
    let payload = |typ: &str| jws::verify(token, typ, &keys).ok().map(|verified| verified.payload);
    let read = payload(names::TYP_TXN).and_then(|payload| of_txn(Kind::Txn, TxnClaims::parse(&payload).ok()?));
    let read = read.or_else(|| of_intent(IntentClaims::parse(&payload(names::TYP_INTENT)?).ok()?));
    let read = read.or_else(|| {
        let claims = AccessClaims::parse(&payload(names::TYP_ACCESS)?).ok()?;
        of_txn(Kind::Access, claims.into_transaction().ok()?)
    });
    let (iss, own) = read?;
    let is_own = match own.kind {
        Kind::Intent => own.aud == cx.issuer(),
        Kind::Txn => own.aud == cx.realm.config.trust_domain,
        Kind::Access => true,
    };
    (iss == cx.issuer() && is_own).then_some(own)
}

fn of_intent(claims: IntentClaims) -> Option<(String, OwnToken)> {
    let envelope = claims.envelope().ok()?;
    let own = OwnToken {
        kind: Kind::Intent,
        intent_id: parse_intent_id(&claims.intent.id)?,
        intent: IntentRef { id: claims.intent.id, digest: claims.intent.digest, version: claims.intent.version },
        jti: parse_intent_id(&claims.jti)?,
        sub: claims.sub,
        aud: claims.aud,
        iat: claims.iat,
        exp: claims.exp,
        cnf: claims.cnf,
        act: claims.act,
        txn: None,
        signed_in: Some((claims.acr, claims.auth_time)),
        carried: Carried::Inline(envelope),
    };
    Some((claims.iss, own))
}

fn of_txn(kind: Kind, claims: TxnClaims) -> Option<(String, OwnToken)> {
    let own = OwnToken {
        kind,
        intent_id: parse_intent_id(&claims.tctx.intent.id)?,
        intent: claims.tctx.intent,
        jti: parse_intent_id(&claims.jti)?,
        sub: claims.sub,
        aud: claims.aud,
        iat: claims.iat,
        exp: claims.exp,
        cnf: claims.cnf,
        act: claims.act,
        txn: Some(claims.txn),
        signed_in: None,
        carried: claims.tctx.carried,
    };
    Some((claims.iss, own))
}
