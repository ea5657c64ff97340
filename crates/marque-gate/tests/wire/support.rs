//! A server that speaks the feed over TCP, and a middlebox between it and the gate that does with events what it likes.

use crate::common::*;
use marque_core::names::{TYP_REVOCATION, TYP_TXN};
use marque_gate::keys::Pending;
use marque_gate::remote::{AccessTokens, Following, Marque};
use marque_gate::{Gate, GateConfig, Reason};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// How old the gates' knowledge may be, in seconds.
pub const STALENESS: u64 = 2;
/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(250);

pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the feed is heard in real time")]
    let now = SystemTime::now();
    i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// What the server knows and says.
pub struct Server {
    pub issuer: String,
    pub txn_key: Key,
    state: Mutex<State>,
    events: broadcast::Sender<String>,
}

struct State {
    signer: Arc<Key>,
    seq: u64,
    revoked: Vec<String>,
    withdrawn: Vec<String>,
    published: Vec<Value>,
    /// Whether `/jwks` answers.
    are_keys_read: bool,
}

impl Server {
    pub async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (signer, txn_key) = (Arc::new(Key::new()), Key::new());
        let published = vec![signer.published(TYP_REVOCATION), txn_key.published(TYP_TXN)];
        let state =
            State { signer, seq: 0, revoked: Vec::new(), withdrawn: Vec::new(), published, are_keys_read: true };
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let server = Arc::new(Self { issuer, txn_key, state: Mutex::new(state), events: broadcast::Sender::new(100) });
        let accepting = server.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let server = accepting.clone();
                tokio::spawn(async move { server.answer(socket).await });
            }
        });
        let beating = server.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                beating.tell(|state| json!({"kind": "heartbeat", "seq": state.seq}));
            }
        });
        server
    }

    fn signed(&self, state: &State, mut payload: Value) -> String {
        (payload["epoch"], payload["iss"], payload["at"]) = ("e1".into(), self.issuer.as_str().into(), now().into());
        let kind = payload["kind"].as_str().unwrap().to_owned();
        format!("event: {kind}\ndata: {}\n\n", state.signer.sign(TYP_REVOCATION, &payload))
    }

    fn tell(&self, change: impl FnOnce(&mut State) -> Value) {
        let mut state = self.state.lock().unwrap();
        let payload = change(&mut state);
        let _ = self.events.send(self.signed(&state, payload));
    }

    pub fn revoke(&self, intent: &str) {
        self.tell(|state| {
            state.seq += 1;
            state.revoked.push(intent.into());
            json!({"kind": "revocation", "seq": state.seq, "prev": state.seq - 1, "intent": intent,
                   "until": now() + 600, "state": "revoked"})
        });
    }

    /// Withdraws a key in a message by the key that signs the feed then.
    pub fn withdraw(&self, thumbprint: &str) {
        self.tell(|state| {
            state.seq += 1;
            state.withdrawn.push(thumbprint.into());
            json!({"kind": "key_withdrawal", "seq": state.seq, "prev": state.seq - 1, "key": thumbprint,
                   "state": "withdrawn"})
        });
    }

    /// Signs the feed with another key from now on; answers the one before.
    pub fn sign_with(&self, key: Arc<Key>) -> Arc<Key> {
        let mut state = self.state.lock().unwrap();
        state.published.push(key.published(TYP_REVOCATION));
        std::mem::replace(&mut state.signer, key)
    }

    pub fn let_keys_be_read(&self, are_read: bool) {
        self.state.lock().unwrap().are_keys_read = are_read;
    }

    fn snapshot(&self) -> String {
        let state = self.state.lock().unwrap();
        let intents: Vec<Value> =
            state.revoked.iter().map(|intent| json!({"intent": intent, "until": now() + 600})).collect();
        let payload = json!({"kind": "snapshot", "seq": state.seq, "page": 1, "pages": 1, "intents": intents,
                             "keys": state.withdrawn});
        self.signed(&state, payload)
    }

    async fn answer(&self, socket: TcpStream) {
        let mut socket = BufReader::new(socket);
        let head = head_of(&mut socket).await;
        if head.starts_with("GET /revocations ") {
            let mut later = self.events.subscribe();
            let start = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned();
            let mut next = start + &self.snapshot();
            while socket.write_all(next.as_bytes()).await.is_ok() {
                let Ok(event) = later.recv().await else { return };
                next = event;
            }
            return;
        }
        let (are_read, published) = {
            let state = self.state.lock().unwrap();
            (state.are_keys_read, json!({"keys": state.published}).to_string())
        };
        let (status, body) = if are_read { ("200 OK", published) } else { ("503 Away", String::new()) };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        let _ = socket.write_all(answer.as_bytes()).await;
    }
}

/// A request's or answer's head, with its empty line.
async fn head_of(stream: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.is_ok_and(|read| read > 0) {}
    head
}

/// What the middlebox does with events.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    Pass,
    HeartbeatsOnly,
    /// Drops the next event that is no heartbeat, and passes everything after it.
    DropOne,
    /// Passes the next event that is no heartbeat after the one that follows it.
    SwapTwo,
    /// Passes the next heartbeat, and again instead of every other event.
    Replay(Option<String>),
    Silence,
    /// Passes everything, so much later.
    Hold(Duration),
    /// Takes no connections and ends the open ones.
    Cut,
}

#[derive(Clone)]
pub struct Middlebox {
    pub url: String,
    rule: Arc<Mutex<Rule>>,
}

