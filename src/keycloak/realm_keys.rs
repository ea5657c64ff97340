//! The realm's public keys: fetched when a key id is unknown, by one caller at a time, and not more
//! often than every few seconds however many unknown key ids arrive.

use super::{Keycloak, KeycloakError};
use marque_core::jws::KeySet;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::sync::RwLock;

/// A key id that is still unknown is not asked for again before this.
const REFETCH_AFTER: Duration = Duration::seconds(5);

/// The realm's keys as last fetched.
#[derive(Default)]
pub struct RealmKeys(RwLock<Fetched>);

#[derive(Default)]
struct Fetched {
    jwks: Value,
    keys: KeySet,
    at: Option<OffsetDateTime>,
}

impl RealmKeys {
    /// The key set, fetched anew if it does not have the key id.
    ///
    /// # Errors
    /// When the realm cannot be asked and the key id is unknown.
    pub async fn with(&self, keycloak: &Keycloak, kid: Option<&str>) -> Result<KeySet, KeycloakError> {
        let known = |fetched: &Fetched| kid.map_or(fetched.at.is_some(), |kid| fetched.keys.has(kid));
        {
            let fetched = self.0.read().await;
            if known(&fetched) {
                return Ok(fetched.keys.clone());
            }
        }
        let mut fetched = self.0.write().await;
        let now = keycloak.clock.now();
        if !known(&fetched) && fetched.at.is_none_or(|at| now - at >= REFETCH_AFTER) {
            *fetched = fetch(keycloak, now).await?;
        }
        Ok(fetched.keys.clone())
    }

    /// The JWK of a key id, as the realm publishes it.
    pub async fn jwk(&self, kid: &str) -> Option<Value> {
        let fetched = self.0.read().await;
        let keys = fetched.jwks.get("keys")?.as_array()?;
        keys.iter().find(|jwk| jwk.get("kid").and_then(Value::as_str) == Some(kid)).cloned()
    }

    /// The whole published set, fetched anew.
    ///
    /// # Errors
    /// When the realm cannot be asked.
    pub async fn published(&self, keycloak: &Keycloak) -> Result<Value, KeycloakError> {
        let fresh = fetch(keycloak, keycloak.clock.now()).await?;
        let jwks = fresh.jwks.clone();
        *self.0.write().await = fresh;
        Ok(jwks)
    }
}

async fn fetch(keycloak: &Keycloak, now: OffsetDateTime) -> Result<Fetched, KeycloakError> {
    let url = keycloak.metadata().await?.jwks_uri().url().clone();
    let jwks: Value = keycloak.http.get(url).send().await?.error_for_status()?.json().await?;
    let keys = KeySet::from_jwks(&jwks).map_err(KeycloakError::Unavailable)?;
    Ok(Fetched { jwks, keys, at: Some(now) })
}
