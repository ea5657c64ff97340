//! What the extension's narrow endpoints say of one user or one client (service-account role `marque-read`).

use super::{Keycloak, KeycloakError};
use marque_core::jws::KeySet;
use marque_core::limits;
use moka::future::Cache;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// A client's record may be this old: how late a disabled agent is noticed at the latest.
const CLIENT_TTL: Duration = Duration::from_secs(5);
/// A resource server's record serves so long while the realm cannot be asked: calls under valid tokens go on.
const LAST_KNOWN_TTL: Duration = Duration::from_secs(600);
/// Questions to the realm at once: strangers who invent client ids wait behind each other.
const QUESTIONS: usize = 8;
/// Clients remembered at once.
const CLIENTS: u64 = 10_000;
/// An access token is renewed this long before its end.
const RENEW_BEFORE_SECS: i64 = 10;

/// A user as the realm knows her.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UserRecord {
    /// The realm's `sub`.
    pub sub: String,
    /// The user name.
    pub username: String,
    /// Whether she may sign in.
    pub enabled: bool,
    /// Her passkeys.
    pub passkeys: Vec<PasskeyRecord>,
    /// Whether it is a client's own account. An extension that does not say so speaks of no person.
    #[serde(rename = "service_account", default = "yes")]
    pub is_service_account: bool,
    /// Her realm roles, as far as they are Marque's.
    #[serde(default)]
    pub roles: Vec<String>,
}

const fn yes() -> bool {
    true
}

/// One passkey of a user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PasskeyRecord {
    /// Credential id, base64url.
    pub credential_id: String,
    /// COSE key, base64url.
    pub public_key: String,
}

/// A client as the realm knows it.
#[derive(Clone, Debug, Deserialize)]
pub struct ClientRecord {
    /// Its id.
    pub client_id: String,
    /// Whether it may do anything.
    pub enabled: bool,
    /// Its public keys; none if the realm's document holds none.
    #[serde(rename = "jwks", deserialize_with = "keys")]
    pub keys: KeySet,
    /// Its attributes `marque.*`.
    pub attributes: BTreeMap<String, String>,
}

fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeySet, D::Error> {
    Value::deserialize(deserializer).map(|jwks| KeySet::from_jwks(&jwks).unwrap_or_default())
}

impl ClientRecord {
    /// The space-separated words of an attribute.
    pub fn words(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.attributes.get(attribute).map(String::as_str).unwrap_or_default().split_ascii_whitespace()
    }

    /// Whether its assertions may name the token endpoint as audience (RFC 7523 §3): the attribute
    /// `marque.legacy_audience` is `true`.
    pub fn takes_legacy_audience(&self) -> bool {
        self.attributes.get("marque.legacy_audience").is_some_and(|given| given == "true")
    }

    /// Whether the attribute `marque.kind` is the given word.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.attributes.get("marque.kind").is_some_and(|given| given == kind)
    }
}

/// The realm's users and clients.
pub struct Directory {
    clients: Cache<String, Option<Arc<ClientRecord>>>,
    last_known: Cache<String, Arc<ClientRecord>>,
    questions: Semaphore,
    access_token: Mutex<Option<AccessToken>>,
}

struct AccessToken {
    token: String,
    expires_at: i64,
}

impl Default for Directory {
    fn default() -> Self {
        let clients = Cache::builder().max_capacity(CLIENTS).time_to_live(CLIENT_TTL).build();
        let last_known = Cache::builder().max_capacity(CLIENTS).time_to_live(LAST_KNOWN_TTL).build();
        Self { clients, last_known, questions: Semaphore::new(QUESTIONS), access_token: Mutex::new(None) }
    }
}