impl Middlebox {
    pub async fn before(server: &Arc<Server>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let middlebox = Self { url, rule: Arc::new(Mutex::new(Rule::Pass)) };
        let (accepting, upstream) = (middlebox.clone(), server.issuer.replace("http://", ""));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (middlebox, upstream) = (accepting.clone(), upstream.clone());
                tokio::spawn(async move { middlebox.relay(socket, &upstream).await });
            }
        });
        middlebox
    }

    pub fn set(&self, rule: Rule) {
        *self.rule.lock().unwrap() = rule;
    }

    fn rule(&self) -> Rule {
        self.rule.lock().unwrap().clone()
    }

    async fn relay(&self, client: TcpStream, upstream: &str) {
        if self.rule() == Rule::Cut {
            return;
        }
        let server = TcpStream::connect(upstream).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let up = tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
        let mut from_server = BufReader::new(from_server);
        let head = head_of(&mut from_server).await;
        let _ = to_client.write_all(head.as_bytes()).await;
        if head.contains("text/event-stream") {
            self.relay_events(from_server, to_client).await;
        } else {
            let mut body = Vec::new();
            let _ = from_server.read_to_end(&mut body).await;
            let _ = to_client.write_all(&body).await;
        }
        up.abort();
    }

    async fn relay_events(
        &self,
        mut from: impl AsyncBufReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin + Send + 'static,
    ) {
        let (sender, mut late) = tokio::sync::mpsc::unbounded_channel::<(Duration, String)>();
        let writing = tokio::spawn(async move {
            while let Some((pause, event)) = late.recv().await {
                tokio::time::sleep(pause).await;
                if to.write_all(event.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let (mut kept, mut event) = (None, String::new());
        let mut held = false;
        while from.read_line(&mut event).await.is_ok_and(|read| read > 0) {
            if !event.ends_with("\n\n") {
                continue;
            }
            let event = std::mem::take(&mut event);
            if self.rule() == Rule::Cut {
                break;
            }
            let pause = match self.rule() {
                Rule::Hold(pause) if !held => pause,
                _ => Duration::ZERO,
            };
            held |= !pause.is_zero();
            for event in self.passed(event, &mut kept) {
                let _ = sender.send((pause, event));
            }
        }
        writing.abort();
    }

    fn passed(&self, event: String, kept: &mut Option<String>) -> Vec<String> {
        let mut rule = self.rule.lock().unwrap();
        let is_heartbeat = event.starts_with("event: heartbeat");
        match &mut *rule {
            Rule::Pass | Rule::Cut | Rule::Hold(_) => vec![event],
            Rule::Silence => Vec::new(),
            Rule::HeartbeatsOnly => {
                if is_heartbeat {
                    vec![event]
                } else {
                    Vec::new()
                }
            }
            Rule::DropOne if is_heartbeat => vec![event],
            Rule::DropOne => {
                *rule = Rule::Pass;
                Vec::new()
            }
            Rule::SwapTwo if is_heartbeat => Vec::new(),
            Rule::SwapTwo => match kept.take() {
                None => {
                    *kept = Some(event);
                    Vec::new()
                }
                Some(earlier) => {
                    *rule = Rule::Pass;
                    vec![event, earlier]
                }
            },
            Rule::Replay(Some(old)) => vec![old.clone()],
            Rule::Replay(old) if is_heartbeat => {
                *old = Some(event.clone());
                vec![event]
            }
            Rule::Replay(None) => vec![event],
        }
    }
}

struct Tokens;

impl AccessTokens for Tokens {
    fn access_token<'a>(&'a self, _: Option<&'a str>) -> Pending<'a, Result<String, String>> {
        Box::pin(std::future::ready(Ok("token".to_owned())))
    }
}

/// A server, a gate, and what is between.
pub struct Wire {
    pub server: Arc<Server>,
    pub middlebox: Middlebox,
    pub gate: Gate,
    _following: Following,
}

impl Wire {
    /// Everything passes, and the gate is open.
    pub async fn open() -> Self {
        Self::open_with(|config| config).await
    }

    pub async fn open_with(change: impl FnOnce(GateConfig) -> GateConfig) -> Self {
        let server = Server::start().await;
        let middlebox = Middlebox::before(&server).await;
        let config = GateConfig::new(LOCATION, &server.issuer, DOMAIN).unwrap().with_max_staleness(secs(STALENESS));
        let config = change(config);
        let marque = Marque::new(&config, Tokens).unwrap().reached_at(&middlebox.url);
        let (gate, following) = marque.gate(config);
        let wire = Self { server, middlebox, gate, _following: following };
        wire.becomes("other", Ok(())).await;
        wire
    }

    /// Signs the feed with another key, and waits until the gate has learned it: closed meanwhile, since no key is looked
    /// for sooner than five seconds after the last look.
    pub async fn sign_with(&self, key: Arc<Key>) -> Arc<Key> {
        let before = self.server.sign_with(key);
        self.becomes("other", Err(Reason::RevocationStateStale)).await;
        self.becomes("other", Ok(())).await;
        before
    }

    pub fn says(&self, intent: &str) -> Result<(), Reason> {
        self.gate.revocations().check(intent, now(), secs(STALENESS))
    }

    /// Waits until the gate says so about an intent, for at most eight seconds.
    pub async fn becomes(&self, intent: &str, expected: Result<(), Reason>) {
        for _ in 0..800 {
            if self.says(intent) == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{intent}: never {expected:?}, still {:?}", self.says(intent));
    }

    /// For so long the gate never says that any intent may be used.
    pub async fn stays_closed(&self, duration: Duration) {
        let pause = Duration::from_millis(10);
        for _ in 0..duration.as_millis() / pause.as_millis() {
            assert!(self.says("other").is_err(), "{:?}", self.middlebox.rule());
            tokio::time::sleep(pause).await;
        }
    }
}
