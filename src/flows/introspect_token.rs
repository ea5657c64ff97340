//! Introspection (RFC 7662): what a token means for whoever asks, and nothing more.
//!
//! 1. The token is one of Marque's, and not over.
//! 2. It concerns the caller: the client that holds it, or a resource server that it has steps for. An intent
//!    token is used at Marque alone, so it means nothing to a resource server.
//! 3. It is not revoked, and its intent is active.
//! 4. Answer, with the steps that concern the caller alone.
//!
//! Whatever is not so has one answer: `{"active": false}`.

use super::authenticate_client::IdentifiedClient;
use super::authenticate_resource_server::ResourceServer;
use super::own_tokens::{Kind, OwnToken, read};
use super::{Context, FlowError, envelopes};
use crate::batch::Batch;
use crate::clock::Clock;
use crate::keys::Purpose;
use crate::store::tokens::Asked;
use crate::store::{self, Database};
use marque_core::claims::{Actor, Confirmation, IntentRef, StepDetail, token_hash};
use marque_core::envelope::{EnvelopeStep, scope_of};
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use uuid::Uuid;

/// Who asks.
pub enum Asking {
    /// A client, about a token of its own.
    Client(IdentifiedClient),
    /// A resource server, about a token that was presented to it.
    ResourceServer(ResourceServer),
}

impl Asking {
    fn client_id(&self) -> &str {
        match self {
            Self::Client(client) => client.client_id(),
            Self::ResourceServer(resource_server) => resource_server.client_id(),
        }
    }

    fn is_concerned(&self, own: &OwnToken) -> bool {
        match (self, own.kind) {
            (Self::Client(client), _) => own.client_id() == client.client_id(),
            (Self::ResourceServer(_), Kind::Intent) => false,
            (Self::ResourceServer(_), Kind::Txn) => true,
            (Self::ResourceServer(resource_server), Kind::Access) => resource_server.answers_for(&own.aud),
        }
    }

    /// Whether a step concerns the caller.
    fn is_concerned_with(&self, step: &EnvelopeStep) -> bool {
        match self {
            Self::Client(_) => true,
            Self::ResourceServer(resource_server) => resource_server.answers_for(&step.location),
        }
    }
}

/// Takes tokens, and answers whether each is live: those that are asked about at once share a question to the database.
pub type LiveTokens = Batch<Asked, bool>;

/// Starts to take tokens.
pub fn start(db: Database, clock: Clock) -> LiveTokens {
    Batch::start(1, move |asked: Vec<Asked>| {
        let (db, now) = (db.clone(), clock.now());
        async move { store::tokens::are_live(&mut *db.look().await?, &asked, now).await }
    })
}

/// Answers what a token means for the caller, in JSON.
///
/// # Errors
/// When the database cannot be asked.
pub async fn introspect_token(cx: Context<'_>, asking: &Asking, token: &str) -> Result<Box<RawValue>, FlowError> {
    let Some(own) = find_live(cx, asking, token).await? else { return inactive() };
    let Some(envelope) = envelopes::carried(cx, &own.carried).await? else { return inactive() };
    let steps = envelope.steps.iter().filter(|step| asking.is_concerned_with(step));
    let details: Vec<StepDetail<'_>> = steps.clone().map(StepDetail::of).collect();
    if details.is_empty() {
        return inactive();
    }
    let (acr, auth_time) = own.signed_in.as_ref().map(|(acr, auth_time)| (acr.as_str(), *auth_time)).unzip();
    to_raw_value(&Active {
        active: true,
        iss: cx.issuer(),
        aud: &own.aud,
        sub: &own.sub,
        client_id: own.client_id(),
        iat: own.iat,
        exp: own.exp,
        jti: own.jti,
        token_type: own.kind.token_type(&own.cnf),
        issued_token_type: own.kind.identifier(),
        scope: scope_of(steps),
        intent: &own.intent,
        authorization_details: details,
        txn: own.txn,
        acr,
        auth_time,
        act: &own.act,
        cnf: &own.cnf,
    })
    .map_err(FlowError::internal)
}

/// One answer, whatever is not so.
fn inactive() -> Result<Box<RawValue>, FlowError> {
    to_raw_value(&json!({"active": false})).map_err(FlowError::internal)
}

/// A token that concerns the caller, is not over and not revoked, and whose intent is active.
async fn find_live(cx: Context<'_>, asking: &Asking, token: &str) -> Result<Option<Arc<OwnToken>>, FlowError> {
    let Some(own) = read(cx, token).filter(|own| own.exp > cx.now_secs() && asking.is_concerned(own)) else {
        return Ok(None);
    };
    let asked = Asked { realm: cx.realm_name().to_owned(), intent_id: own.intent_id, token_sha256: token_hash(token) };
    Ok(cx.app.live_tokens.ask(own.intent_id, asked).await?.then_some(own))
}

/// What is answered of a token (RFC 7662 §2.2).
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
    token_type: &'static str,
    issued_token_type: &'static str,
    scope: String,
    intent: &'a IntentRef,
    authorization_details: Vec<StepDetail<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txn: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    act: &'a Actor,
    cnf: &'a Confirmation,
}

/// An answer as a JWT for the caller (RFC 9701 §5).
///
/// # Errors
/// When the crypto library refuses.
pub fn sign_answer(cx: Context<'_>, asking: &Asking, answer: &RawValue) -> Result<String, FlowError> {
    let claims =
        SignedAnswer { iss: cx.issuer(), aud: asking.client_id(), iat: cx.now_secs(), token_introspection: answer };
    Ok(cx.realm.keyring.sign(Purpose::Introspection, &claims)?)
}

/// The claims of a signed answer (RFC 9701 §5).
#[derive(Serialize)]
struct SignedAnswer<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    token_introspection: &'a RawValue,
}
