//! Follows the revocation feed: server-sent events, each a signed message.

use super::jwks::RemoteKeys;
use super::{ANSWER, Marque, plainly};
use crate::clock;
use crate::keys::KeySource;
use crate::revocations::{Applied, FeedMessage, Revocations};
use eventsource_stream::{Event, Eventsource};
use futures_util::future::join;
use futures_util::{Stream, StreamExt};
use marque_core::jws::{self, JwsError, KeySet, Verified};
use marque_core::limits;
use marque_core::names::TYP_REVOCATION;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The first pause between two connections; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Shorter than the usual staleness limit: Marque is back, and two seconds later gates are open.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Bytes that may come without the end of an event: one event is at most one JWS.
const EVENT_BYTES: usize = limits::JWS_BYTES + 4096;

/// The task that follows the feed; dropping this ends it.
#[derive(Debug)]
#[must_use = "dropped, nothing is followed any more"]
pub struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Follower {
    marque: Marque,
    keys: RemoteKeys,
    revocations: Revocations,
    silence: Duration,
}

pub(super) fn follow(marque: Marque, keys: RemoteKeys, revocations: Revocations, silence: Duration) -> Following {
    let follower = Follower { marque, keys, revocations, silence: silence.max(Duration::from_secs(1)) };
    Following(tokio::spawn(follower.run()).abort_handle())
}

impl Follower {
    async fn run(self) {
        join(self.follow(), self.keys.keep_fresh()).await;
    }

    async fn follow(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let mut was_current = false;
            let problem = self.connection(&mut was_current).await;
            pause = if was_current { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tracing::warn!(problem, "the revocation feed is broken; connecting again");
            sleep(pause).await;
        }
    }

    /// One connection, to its end. Returns why it ended.
    async fn connection(&self, was_current: &mut bool) -> String {
        let mut events = match self.connect().await {
            Ok(events) => events,
            Err(problem) => return problem,
        };
        loop {
            match timeout(self.silence, events.next()).await {
                Err(_) => return format!("it was silent for {} s", self.silence.as_secs()),
                Ok(None) => return "it ended".into(),
                Ok(Some(Err(problem))) => return problem,
                Ok(Some(Ok(event))) => match self.heard(&event).await {
                    Ok(()) => *was_current = true,
                    Err(problem) => return problem,
                },
            }
        }
    }

    async fn connect(&self) -> Result<impl Stream<Item = Result<Event, String>> + use<>, String> {
        let url = format!("{}/revocations", self.marque.address);
        let request = |client: &reqwest::Client| client.get(&url).header("Accept", "text/event-stream");
        let answer = timeout(ANSWER, self.marque.send(request)).await.map_err(|_| "no answer in time".to_owned())??;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("Marque answered {}", answer.status().as_u16()));
        }
        let bytes = bounded(answer.bytes_stream().map(|chunk| chunk.map_err(plainly)));
        Ok(Box::pin(bytes.eventsource().map(|event| event.map_err(|error| error.to_string()))))
    }

    async fn heard(&self, event: &Event) -> Result<(), String> {
        let verified = self.verify(&event.data).await.map_err(|error| format!("a message {error}"))?;
        let message = FeedMessage::parse(&verified.payload).map_err(|refused| format!("a message: {refused}"))?;
        if message.issuer() != self.marque.issuer {
            return Err("a message is from another issuer".into());
        }
        if self.revocations.is_withdrawn(&verified.thumbprint) || message.withdraws(&verified.thumbprint) {
            return Err("a message is signed by a key that was withdrawn".into());
        }
        let now = clock::now();
        self.note_clock(&message, now);
        match self.revocations.apply(message, now) {
            Applied::Current | Applied::Page => Ok(()),
            Applied::Anew => Err("a key was withdrawn, and the feed begins anew".into()),
            Applied::Old if self.is_fresh(now) => Ok(()),
            Applied::Old => Err("its messages are older than what is known".into()),
            Applied::Gap => Err("a message is missing".into()),
        }
    }

    /// Says once that the clocks differ, when they begin to.
    fn note_clock(&self, message: &FeedMessage, now: i64) {
        let differ = |secs: i64| secs.saturating_abs() > limits::CLOCK_LEEWAY_SECS;
        let ahead_secs = message.at().saturating_sub(now);
        if differ(ahead_secs) && !differ(self.revocations.ahead_secs()) {
            tracing::error!(ahead_secs, "the revocation feed is not of this clock's time: nothing is permitted");
        }
    }

    fn is_fresh(&self, now: i64) -> bool {
        let limit = i64::try_from(self.silence.as_secs()).unwrap_or(i64::MAX);
        self.revocations.age_secs(now).is_some_and(|age| age <= limit)
    }

    async fn verify(&self, compact: &str) -> Result<Verified, JwsError> {
        let verify = |keys: &KeySet| jws::verify(compact, TYP_REVOCATION, keys);
        match (verify(&self.keys.current()), jws::unverified_kid(compact)) {
            (Err(JwsError::UnknownKey), Some(kid)) => verify(self.keys.refreshed(&kid).await.as_ref()),
            (outcome, _) => outcome,
        }
    }
}

/// Ends the stream when more bytes came than one event may have without any end of an event.
fn bounded<B: AsRef<[u8]>>(bytes: impl Stream<Item = Result<B, String>>) -> impl Stream<Item = Result<B, String>> {
    let mut open = 0_usize;
    bytes.map(move |chunk| {
        let chunk = chunk?;
        let end = chunk.as_ref().windows(2).rposition(|pair| pair == b"\n\n").map(|at| at + 2);
        open = end.map_or(open, |_| 0) + chunk.as_ref().len() - end.unwrap_or(0);
        if open > EVENT_BYTES { Err("an event is too long".into()) } else { Ok(chunk) }
    })
}
