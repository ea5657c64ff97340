//! Exchanges, redemptions and counted calls that go on while servers and databases come and go, and what must be so
//! afterwards, whatever was answered and whatever was not.

use super::keys::Client;
use super::plans::Granted;
use super::reply::remember_nonce;
use super::stack::Stack;
use crate::evaluation::{EVALUATION, request};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::claims::token_hash;
use marque_core::names::{GRANT_INTENT, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

/// How long a loop waits before it tries again what was not answered.
const PAUSE: Duration = Duration::from_millis(20);
/// Longer than a server takes for any request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Loops that exchange, that redeem one approval, that make counted calls.
const LOOPS: [usize; 3] = [16, 2, 2];

/// What is asked for again and again.
pub struct Work {
    pub agent: Client,
    /// Whose tokens are exchanged.
    pub granted: Granted,
    /// Approved, and redeemed by nobody yet.
    pub approved: Vec<String>,
    /// A call of a counted step.
    pub call: Call,
    /// A transaction token for it.
    pub token: String,
    /// The resource server's.
    pub access_token: String,
}

/// A token that was received.
struct Received {
    intent: Uuid,
    hash: Digest,
    parent: Option<Digest>,
}

/// What was seen.
#[derive(Default)]
pub struct Seen {
    /// Exchanges that gave a token.
    pub exchanged: AtomicUsize,
    /// Requests without an answer: the server was gone.
    pub unanswered: AtomicUsize,
    /// Answers that say to come back.
    pub refused: AtomicUsize,
    received: Mutex<Vec<Received>>,
    /// Permits by the ids of their calls.
    permits: Mutex<BTreeMap<String, Value>>,
    odd: Mutex<Vec<String>>,
}

/// A running load. It ends after so many exchanges.
pub struct Load {
    stack: Stack,
    work: Work,
    /// What it has seen until now.
    pub seen: Seen,
    exchanges: usize,
}

/// Has the database note each redemption, so that two of one approval are seen.
async fn note_redemptions(stack: &Stack) {
    let note = "create table seen_redemptions (intent_id uuid not null);
        create function note_redemption() returns trigger language plpgsql as
            $$ begin insert into seen_redemptions values (new.intent_id); return new; end $$;
        create trigger note_redemption after update on intents for each row
            when (old.redeemed_at is distinct from new.redeemed_at) execute function note_redemption();";
    sqlx::raw_sql(note).execute(&stack.db).await.unwrap();
}

impl Load {
    /// Starts all loops; they end once so many exchanges gave a token.
    pub async fn start(stack: &Stack, work: Work, exchanges: usize) -> (Arc<Self>, JoinSet<()>) {
        note_redemptions(stack).await;
        let load = Arc::new(Self { stack: stack.clone(), work, seen: Seen::default(), exchanges });
        let mut loops = JoinSet::new();
        let [exchanging, redeeming, calling] = LOOPS;
        for _ in 0..exchanging {
            loops.spawn(load.clone().exchange());
        }
        for _ in 0..calling {
            loops.spawn(load.clone().call());
        }
        for intent in &load.work.approved {
            for _ in 0..redeeming {
                loops.spawn(load.clone().redeem(intent.clone()));
            }
        }
        (load, loops)
    }

    pub fn is_over(&self) -> bool {
        self.seen.exchanged.load(SeqCst) >= self.exchanges
    }

    /// Waits until so many exchanges gave a token.
    pub async fn until_exchanged(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + super::PATIENCE * 20;
        while self.seen.exchanged.load(SeqCst) < count.min(self.exchanges) {
            assert!(tokio::time::Instant::now() < deadline, "the load does not go on");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends one request. None if there is no answer, or one that says to come back.
    async fn send(&self, request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
        let again = async |what: &AtomicUsize| {
            what.fetch_add(1, SeqCst);
            tokio::time::sleep(PAUSE).await;
            None
        };
        let Ok(answer) = request.timeout(PATIENCE).send().await else { return again(&self.seen.unanswered).await };
        remember_nonce(answer.headers());
        let (status, retry) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
        let Ok(text) = answer.text().await else { return again(&self.seen.unanswered).await };
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let is_error = body["error"].is_string() && body["error_description"].is_string();
        match status {
            400 if body["error"] == "use_dpop_nonce" => None,
            503 if is_error && retry => again(&self.seen.refused).await,
            500 if is_error && body["error"] == "server_error" => again(&self.seen.refused).await,
            200 => Some((status, body)),
            _ => {
                self.seen.odd.lock().unwrap().push(format!("{status}: {text}"));
                Some((status, body))
            }
        }
    }

    async fn exchange(self: Arc<Self>) {
        let (intent, mut parent) = (self.work.granted.intent_id.parse().unwrap(), None::<String>);
        while !self.is_over() {
            // Chains of a few exchanges each, all from the one intent token.
            let (token, kind) = match &parent {
                Some(txn) => (txn, TOKEN_TYPE_TXN),
                None => (&self.work.granted.token, TOKEN_TYPE_INTENT),
            };
            let form = self.stack.exchange_form(token, kind);
            let answer = self.send(self.stack.signed(&self.work.agent, "/token", &form)).await;
            let Some(child) = answer.and_then(|(_, body)| body["access_token"].as_str().map(str::to_owned)) else {
                continue;
            };
            let received = Received { intent, hash: token_hash(&child), parent: Some(token_hash(token)) };
            self.seen.received.lock().unwrap().push(received);
            let done = self.seen.exchanged.fetch_add(1, SeqCst);
            parent = (!done.is_multiple_of(5)).then_some(child);
        }
    }

    async fn redeem(self: Arc<Self>, intent_id: String) {
        let form = vec![("grant_type", GRANT_INTENT.into()), ("intent_id", intent_id.clone())];
        while !self.is_over() {
            let answer = self.send(self.stack.signed(&self.work.agent, "/token", &form)).await;
            let Some(token) = answer.and_then(|(_, body)| body["access_token"].as_str().map(str::to_owned)) else {
                continue;
            };
            let received = Received { intent: intent_id.parse().unwrap(), hash: token_hash(&token), parent: None };
            self.seen.received.lock().unwrap().push(received);
            return;
        }
    }

    /// Counted calls: one that is not answered is asked for again as it was, until it is.
    async fn call(self: Arc<Self>) {
        while !self.is_over() {
            let call_id = Uuid::new_v4().to_string();
            let body = request(&self.stack, &self.work.agent, &self.work.token, &self.work.call, &call_id);
            let permit = loop {
                let request = self.stack.http.post(self.stack.url(EVALUATION)).bearer_auth(&self.work.access_token);
                if let Some((_, body)) = self.send(request.json(&body)).await {
                    break body;
                }
            };
            if permit["decision"] != true {
                self.seen.odd.lock().unwrap().push(permit.to_string());
                return;
            }
            self.seen.permits.lock().unwrap().insert(call_id, permit["context"]["permit"].clone());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What must be so, after however many crashes.
    pub async fn check(&self) {
        let odd = self.seen.odd.lock().unwrap().clone();
        assert!(odd.is_empty(), "{odd:?}");
        self.expect_rows().await;
        self.expect_whole_chains().await;
        self.expect_counts().await;
        for intent in &self.work.approved {
            self.expect_one_redemption(intent).await;
        }
    }

    /// Every token that was received has its row, under its parent's hash.
    async fn expect_rows(&self) {
        let mut received = std::mem::take(&mut *self.seen.received.lock().unwrap());
        assert!(received.len() >= self.exchanges, "{} received", received.len());
        let kept = "select parent_sha256 from tokens where intent_id = $1 and token_sha256 = $2";
        for one in &received {
            let hash = one.hash.as_bytes().as_slice();
            let row: Option<Option<Vec<u8>>> =
                sqlx::query_scalar(kept).bind(one.intent).bind(hash).fetch_optional(&self.stack.db).await.unwrap();
            let parent = row.expect("a token that was received has its row");
            assert_eq!(parent.as_deref(), one.parent.as_ref().map(|parent| parent.as_bytes().as_slice()));
        }
        received.sort_by_key(|one| *one.hash.as_bytes());
        received.dedup_by_key(|one| *one.hash.as_bytes());
        assert!(received.len() >= self.exchanges, "a token was answered twice");
    }

    /// Every row's parent has its row.
    async fn expect_whole_chains(&self) {
        let orphans = "select count(*) from tokens child where parent_sha256 is not null and not exists (
            select from tokens parent where parent.intent_id = child.intent_id and parent.token_sha256 = child.parent_sha256)";
        let orphans: i64 = sqlx::query_scalar(orphans).fetch_one(&self.stack.db).await.unwrap();
        assert_eq!(orphans, 0, "chains with a gap");
    }

    /// Each call was counted once, however often it was asked for.
    async fn expect_counts(&self) {
        let permits = self.seen.permits.lock().unwrap().clone();
        let numbers: BTreeSet<i64> = permits.values().map(|permit| permit["seq"].as_i64().unwrap()).collect();
        assert_eq!(numbers.len(), permits.len(), "two calls have one number");
        let intent: Uuid = self.work.granted.intent_id.parse().unwrap();
        let kept = sqlx::query_scalar("select count(*) from permits where intent_id = $1").bind(intent);
        let kept: i64 = kept.fetch_one(&self.stack.db).await.unwrap();
        assert_eq!(kept, i64::try_from(permits.len()).unwrap(), "permits beyond those of the calls");
        assert_eq!(numbers.last().copied().unwrap_or_default(), kept, "numbers without a permit");
    }

    /// One redemption, as the database saw it; its token is there, and repeats came within a minute.
    async fn expect_one_redemption(&self, intent_id: &str) {
        let id: Uuid = intent_id.parse().unwrap();
        let seen = sqlx::query_scalar::<_, i64>("select count(*) from seen_redemptions where intent_id = $1").bind(id);
        assert_eq!(seen.fetch_one(&self.stack.db).await.unwrap(), 1, "redemptions of {intent_id}");
        let redeemed = "select i.state, bool_or(t.issued_at = i.redeemed_at),
            max(t.issued_at) <= i.redeemed_at + interval '60 s'
            from intents i join tokens t using (intent_id) where intent_id = $1 group by i.intent_id";
        let redeemed: (String, bool, bool) = sqlx::query_as(redeemed).bind(id).fetch_one(&self.stack.db).await.unwrap();
        assert_eq!(redeemed, ("active".to_owned(), true, true));
        let stranger = Client::with_fresh_dpop(&self.stack.env.clients.agent);
        let again = self.stack.poll(&stranger, intent_id).await;
        again.because(400, "invalid_grant", "intent_revoked");
    }
}
