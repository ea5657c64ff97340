//! `private_key_jwt` (RFC 7523 §3 as tightened by rfc7523bis).
//!
//! 1. Its issuer is an enabled client of the realm, whose keys the realm answers for.
//! 2. Signature; `iss` = `sub`; the sole audience is this issuer; short-lived.

use super::{Asserted, Context, FlowError, Refusal, refuse, single_use_id, text, times};
use crate::keycloak::ClientRecord;
use marque_core::jws::{self, JwsError, KeySet};
use marque_core::names;
use marque_core::times::Lives;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Seconds that an assertion may live: longer only helps who copied it.
const ASSERTION_SECS: i64 = 300;

/// Checks an assertion that a client signed; `claimed` is what it says, not yet believed.
pub(super) async fn check(
    cx: Context<'_>,
    assertion: &str,
    claimed: &Map<String, Value>,
) -> Result<(Arc<ClientRecord>, Asserted), FlowError> {
    let client_id = text(claimed, "iss")?;
    let record = cx.realm.directory.find_client(&cx.realm.keycloak, client_id).await?;
    // One answer for a client that is not there and for a signature that is not its own: strangers learn no ids.
    let record = record.filter(|record| record.enabled);
    let none = KeySet::default();
    let claims = verify(assertion, record.as_ref().map_or(&none, |record| &record.keys))?;
    let record = record.ok_or_else(not_its_own)?;
    if text(&claims, "sub")? != client_id || text(&claims, "iss")? != client_id {
        return Err(refuse("client_assertion: iss and sub must both be the client_id").into());
    }
    check_audience(cx, &record, &claims)?;
    let times = times(&claims, Lives::FromNow(ASSERTION_SECS), cx.now_secs())?;
    let jti = single_use_id(&claims)?;
    Ok((record, Asserted { kind: "assertion", jti, times, jkt: None }))
}

/// The issuer alone. Clients that cannot be changed may be allowed what RFC 7523 §3 recommended: the token endpoint, for
/// whichever endpoint it is.
fn check_audience(cx: Context<'_>, record: &ClientRecord, claims: &Map<String, Value>) -> Result<(), Refusal> {
    let issuer = cx.issuer();
    match claims.get("aud").and_then(Value::as_str) {
        Some(audience) if audience == issuer => Ok(()),
        Some(audience) if record.takes_legacy_audience() && audience == format!("{issuer}/token") => Ok(()),
        _ => Err(refuse(format!("client_assertion: aud must be {issuer} alone"))),
    }
}

fn not_its_own() -> Refusal {
    refuse("client_assertion is not signed by a key of an enabled client of this realm whose id is its iss")
}

/// The type that rfc7523bis gives assertions, or a plain JWT: nothing else that the key signs.
fn verify(assertion: &str, keys: &KeySet) -> Result<Map<String, Value>, Refusal> {
    let typed = jws::verify(assertion, names::TYP_CLIENT_ASSERTION, keys);
    let verified = match typed {
        Err(JwsError::WrongType(_)) => jws::verify(assertion, names::TYP_JWT, keys),
        other => other,
    };
    verified.and_then(|verified| verified.claims()).map_err(|error| match error {
        JwsError::UnknownKey | JwsError::BadSignature => not_its_own(),
        error => refuse(format!("client_assertion {error}")),
    })
}
