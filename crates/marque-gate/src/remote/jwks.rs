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
/// once in five seconds; and every five minutes while a feed is followed. Keys that are known stay
/// when Marque cannot be reached: existing tokens keep verifying. Clones share the keys.
#[derive(Clone, Debug)]
pub struct RemoteKeys(Arc<Published>);

#[derive(Debug)]
struct Published {
    client: reqwest::Client,
    url: String,
    keys: RwLock<Arc<KeySet>>,
    last_look: Mutex<Option<Instant>>,
}

impl RemoteKeys {
    pub(super) fn new(client: reqwest::Client, url: String) -> Self {
        Self(Arc::new(Published { client, url, keys: RwLock::default(), last_look: Mutex::new(None) }))
    }

    /// Looks again if the keys are old.
    pub(super) async fn look_if_old(&self) {
        self.0.look(MAX_AGE, |_| true).await;
    }
}

impl Published {
    fn current(&self) -> Arc<KeySet> {
        self.keys.read().map(|keys| keys.clone()).unwrap_or_default()
    }

    /// Looks if it is still wanted once nobody else looks, and the last look is `pause` ago.
    async fn look(&self, pause: Duration, is_wanted: impl Fn(&KeySet) -> bool) {
        let mut last_look = self.last_look.lock().await;
        if last_look.is_some_and(|at| at.elapsed() < pause) || !is_wanted(&self.current()) {
            return;
        }
        *last_look = Some(Instant::now());
        match (self.fetch().await, self.keys.write()) {
            (Ok(keys), Ok(mut known)) => *known = Arc::new(keys),
            (Err(problem), _) => tracing::warn!(problem, "Marque's keys cannot be read"),
            (_, Err(_)) => {}
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
        self.0.current()
    }

    fn refreshed<'a>(&'a self, kid: &'a str) -> Pending<'a, Arc<KeySet>> {
        let (published, kid) = (self.0.clone(), kid.to_owned());
        Box::pin(async move {
            // In a task of its own: a caller who goes away must not break off the look of the others.
            let look = tokio::spawn(async move { published.look(PAUSE, |keys| !keys.has(&kid)).await });
            // A look that failed is one that taught nothing.
            let _ = look.await;
            self.current()
        })
    }
}
