//! An identity assertion for this authorization server (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant): the
//! word of a configured issuer that a user is there, for one client.

use super::authenticate_client::AuthenticatedClient;
use super::prove_user::{UserProof, refuse};
use super::{Context, OAuthError, Refusal};
use marque_core::claims::Confirmation;
use marque_core::reason::Reason;
use marque_core::times::{Lives, Times, TimesError};
use marque_core::{jws, limits, names};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Seconds from `iat` to `exp` at most.
const LIFETIME_SECS: i64 = 300;

/// Verifies an assertion: by whom, for whom, of when. The caller sees whether its subject is the plan's user.
///
/// # Errors
/// `expired_login_hint_token` if it is over, else `invalid_request`.
pub(super) fn verify(cx: Context<'_>, client: &AuthenticatedClient, raw: &str) -> Result<UserProof, Refusal> {
    let bad = |what: &str| refuse("login_hint_token", what);
    let claimed = jws::unverified_claims(raw).map_err(|error| bad(&error.to_string()))?;
    let known = text(&claimed, "iss")
        .and_then(|iss| cx.realm.config.identity_issuers.iter().find(|issuer| issuer.issuer == iss));
    let issuer = known.ok_or_else(|| bad("is of no identity issuer that the realm is configured with"))?;
    let claims = jws::verify(raw, names::TYP_ID_JAG, &issuer.keys()).and_then(|verified| verified.claims());
    let claims = claims.map_err(|error| bad(&error.to_string()))?;
    check(&claims, cx, client, (&issuer.issuer, &issuer.subject_claim))
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

fn check(
    claims: &Map<String, Value>,
    cx: Context<'_>,
    client: &AuthenticatedClient,
    (issuer, subject_claim): (&str, &str),
) -> Result<UserProof, Refusal> {
    let bad = |what: &str| refuse("login_hint_token", what);
    if text(claims, "iss") != Some(issuer) {
        return Err(bad("has another iss than it was looked up by"));
    }
    if text(claims, "aud") != Some(cx.issuer()) {
        return Err(bad(&format!("must have the aud {} alone", cx.issuer())));
    }
    if text(claims, "client_id") != Some(client.client_id()) {
        return Err(bad("was issued to another client (client_id)"));
    }
    expect_own_key(claims, client)?;
    let over_at = expect_in_time(claims, cx.now_secs())?;
    let jti =
        text(claims, "jti").filter(|jti| limits::is_single_use_id(jti)).ok_or_else(|| bad("has no usable jti"))?;
    let sub = text(claims, subject_claim);
    let sub = sub.ok_or_else(|| bad(&format!("has no {subject_claim} that names the user")))?;
    Ok(UserProof {
        parameter: "login_hint_token",
        issuer: issuer.to_owned(),
        jti: jti.to_owned(),
        over_at,
        sub: sub.to_owned(),
    })
}

/// One that is bound to a key serves its holder alone.
fn expect_own_key(claims: &Map<String, Value>, client: &AuthenticatedClient) -> Result<(), Refusal> {
    let Some(cnf) = claims.get("cnf") else { return Ok(()) };
    let is_own = Confirmation::deserialize(cnf).is_ok_and(|cnf| cnf == client.cnf);
    if is_own && client.has_proven {
        Ok(())
    } else {
        Err(refuse("login_hint_token", "is bound to a key or certificate (cnf): prove that one in this request"))
    }
}

/// From when on it proves nothing any more.
fn expect_in_time(claims: &Map<String, Value>, now: i64) -> Result<i64, Refusal> {
    let times = Times::check(claims, Lives::FromIssue(LIFETIME_SECS), now).map_err(|error| match error {
        TimesError::Over => {
            let text = "login_hint_token is over: get a new one";
            Refusal::new(OAuthError::ExpiredLoginHintToken, text).because(Reason::NotPaired)
        }
        error => refuse("login_hint_token", &error.to_string()),
    })?;
    Ok(times.over_at())
}
