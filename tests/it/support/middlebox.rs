//! Somebody between a gate and Marque, on a real connection, who may withhold parts of the feed.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Passes everything on, or of the feed heartbeats alone.
#[derive(Clone)]
pub struct Middlebox {
    pub url: String,
    upstream: String,
    http: reqwest::Client,
    heartbeats_only: Arc<AtomicBool>,
}

impl Middlebox {
    /// One before the server at a base URL.
    pub async fn before(upstream: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let middlebox = Self { url, upstream: upstream.into(), http, heartbeats_only: Arc::default() };
        let app = Router::new().fallback(relay).with_state(middlebox.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        middlebox
    }

    pub fn pass_heartbeats_only(&self, only: bool) {
        self.heartbeats_only.store(only, Ordering::SeqCst);
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
        let mut buffer = String::new();
        bytes.map(move |chunk| {
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
        "/revocations" => Body::from_stream(middlebox.events(answer.bytes_stream())),
        _ => Body::from_stream(answer.bytes_stream()),
    };
    response.body(body).unwrap()
}
