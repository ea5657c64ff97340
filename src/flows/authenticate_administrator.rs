//! Administrators authenticate with a Keycloak access token that is theirs, fresh, and issued to the one client that the
//! configuration names for them.
//!
//! 1. Signed by the realm, an access token, for Marque alone, not over.
//! 2. Issued to the administration client (`azp`), which is no agent, resource server or client of Marque's own: whoever
//!    else an administrator once gave a token to cannot decide with it.
//! 3. Issued lately, whatever its lifetime: a token that leaked is worth little.
//! 4. Its roles hold the administrator's.
//! 5. The realm, asked again and not from memory, still knows the person: enabled, no service account, with the role.
//!
//! What stays: the token is a bearer's. Whoever takes it from the administration client within its time decides in her name.

use super::authenticate_resource_server::{refuse, verify_access_token};
use super::{Context, FlowError, OAuthError, Refusal};
use marque_core::{limits, names};
use serde_json::{Map, Value};

/// How long after its issue an access token is taken, in seconds: Keycloak's own default lifetime.
const FRESH_SECS: i64 = 300;

/// An administrator of the realm, as the realm says.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// Her id at the realm.
    pub sub: String,
    /// Her user name at the time, for people.
    pub username: Option<String>,
    /// The client that she acts through.
    pub client_id: String,
}

/// Authenticates an administrator by her access token.
///
/// # Errors
/// `invalid_token`; `insufficient_scope` for another client, for what is no person, and without the realm role;
/// unavailable while the realm cannot be asked.
pub async fn authenticate_administrator(
    cx: Context<'_>,
    access_token: Option<&str>,
) -> Result<Administrator, FlowError> {
    let claims = verify_access_token(cx, access_token).await?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let client_id = text("azp").ok_or_else(|| refuse("the access token has no azp"))?;
    expect_administration_client(cx, &client_id).await?;
    let sub = text("sub").ok_or_else(|| refuse("the access token has no sub"))?;
    expect_fresh(cx, &claims)?;
    let roles = claims.get("realm_access").and_then(|access| access.get("roles")).and_then(Value::as_array);
    if !roles.is_some_and(|roles| roles.iter().any(|role| role == names::ROLE_ADMINISTRATOR)) {
        return Err(insufficient(format!("the access token carries no realm role {}", names::ROLE_ADMINISTRATOR)));
    }
    let username = expect_person(cx, &sub).await?;
    Ok(Administrator { sub, username: Some(username), client_id })
}

fn insufficient(text: impl Into<String>) -> FlowError {
    Refusal::new(OAuthError::InsufficientScope, text).into()
}

async fn expect_administration_client(cx: Context<'_>, client_id: &str) -> Result<(), FlowError> {
    let Some(expected) = cx.realm.config.admin_client_id.as_deref() else {
        return Err(insufficient("the realm's configuration names no administration client (admin_client_id)"));
    };
    if client_id != expected {
        let text =
            format!("the access token was issued to {client_id:?}, not to the administration client {expected:?}");
        return Err(insufficient(text));
    }
    // A client that the realm speaks of to Marque is an agent or a resource server, and acts for itself.
    match cx.realm.directory.find_client(&cx.realm.keycloak, client_id).await? {
        Some(record) if record.attributes.contains_key("marque.kind") => {
            Err(insufficient("the administration client is an agent or resource server (attribute marque.kind)"))
        }
        _ => Ok(()),
    }
}

fn expect_fresh(cx: Context<'_>, claims: &Map<String, Value>) -> Result<(), FlowError> {
    let age = claims.get("iat").and_then(Value::as_i64).map(|iat| cx.now_secs().saturating_sub(iat));
    match age {
        Some(age) if (-limits::CLOCK_LEEWAY_SECS..=FRESH_SECS).contains(&age) => Ok(()),
        _ => {
            let text = format!("the access token was not issued within the last {FRESH_SECS} seconds: get a new one");
            Err(refuse(text).into())
        }
    }
}

/// Her user name, as the realm knows her now.
async fn expect_person(cx: Context<'_>, sub: &str) -> Result<String, FlowError> {
    let user = cx.realm.directory.find_user(&cx.realm.keycloak, sub).await?;
    let user = user.filter(|user| user.enabled).ok_or_else(|| insufficient("the realm has no such enabled user"))?;
    if user.is_service_account {
        return Err(insufficient("a service account is nobody: an administrator is a person who signed in"));
    }
    if !user.roles.iter().any(|role| role == names::ROLE_ADMINISTRATOR) {
        return Err(insufficient(format!("the user has the realm role {} no longer", names::ROLE_ADMINISTRATOR)));
    }
    Ok(user.username)
}
