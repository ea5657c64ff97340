//! Somebody between a gate and Marque, on a real connection, who may withhold parts of the feed and put others in.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::broadcast;

/// Passes everything on, or of the feed heartbeats alone.
#[derive(Clone)]
pub struct Middlebox {
    pub url: String,
    upstream: String,
    http: reqwest::Client,
    heartbeats_only: Arc<AtomicBool>,
    feeds: Arc<AtomicUsize>,
    own: broadcast::Sender<String>,
}

impl Middlebox {
    /// One before the server at a base URL.
    pub async fn before(upstream: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (heartbeats_only, feeds, own) = (Arc::default(), Arc::default(), broadcast::Sender::new(16));
        let middlebox = Self { url, upstream: upstream.into(), http, heartbeats_only, feeds, own };
        let app = Router::new().fallback(relay).with_state(middlebox.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        middlebox
    }

    pub fn pass_heartbeats_only(&self, only: bool) {
        self.heartbeats_only.store(only, Ordering::SeqCst);
    }

    /// On how many connections the feed has begun.
    pub fn feeds(&self) -> usize {
        self.feeds.load(Ordering::SeqCst)
    }

    /// Says something of its own to whoever reads the feed.
    pub fn say(&self, jws: &str) {
        self.own.send(format!("event: heartbeat\ndata: {jws}\n\n")).expect("somebody reads the feed");
    }

    /// What [`Self::say`] says from now on.
    fn says(&self) -> impl Stream<Item = Result<String, reqwest::Error>> + use<> {
        let own = self.own.subscribe();
        stream::unfold(own, async |mut own| own.recv().await.ok().map(|event| (Ok(event), own)))
    }

    fn passes(&self, event: &str) -> bool {
        let is_heartbeat = event.lines().any(|line| line.trim_end() == "event: heartbeat");
        is_heartbeat || !self.heartbeats_only.load(Ordering::SeqCst)
    }

    /// The events that pass, each whole.
    fn events<B: AsRef<[u8]>, E>(
        self,
        bytes: impl Stream<Item = Result<B, E>>,
    ) -> impl Stream<Item = Result<String, E>> {
        let (mut buffer, mut is_first) = (String::new(), true);
        bytes.map(move |chunk| {
            self.feeds.fetch_add(usize::from(std::mem::take(&mut is_first)), Ordering::SeqCst);
            buffer.push_str(std::str::from_utf8(chunk?.as_ref()).unwrap());
            let whole = buffer.rfind("\n\n").map_or(0, |end| end + 2);
            let events: String = buffer.drain(..whole).collect();
            Ok(events.split_inclusive("\n\n").filter(|event| self.passes(event)).collect())
        })
    }
}

async fn relay(State(middlebox): State<Middlebox>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let mut forward = middlebox.http.request(parts.method, format!("{}{path}", middlebox.upstream));
    for name in ["authorization", "content-type", "accept"] {
        if let Some(value) = parts.headers.get(name) {
            forward = forward.header(name, value);
        }
    }
    let answer = forward.body(to_bytes(body, 1 << 20).await.unwrap()).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get("content-type") {
        response = response.header("content-type", kind);
    }
    let body = match path {
        "/revocations" => {
            let own = middlebox.says();
            Body::from_stream(stream::select(middlebox.events(answer.bytes_stream()), Box::pin(own)))
        }
        _ => Body::from_stream(answer.bytes_stream()),
    };
    response.body(body).unwrap()
}
