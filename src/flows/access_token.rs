//! Access tokens for one resource server (RFC 9068, RFC 8707), beside transaction tokens.
//!
//! An ordinary OAuth library checks neither arguments nor uses, so a token is issued only where each call is decided on: at
//! locations whose resource server says that a gate stands before it, or that it asks Marque (`marque.gate`).

use super::authenticate_resource_server::answers_for;
use super::status_list::place;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::keys::Purpose;
use crate::store;
use marque_core::access_token::AccessClaims;
use marque_core::claims::{Carried, IntentClaims, TxnClaims};
use uuid::Uuid;

/// The client attribute that says so.
const GATE: &str = "marque.gate";

/// That each call at a location is decided on. The rows say only whom to ask about.
///
/// # Errors
/// `invalid_target` where that is not so; unavailable while the realm cannot be asked.
pub(super) async fn expect_gate(cx: Context<'_>, location: &str) -> Result<(), FlowError> {
    let mut conn = cx.app.db.look().await?;
    let newest = store::catalogs::find_newest(&mut conn, cx.realm_name(), location).await?;
    drop(conn);
    let record = match &newest {
        Some(row) => cx.realm.directory.find_client(&cx.realm.keycloak, &row.client_id).await?,
        None => None,
    };
    let is_gated = record.is_some_and(|record| {
        answers_for(&record, location) && record.attributes.get(GATE).is_some_and(|stated| stated == "true")
    });
    if is_gated {
        return Ok(());
    }
    let text = format!(
        "no resource server has said that each call at {location} is decided on (attribute {GATE}): \
         ask for a transaction token"
    );
    Err(Refusal::new(OAuthError::InvalidTarget, text).into())
}

/// Signs what a transaction token would say as an access token for one location, which has all of its steps.
///
/// # Errors
/// `invalid_request` where the steps are too long to travel in it.
pub(super) async fn sign(
    cx: Context<'_>,
    claims: &TxnClaims,
    (intent_id, jti): (Uuid, Uuid),
    location: &str,
) -> Result<String, FlowError> {
    let Carried::Inline(envelope) = &claims.tctx.carried else {
        let text = "the steps at the resource are too long for an access token: name fewer in authorization_details";
        return Err(Refusal::new(OAuthError::InvalidRequest, text).about(intent_id).into());
    };
    let status = Some(place(cx, intent_id, jti, claims.exp).await?);
    let access = AccessClaims {
        iss: claims.iss.clone(),
        aud: location.into(),
        sub: claims.sub.clone(),
        client_id: claims.req_wl.clone(),
        iat: claims.iat,
        exp: claims.exp,
        jti: claims.jti.clone(),
        scope: claims.scope.clone(),
        cnf: claims.cnf.clone(),
        act: claims.act.clone(),
        txn: claims.txn.clone(),
        intent: claims.tctx.intent.clone(),
        authorization_details: IntentClaims::details(envelope),
        bounds: envelope.bounds.clone(),
        status,
    };
    Ok(cx.realm.keyring.sign(Purpose::AccessToken, &access)?)
}
