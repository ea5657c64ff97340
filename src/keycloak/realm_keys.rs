//! The realm's public keys: fetched when a key id is unknown, by one caller at a time, and not more
//! often than every few seconds however many unknown key ids arrive.

use super::{Keycloak, KeycloakError};
use marque_core::jws::KeySet;
use serde_json::Value;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use tokio::sync::{Mutex, RwLock};

/// The realm is not asked again before this, whether it answered or not.
const REFETCH_AFTER: Duration = Duration::seconds(5);

/// The realm's keys as last fetched. Who needs a key that is known never waits for a fetch.
#[derive(Default)]
pub struct RealmKeys {
    fetched: RwLock<Arc<Fetched>>,
    last_attempt: Mutex<Option<OffsetDateTime>>,
}

#[derive(Default)]
struct Fetched {
    jwks: Value,
    keys: Arc<KeySet>,
}

impl RealmKeys {
    /// The key set, fetched anew if it does not have the key id.
    ///
    /// # Errors
    /// When the realm cannot be asked and the key id is unknown.
    pub async fn with(&self, keycloak: &Keycloak, kid: Option<&str>) -> Result<Arc<KeySet>, KeycloakError> {
        if let Some(keys) = self.known(kid).await {
            return Ok(keys);
        }
        let mut last_attempt = self.last_attempt.lock().await;
        if let Some(keys) = self.known(kid).await {
            return Ok(keys);
        }
        let now = keycloak.clock.now();
        if last_attempt.is_none_or(|at| now - at >= REFETCH_AFTER) {
            *last_attempt = Some(now);
            self.refresh(keycloak).await?;
        }
        match &self.current().await.keys {
            keys if keys.keys().is_empty() => Err(KeycloakError::Unavailable("its keys could not be fetched".into())),
            keys => Ok(keys.clone()),
        }
    }

    /// The JWK of a key id, as the realm publishes it.
    pub async fn jwk(&self, kid: &str) -> Option<Value> {
        let fetched = self.current().await;
        let keys = fetched.jwks.get("keys")?.as_array()?;
        keys.iter().find(|jwk| jwk.get("kid").and_then(Value::as_str) == Some(kid)).cloned()
    }

    /// The whole published set, fetched anew.
    ///
    /// # Errors
    /// When the realm cannot be asked.
    pub async fn published(&self, keycloak: &Keycloak) -> Result<Value, KeycloakError> {
        self.refresh(keycloak).await?;
        Ok(self.current().await.jwks.clone())
    }

    async fn current(&self) -> Arc<Fetched> {
        self.fetched.read().await.clone()
    }

    async fn known(&self, kid: Option<&str>) -> Option<Arc<KeySet>> {
        let fetched = self.current().await;
        kid.is_some_and(|kid| fetched.keys.has(kid)).then(|| fetched.keys.clone())
    }

    async fn refresh(&self, keycloak: &Keycloak) -> Result<(), KeycloakError> {
        let url = keycloak.metadata().await?.jwks_uri().url().clone();
        let jwks: Value = keycloak.http.get(url).send().await?.error_for_status()?.json().await?;
        let keys = Arc::new(KeySet::from_jwks(&jwks).map_err(KeycloakError::Unavailable)?);
        *self.fetched.write().await = Arc::new(Fetched { jwks, keys });
        Ok(())
    }
}
