//! A reader of the revocation feed that shows what was sent, octet for octet.

use super::stack::Stack;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use marque_core::jws::{self, KeySet};
use marque_core::names::TYP_REVOCATION;
use serde_json::Value;
use std::time::Duration;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub kind: String,
    /// What was signed, as it was sent.
    pub jws: String,
    /// The verified payload.
    pub payload: Value,
    /// Thumbprint of the key that signed it.
    pub signer: String,
}

/// An open feed.
pub struct Feed {
    bytes: BoxStream<'static, Vec<u8>>,
    buffer: String,
    /// What was published, each time that somebody looked.
    keys: Vec<KeySet>,
}

impl Feed {
    /// Opens the feed as the resource server.
    pub async fn open(stack: &Stack, last_event_id: Option<&str>) -> Self {
        Self::open_with(stack, &stack.access_token().await, last_event_id).await
    }

    /// Opens the feed with an access token.
    pub async fn open_with(stack: &Stack, token: &str, last_event_id: Option<&str>) -> Self {
        let mut request = stack.http.get(stack.url("/revocations")).bearer_auth(token);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "the feed");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let bytes = answer.bytes_stream().take_while(|chunk| futures_util::future::ready(chunk.is_ok()));
        let bytes = bytes.map(|chunk| chunk.map(|chunk| chunk.to_vec()).unwrap_or_default()).boxed();
        let mut feed = Self { bytes, buffer: String::new(), keys: Vec::new() };
        feed.learn_keys(stack).await;
        feed
    }

    /// Believes what is published now as well.
    pub async fn learn_keys(&mut self, stack: &Stack) {
        let jwks = stack.http.get(stack.url("/jwks")).send().await.unwrap().json::<Value>().await.unwrap();
        self.keys.push(KeySet::from_jwks(&jwks).unwrap());
    }

    /// The next event; none if the feed ended or was silent for so long.
    pub async fn next_within(&mut self, silence: Duration) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let event = self.read(event);
                self.buffer = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(silence, self.bytes.next()).await.ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub async fn next(&mut self) -> Event {
        self.next_within(super::PATIENCE).await.expect("the feed goes on")
    }

    /// The next event of a kind.
    pub async fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await;
            if event.kind == kind {
                return event;
            }
        }
    }

    /// Reads on until an intent's revocation comes.
    pub async fn until_revoked(&mut self, intent_id: &str) -> Event {
        loop {
            let event = self.next_of("revocation").await;
            if event.payload["intent"] == intent_id {
                return event;
            }
        }
    }

    fn read(&self, text: &str) -> Event {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("an event without {name}: {text}")).to_owned()
        };
        let data = field("data");
        let verified = self.keys.iter().find_map(|keys| jws::verify(&data, TYP_REVOCATION, keys).ok());
        let verified = verified.expect("the feed's signature");
        let payload = Value::Object(verified.claims().unwrap());
        Event { id: field("id"), kind: field("event"), jws: data, payload, signer: verified.thumbprint }
    }
}