impl Directory {
    /// A client that has any attribute `marque.*`.
    ///
    /// # Errors
    /// When the realm cannot be asked.
    pub async fn find_client(
        &self,
        keycloak: &Keycloak,
        client_id: &str,
    ) -> Result<Option<Arc<ClientRecord>>, KeycloakError> {
        if !is_path_segment(client_id) {
            return Ok(None);
        }
        if let Some(client) = self.clients.get(client_id).await {
            return Ok(client);
        }
        let found: Option<ClientRecord> = self.read(keycloak, "clients", client_id).await?;
        let client = found.filter(|client| client.client_id == client_id).map(Arc::new);
        self.clients.insert(client_id.into(), client.clone()).await;
        match &client {
            Some(client) => self.last_known.insert(client_id.into(), client.clone()).await,
            None => self.last_known.invalidate(client_id).await,
        }
        Ok(client)
    }

    /// [`Self::find_client`]; while the realm cannot be asked, what it last said. Only for who proves to
    /// be the client with a token of the realm that is still valid.
    ///
    /// # Errors
    /// When the realm cannot be asked and has not said anything of the client lately.
    pub async fn find_client_or_last_known(
        &self,
        keycloak: &Keycloak,
        client_id: &str,
    ) -> Result<Option<Arc<ClientRecord>>, KeycloakError> {
        match self.find_client(keycloak, client_id).await {
            Err(KeycloakError::Unavailable(problem)) => match self.last_known.get(client_id).await {
                Some(client) => Ok(Some(client)),
                None => Err(KeycloakError::Unavailable(problem)),
            },
            answered => answered,
        }
    }

    /// A user, never from memory.
    ///
    /// # Errors
    /// When the realm cannot be asked.
    pub async fn find_user(&self, keycloak: &Keycloak, sub: &str) -> Result<Option<UserRecord>, KeycloakError> {
        let found: Option<UserRecord> = self.read(keycloak, "users", sub).await?;
        Ok(found.filter(|user| user.sub == sub))
    }

    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        keycloak: &Keycloak,
        kind: &str,
        id: &str,
    ) -> Result<Option<T>, KeycloakError> {
        let _place =
            self.questions.acquire().await.map_err(|_| KeycloakError::Unavailable("it is not asked".into()))?;
        let token = self.access_token(keycloak).await?;
        let mut url: url::Url = format!("{}/marque/{kind}", keycloak.realm.keycloak_issuer)
            .parse()
            .map_err(|_| KeycloakError::Unavailable("its issuer is no URL".into()))?;
        url.path_segments_mut().map_err(|()| KeycloakError::Unavailable("its issuer is no URL".into()))?.push(id);
        let response = keycloak.http.get(url).bearer_auth(token).send().await?;
        match response.status().as_u16() {
            200 => Ok(Some(response.json().await?)),
            404 => Ok(None),
            401 | 403 => {
                *self.access_token.lock().await = None;
                Err(KeycloakError::Refused("reading users and clients needs the role marque-read".into()))
            }
            status => Err(KeycloakError::Unavailable(format!("it answers {status}"))),
        }
    }

    async fn access_token(&self, keycloak: &Keycloak) -> Result<String, KeycloakError> {
        let mut kept = self.access_token.lock().await;
        let now = keycloak.clock.now().unix_timestamp();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.expires_at - RENEW_BEFORE_SECS > now) {
            return Ok(kept.token.clone());
        }
        let mut form = keycloak.client_authentication(&keycloak.realm.keycloak_client_id)?;
        form.push(("grant_type", "client_credentials".into()));
        let answer = keycloak.post(&keycloak.token_endpoint().await?, &form).await?;
        let token = answer.get("access_token").and_then(Value::as_str);
        let token = token.ok_or_else(|| KeycloakError::Unavailable("its answer has no access_token".into()))?;
        let lifetime = answer.get("expires_in").and_then(Value::as_i64).unwrap_or(0);
        *kept = Some(AccessToken { token: token.into(), expires_at: now + lifetime });
        Ok(token.into())
    }
}

/// Whether an id can be asked for as it is: as one segment of a path that nothing rewrites.
fn is_path_segment(id: &str) -> bool {
    limits::is_single_use_id(id) && !matches!(id, "." | "..") && !id.contains(['/', '\\', '%', '?', '#'])
}
