//! Administrators authenticate with a Keycloak access token whose only audience is Marque and which carries their role.

use super::authenticate_resource_server::{refuse, verify_access_token};
use super::{Context, FlowError, OAuthError, Refusal};
use marque_core::names;
use serde_json::Value;

/// An administrator of the realm, as her access token says.
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
/// `invalid_token`; `insufficient_scope` without the realm role; unavailable while the realm cannot be asked.
pub async fn authenticate_administrator(
    cx: Context<'_>,
    access_token: Option<&str>,
) -> Result<Administrator, FlowError> {
    let claims = verify_access_token(cx, access_token).await?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let roles = claims.get("realm_access").and_then(|access| access.get("roles")).and_then(Value::as_array);
    if !roles.is_some_and(|roles| roles.iter().any(|role| role == names::ROLE_ADMINISTRATOR)) {
        let text = format!("the access token carries no realm role {}", names::ROLE_ADMINISTRATOR);
        return Err(Refusal::new(OAuthError::InsufficientScope, text).into());
    }
    Ok(Administrator {
        sub: text("sub").ok_or_else(|| refuse("the access token has no sub"))?,
        username: text("preferred_username"),
        client_id: text("azp").ok_or_else(|| refuse("the access token has no azp"))?,
    })
}
