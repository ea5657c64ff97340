//! Resource servers authenticate with a Keycloak access token whose only audience is Marque.
//!
//! 1. Signed by the realm, an access token and not an ID token.
//! 2. The sole audience is this issuer.
//! 3. Not over.
//! 4. Its client is an enabled resource server of the realm.

use super::live_intents::UserProperty;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::keycloak::ClientRecord;
use marque_core::jws::{self, JwsError, KeySet, Verified};
use marque_core::times::{Lives, Times};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A resource server that proved who it is.
#[derive(Clone, Debug)]
pub struct ResourceServer {
    record: Arc<ClientRecord>,
}

impl ResourceServer {
    /// Its client id.
    pub fn client_id(&self) -> &str {
        &self.record.client_id
    }

    /// Its registered public keys (RFC 7517).
    pub fn keys(&self) -> &KeySet {
        &self.record.keys
    }

    /// Whether it may ask for decisions by a user's name instead of a token, and by which of her names: the attribute
    /// `marque.resolve_by_subject` is `sub` (or `true`) or `username`.
    pub fn resolves_by(&self) -> Option<UserProperty> {
        match self.record.attributes.get("marque.resolve_by_subject").map(String::as_str) {
            Some("sub" | "true") => Some(UserProperty::Sub),
            Some("username") => Some(UserProperty::Username),
            _ => None,
        }
    }

    /// The location that a request is about: the stated one, or the only one that it answers for.
    ///
    /// # Errors
    /// `invalid_target` if it does not answer for the stated one, `invalid_request` if none is stated and there are
    /// several.
    pub fn location<'a>(&'a self, stated: Option<&'a str>) -> Result<&'a str, Refusal> {
        let mut own = self.record.words("marque.locations");
        match (stated, own.next(), own.next()) {
            (Some(stated), _, _) if self.answers_for(stated) => Ok(stated),
            (None, Some(only), None) => Ok(only),
            (None, Some(_), Some(_)) => {
                let text = "$.context.location: is missing, and the client answers for several locations";
                Err(Refusal::new(OAuthError::InvalidRequest, text))
            }
            _ => {
                let text = "context.location: the client does not answer for it (attribute marque.locations)";
                Err(Refusal::new(OAuthError::InvalidTarget, text))
            }
        }
    }

    /// Whether it answers for a location: catalogs, evaluations and results for it are taken from it alone.
    pub fn answers_for(&self, location: &str) -> bool {
        answers_for(&self.record, location)
    }
}

/// Whether a client of the realm answers for a location.
pub(super) fn answers_for(record: &ClientRecord, location: &str) -> bool {
    record.enabled
        && record.is_kind("resource-server")
        && record.words("marque.locations").any(|given| given == location)
}

/// Authenticates a resource server by its access token.
///
/// # Errors
/// `invalid_token`; `insufficient_scope` if the client is no resource server; unavailable while the realm cannot be asked.
pub async fn authenticate_resource_server(
    cx: Context<'_>,
    access_token: Option<&str>,
) -> Result<ResourceServer, FlowError> {
    let claims = verify_access_token(cx, access_token).await?;
    let client_id = claims.get("azp").and_then(Value::as_str).ok_or_else(|| refuse("the access token has no azp"))?;
    let record = cx.realm.directory.find_client_or_last_known(&cx.realm.keycloak, client_id).await?;
    match record.filter(|record| record.enabled && record.is_kind("resource-server")) {
        Some(record) => Ok(ResourceServer { record }),
        None => {
            let text = "the client is no enabled resource server (attribute marque.kind=resource-server)";
            Err(Refusal::new(OAuthError::InsufficientScope, text).into())
        }
    }
}

/// The claims of an access token of the realm for Marque alone, which is not over.
///
/// # Errors
/// `invalid_token`; unavailable while the realm's keys cannot be asked for.
pub(super) async fn verify_access_token(
    cx: Context<'_>,
    access_token: Option<&str>,
) -> Result<Arc<Map<String, Value>>, FlowError> {
    let token = access_token.ok_or_else(|| {
        Refusal::new(OAuthError::MissingToken, "send Authorization: Bearer with an access token of the realm")
    })?;
    let kid = jws::unverified_kid(token);
    let keys = cx.realm.realm_keys.with(&cx.realm.keycloak, kid.as_deref()).await?;
    let claims = cx.realm.access_tokens.read(token, &keys, Verified::claims);
    let claims = claims.map_err(|error: JwsError| refuse(format!("the access token {error}")))?;
    check(&claims, cx)?;
    Ok(claims)
}

pub(super) fn refuse(description: impl Into<String>) -> Refusal {
    Refusal::new(OAuthError::InvalidToken, description)
}

fn check(claims: &Map<String, Value>, cx: Context<'_>) -> Result<(), Refusal> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // RFC 9449 §7.2: sent as Bearer it would be anybody's who copied it. Keycloak's `typ` says it too.
    if claims.contains_key("cnf") || text("typ") == Some("DPoP") {
        return Err(refuse("the access token is bound to a key, which is not proven here: use an unbound one"));
    }
    if text("typ") != Some("Bearer") {
        return Err(refuse("the token is not an access token"));
    }
    if text("iss") != Some(&cx.realm.config.keycloak_issuer) {
        return Err(refuse("the access token is of another issuer"));
    }
    let audience = match claims.get("aud") {
        Some(Value::String(audience)) => Some(audience.as_str()),
        Some(Value::Array(audiences)) if audiences.len() == 1 => audiences.first().and_then(Value::as_str),
        _ => None,
    };
    if audience != Some(cx.issuer()) {
        return Err(refuse(format!("the access token's only audience must be {}", cx.issuer())));
    }
    let times = Times::check(claims, Lives::AsIssued, cx.now_secs());
    times.map(drop).map_err(|error| refuse(format!("the access token {error}")))
}
