//! Marque's published keys, kept and learned anew when needed.

use super::{ANSWER, plainly};
use crate::clock;
use crate::keys::{KeySource, Pending};
use marque_core::jws::KeySet;
use marque_core::limits;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// How long an unknown key id waits for the next look: a new key is used only some time after it is
/// published, while anybody can invent key ids.
const PAUSE: Duration = Duration::from_secs(5);
/// The same after a look that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long keys are used without another look while a feed is followed: a withdrawn key goes without its feed too.
const LOOK_AFTER: Duration = Duration::from_secs(60);

/// A JWK set at a URL (RFC 7517 §5): fetched when a key is unknown, by one caller at a time, at most
/// once in five seconds; and every minute while a feed is followed. When they cannot be read again, the known keys are
/// believed for [`GateConfig::KEY_MAX_AGE`](crate::GateConfig::KEY_MAX_AGE) unless configured otherwise, and then there
/// are none. Clones share the keys.
#[derive(Clone, Debug)]
pub struct RemoteKeys(Arc<Published>);

#[derive(Debug)]
struct Published {
    client: reqwest::Client,
    url: String,
    max_age: Duration,
    known: RwLock<Known>,
    last_look: Mutex<Option<Look>>,
}

/// The keys of the last look that succeeded.
#[derive(Debug, Default)]
struct Known {
    keys: Arc<KeySet>,
    read_at: Option<(Instant, i64)>,
}

impl Known {
    /// How long ago they were read: by the clock that nobody sets, or by the one that goes on while a machine sleeps,
    /// whichever says longer.
    fn age(&self) -> Option<Duration> {
        let (instant, secs) = self.read_at?;
        let by_the_other = u64::try_from(clock::now().saturating_sub(secs)).unwrap_or(0);
        Some(instant.elapsed().max(Duration::from_secs(by_the_other)))
    }
}

#[derive(Debug)]
struct Look {
    at: Instant,
    pause: Duration,
}

impl RemoteKeys {
    pub(super) fn new(client: reqwest::Client, url: String, max_age: Duration) -> Self {
        let (known, last_look) = (RwLock::default(), Mutex::new(None));
        Self(Arc::new(Published { client, url, max_age, known, last_look }))
    }

    /// Looks again each time that the keys are old, as long as it is polled.
    pub(super) async fn keep_fresh(&self) {
        let look_after = LOOK_AFTER.min(self.0.max_age / 2);
        loop {
            self.0.look(|known| known.age().is_none_or(|age| age >= look_after)).await;
            sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}

impl Published {
    fn current(&self) -> Arc<KeySet> {
        let Ok(known) = self.known.read() else { return Arc::default() };
        if self.is_old(&known) { Arc::default() } else { known.keys.clone() }
    }

    fn is_old(&self, known: &Known) -> bool {
        known.age().is_none_or(|age| age > self.max_age)
    }

    /// Looks if it is still wanted once nobody else looks, and the pause after the last look is over.
    async fn look(&self, is_wanted: impl Fn(&Known) -> bool) {
        let mut last_look = self.last_look.lock().await;
        let is_pause = last_look.as_ref().is_some_and(|look| look.at.elapsed() < look.pause);
        if is_pause || !self.known.read().is_ok_and(|known| is_wanted(&known)) {
            return;
        }
        let (at, now) = (Instant::now(), clock::now());
        let pause = match (self.fetch().await, self.known.write()) {
            (Ok(keys), Ok(mut known)) => {
                *known = Known { keys: Arc::new(keys), read_at: Some((at, now)) };
                PAUSE
            }
            (Err(problem), _) => {
                tracing::warn!(problem, "Marque's keys cannot be read");
                PAUSE_AFTER_FAILURE
            }
            (_, Err(_)) => PAUSE_AFTER_FAILURE,
        };
        *last_look = Some(Look { at, pause });
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
            let look =
                tokio::spawn(
                    async move { published.look(|known| !known.keys.has(&kid) || published.is_old(known)).await },
                );
            // A look that failed is one that taught nothing.
            let _ = look.await;
            self.current()
        })
    }
}
