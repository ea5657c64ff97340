//! `GET /revocations`: the feed, as server-sent events. Each event's data is one signed message.

use super::error::HttpError;
use super::extract::{InRealm, bearer};
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::follow_revocations::{Message, subscribe};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::{Stream, StreamExt, future, stream};
use std::convert::Infallible;
use tokio_stream::wrappers::BroadcastStream;

/// Follows the feed: a snapshot, then what comes after it. A reader that is too slow is cut off and
/// begins again with a snapshot, so that it never misses a message without knowing.
pub async fn follow(
    realm: InRealm,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, HttpError> {
    authenticate_resource_server(realm.context(), bearer(&headers)?).await?;
    let subscription = subscribe(realm.context()).await?;
    let known = subscription.seq;
    let later = BroadcastStream::new(subscription.later)
        .take_while(|message| future::ready(message.is_ok()))
        .filter_map(|message| future::ready(message.ok()))
        .filter(move |message| future::ready(is_news(message, known)));
    let messages = stream::iter(subscription.snapshot).chain(later);
    Ok(Sse::new(messages.map(|message| Ok(Event::default().id(message.id).event(message.kind).data(message.jws)))))
}

/// A message that the snapshot does not have already; a heartbeat from before it would look like a step back.
fn is_news(message: &Message, known: i64) -> bool {
    match message.kind {
        "revocation" | "token_revocation" | "key_withdrawal" => message.seq > known,
        _ => message.seq >= known,
    }
}
