//! A token of the realm as client assertion (RFC 7523): for a client that has no key of its own for Marque, and gets an access
//! token for Marque alone from Keycloak.
//!
//! 1. Signed by the realm, an access token and not an ID token; not over.
//! 2. The sole audience is this issuer.
//! 3. It is bound to a key: a token that anybody could present proves no client.
//! 4. Its client is an enabled one of the realm.
//! 5. Its subject is that client's own service account, as the realm says now: the client got it for itself, and not by a
//!    person's leave. RFC 7523 §3 wants the client id as `sub`, and Keycloak gives the account's; `azp` names the client.

use super::{Asserted, Context, FlowError, Refusal, refuse, single_use_id, text, times};
use crate::keycloak::ClientRecord;
use marque_core::times::Lives;
use marque_core::{jws, names};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What Keycloak puts before a client's id to name its account.
const SERVICE_ACCOUNT: &str = "service-account-";

/// Checks an assertion that the realm signed.
pub(super) async fn check(cx: Context<'_>, assertion: &str) -> Result<(Arc<ClientRecord>, Asserted), FlowError> {
    let kid = jws::unverified_kid(assertion);
    let keys = cx.realm.realm_keys.with(&cx.realm.keycloak, kid.as_deref()).await?;
    let verified = jws::verify(assertion, names::TYP_JWT, &keys).and_then(|verified| verified.claims());
    let claims = verified.map_err(|error| refuse(format!("client_assertion {error}")))?;
    let bound = check_claims(cx, &claims)?;
    let (jti, times) = (single_use_id(&claims)?, times(&claims, Lives::AsIssued, cx.now_secs())?);
    let (client_id, sub) = (text(&claims, "azp")?, text(&claims, "sub")?);
    let record = cx.realm.directory.find_client(&cx.realm.keycloak, client_id).await?;
    let record = record.filter(|record| record.enabled);
    let record = record.ok_or_else(|| refuse("client_assertion: its azp is no enabled client of this realm"))?;
    let account = cx.realm.directory.find_user(&cx.realm.keycloak, sub).await?;
    let name = format!("{SERVICE_ACCOUNT}{}", client_id.to_lowercase());
    if !account.is_some_and(|account| account.enabled && account.is_service_account && account.username == name) {
        let text =
            "client_assertion: its sub is not its client's own account: get it with the grant client_credentials";
        return Err(refuse(text).into());
    }
    Ok((record, Asserted { kind: "realm-assertion", jti, times, jkt: Some(bound) }))
}

/// The key that it is bound to, if it is an access token of the realm for this issuer alone.
fn check_claims(cx: Context<'_>, claims: &Map<String, Value>) -> Result<String, Refusal> {
    if text(claims, "iss")? != cx.realm.config.keycloak_issuer {
        return Err(refuse("client_assertion is of another issuer"));
    }
    // Keycloak's own claim: "ID" and others are no access tokens.
    if !["Bearer", "DPoP"].contains(&text(claims, "typ")?) {
        return Err(refuse("client_assertion: a token of the realm must be an access token"));
    }
    let audience = match claims.get("aud") {
        Some(Value::Array(audiences)) if audiences.len() == 1 => audiences.first(),
        other => other,
    };
    if audience.and_then(Value::as_str) != Some(cx.issuer()) {
        return Err(refuse(format!("client_assertion: aud must be {} alone", cx.issuer())));
    }
    let methods = claims.get("cnf").and_then(Value::as_object).into_iter().flatten();
    let mut methods = methods.filter(|(name, value)| !is_kind_of_key(name, value));
    match (methods.next(), methods.next()) {
        (Some((method, Value::String(jkt))), None) if method == "jkt" => Ok(jkt.clone()),
        _ => Err(refuse("client_assertion: a token of the realm must be bound to the DPoP key alone (cnf.jkt)")),
    }
}

/// What Keycloak says beside `jkt`: that the thumbprint is of a DPoP key. Any other member is one more confirmation method,
/// which would be believed and not checked.
fn is_kind_of_key(name: &str, value: &Value) -> bool {
    name == "kc-jkt-type" && value == "DPoP"
}
