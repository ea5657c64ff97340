//! Marque's published keys, kept and learned anew when needed.

use super::{ANSWER, plainly};
use crate::keys::{KeySource, Pending};
use marque_core::jws::KeySet;
use marque_core::limits;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an unknown key id waits for the next look: a new key is used only some time after it is
/// published, while anybody can invent key ids.
const PAUSE: Duration = Duration::from_secs(5);
/// How long keys are used without another look, so that a withdrawn key does not stay forever.
const MAX_AGE: Duration = Duration::from_secs(300);

/// A JWK set at a URL (RFC 7517 §5): fetched when a key is unknown, by one caller at a time, at most
/// once in five seconds; and every five minutes.
#[derive(Debug)]
pub struct RemoteKeys {
    client: reqwest::Client,
    url: String,
    keys: RwLock<Arc<KeySet>>,
    last_look: Mutex<Option<Instant>>,
}

impl RemoteKeys {
    pub(super) fn new(client: reqwest::Client, url: String) -> Self {
        Self { client, url, keys: RwLock::default(), last_look: Mutex::new(None) }
    }

    /// Looks again if the keys are older than five minutes. Keys that are known stay when Marque
    /// cannot be reached: existing tokens keep verifying.
    pub(super) async fn look_if_old(&self) {
        let mut last_look = self.last_look.lock().await;
        if last_look.is_none_or(|at| at.elapsed() >= MAX_AGE) {
            *last_look = Some(Instant::now());
            self.look().await;
        }
    }

    async fn learn(&self, kid: &str) -> Arc<KeySet> {
        // Who waits for the lock while another one fetches finds the key, or the pause, afterwards.
        let mut last_look = self.last_look.lock().await;
        let may_look = last_look.is_none_or(|at| at.elapsed() >= PAUSE);
        if !self.current().has(kid) && may_look {
            *last_look = Some(Instant::now());
            self.look().await;
        }
        self.current()
    }

    async fn look(&self) {
        match self.fetch().await {
            Ok(keys) => {
                if let Ok(mut known) = self.keys.write() {
                    *known = Arc::new(keys);
                }
            }
            Err(problem) => tracing::warn!(problem, "Marque's keys cannot be read"),
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let answer = self.client.get(&self.url).timeout(ANSWER).send().await.map_err(plainly)?;
        let bytes = super::ledger::body_of(answer, 200, limits::JWS_BYTES).await?;
        let jwks = marque_core::json::parse_call(&bytes, limits::JWS_BYTES).map_err(|refused| refused.to_string())?;
        let keys = KeySet::from_jwks(&jwks)?;
        if keys.keys().is_empty() { Err("there is no key among them".into()) } else { Ok(keys) }
    }
}

impl KeySource for RemoteKeys {
    fn current(&self) -> Arc<KeySet> {
        self.keys.read().map(|keys| keys.clone()).unwrap_or_default()
    }

    fn refreshed<'a>(&'a self, kid: &'a str) -> Pending<'a, Arc<KeySet>> {
        Box::pin(self.learn(kid))
    }
}
