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
use marque_core::claims::{IntentClaims, token_hash};
use marque_core::envelope::Envelope;
use serde_json::{Map, Value, json};

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

    /// The steps that concern the caller.
    fn narrow(&self, mut envelope: Envelope) -> Envelope {
        if let Self::ResourceServer(resource_server) = self {
            envelope.steps.retain(|step| resource_server.answers_for(&step.location));
        }
        envelope
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

/// Answers what a token means for the caller.
///
/// # Errors
/// When the database cannot be asked.
pub async fn introspect_token(cx: Context<'_>, asking: &Asking, token: &str) -> Result<Value, FlowError> {
    let active = look(cx, asking, token).await?;
    Ok(active.unwrap_or_else(|| json!({"active": false})))
}

async fn look(cx: Context<'_>, asking: &Asking, token: &str) -> Result<Option<Value>, FlowError> {
    let Some(own) = read(cx, token).filter(|own| own.exp > cx.now_secs() && asking.is_concerned(own)) else {
        return Ok(None);
    };
    let asked = Asked { realm: cx.realm_name().to_owned(), intent_id: own.intent_id, token_sha256: token_hash(token) };
    if !cx.app.live_tokens.ask(own.intent_id, asked).await? {
        return Ok(None);
    }
    let Some(envelope) = envelopes::carried(cx, &own.carried).await? else { return Ok(None) };
    let envelope = asking.narrow(envelope.into_owned());
    Ok((!envelope.steps.is_empty()).then(|| describe(cx, &own, &envelope)))
}

fn describe(cx: Context<'_>, own: &OwnToken, envelope: &Envelope) -> Value {
    let mut answer = json!({
        "active": true,
        "iss": cx.issuer(),
        "aud": own.aud,
        "sub": own.sub,
        "client_id": own.client_id(),
        "iat": own.iat,
        "exp": own.exp,
        "jti": own.jti,
        "token_type": own.kind.token_type(&own.cnf),
        "issued_token_type": own.kind.identifier(),
        "scope": envelope.scope(),
        "intent": own.intent,
        "authorization_details": IntentClaims::details(envelope),
    });
    let mut more = Map::new();
    more.extend(own.txn.map(|txn| ("txn".to_owned(), txn.to_string().into())));
    if let Some((acr, auth_time)) = &own.signed_in {
        more.extend([("acr".to_owned(), json!(acr)), ("auth_time".to_owned(), json!(auth_time))]);
    }
    more.extend([("act".to_owned(), json!(own.act)), ("cnf".to_owned(), json!(own.cnf))]);
    if let Some(members) = answer.as_object_mut() {
        members.extend(more);
    }
    answer
}

/// An answer as a JWT for the caller (RFC 9701 §5).
///
/// # Errors
/// When the crypto library refuses.
pub fn sign_answer(cx: Context<'_>, asking: &Asking, answer: &Value) -> Result<String, FlowError> {
    let claims = json!({
        "iss": cx.issuer(), "aud": asking.client_id(), "iat": cx.now_secs(), "token_introspection": answer,
    });
    Ok(cx.realm.keyring.sign(Purpose::Introspection, &claims)?)
}
