//! The realm: its keys, its sign-in, and what the extension lets Marque read of users and clients.
//!
//! Every call has a deadline, and nothing here is needed to start: while Keycloak is away, approvals
//! and new authentications fail, and what was issued goes on being verified.

mod directory;
mod login;
mod realm_keys;

pub use directory::{ClientRecord, Directory, PasskeyRecord, UserRecord};
pub use login::{Login, LoginRequest, SignIn};
pub use realm_keys::RealmKeys;

use crate::clock::Clock;
use crate::config::RealmConfig;
use crate::keys::{Keyring, Purpose};
use crate::random;
use openidconnect::core::CoreProviderMetadata;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Seconds that Marque's own client assertion lives.
const ASSERTION_SECS: i64 = 60;

/// Why the realm gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum KeycloakError {
    /// Not reachable, too slow, or an answer of the wrong form: try again later.
    #[error("the realm gives no usable answer: {0}")]
    Unavailable(String),
    /// The realm answered that it refuses.
    #[error("the realm refuses: {0}")]
    Refused(String),
}

impl From<reqwest::Error> for KeycloakError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unavailable(error.without_url().to_string())
    }
}

/// One realm, seen from Marque.
pub struct Keycloak {
    realm: Arc<RealmConfig>,
    http: reqwest::Client,
    metadata: OnceCell<CoreProviderMetadata>,
    keyring: Arc<Keyring>,
    clock: Clock,
}

impl Keycloak {
    /// Prepares the client; asks nothing yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(realm: Arc<RealmConfig>, keyring: Arc<Keyring>, clock: Clock) -> Result<Self, KeycloakError> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { realm, http, metadata: OnceCell::new(), keyring, clock })
    }

    /// The realm's own description, fetched once it is first needed and kept. Its issuer is the
    /// configured one, byte for byte (OpenID Connect Discovery §4.3).
    async fn metadata(&self) -> Result<&CoreProviderMetadata, KeycloakError> {
        self.metadata.get_or_try_init(|| self.discover()).await
    }

    async fn discover(&self) -> Result<CoreProviderMetadata, KeycloakError> {
        let url = format!("{}/.well-known/openid-configuration", self.realm.keycloak_issuer);
        let metadata: CoreProviderMetadata = self.http.get(url).send().await?.error_for_status()?.json().await?;
        if metadata.issuer().as_str() != self.realm.keycloak_issuer {
            return Err(KeycloakError::Unavailable("its discovery document names another issuer".into()));
        }
        Ok(metadata)
    }

    async fn token_endpoint(&self) -> Result<String, KeycloakError> {
        let endpoint = self.metadata().await?.token_endpoint();
        endpoint.map(|url| url.to_string()).ok_or_else(|| KeycloakError::Unavailable("it has no token endpoint".into()))
    }

    /// The form fields that authenticate one of Marque's own clients (RFC 7523 §2.2).
    fn client_authentication(&self, client_id: &str) -> Result<Vec<(&'static str, String)>, KeycloakError> {
        let now = self.clock.now().unix_timestamp();
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": self.realm.keycloak_issuer,
            "jti": random::opaque_id(), "iat": now, "exp": now + ASSERTION_SECS,
        });
        let assertion = self.keyring.sign(Purpose::ClientAssertion, &claims);
        let assertion = assertion.map_err(|error| KeycloakError::Unavailable(error.to_string()))?;
        Ok(vec![
            ("client_id", client_id.into()),
            ("client_assertion_type", marque_core::names::ASSERTION_TYPE_JWT.into()),
            ("client_assertion", assertion),
        ])
    }

    /// Posts a form and reads a JSON answer; an OAuth error becomes [`KeycloakError::Refused`].
    async fn post(&self, url: &str, form: &[(&'static str, String)]) -> Result<serde_json::Value, KeycloakError> {
        let response = self.http.post(url).form(form).send().await?;
        let status = response.status();
        if status.is_server_error() {
            return Err(KeycloakError::Unavailable(format!("it answers {status}")));
        }
        let body: serde_json::Value = response.json().await?;
        if status.is_success() {
            return Ok(body);
        }
        let error = body.get("error").and_then(serde_json::Value::as_str).unwrap_or("no reason");
        Err(KeycloakError::Refused(format!("{status} {error}")))
    }
}
