//! Load while a leader is killed, and what was answered.

use crate::agent::Agent;
use crate::marque::Marque;
use bench_keys::Failure;
use marque_core::claims::token_hash;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests at once.
const LOOPS: usize = 12;

/// What clients were answered.
#[derive(Debug, Default)]
pub struct Answered {
    /// SHA-256 of each token, in hexadecimal.
    pub tokens: Vec<String>,
    /// Permits, each with its intent.
    pub permits: Vec<(String, String)>,
    /// How many answers of each status that are none of these; 0 is no answer.
    pub others: BTreeMap<u16, usize>,
    /// The longest time without a token.
    pub gap: Duration,
    last: Option<Instant>,
}

/// Intents by their use: each with its intent token where it has one.
pub struct Work {
    /// Redeemed: exchanged again and again.
    pub redeemed: Vec<(String, String)>,
    /// Approved: redeemed under load.
    pub approved: Vec<String>,
    /// Redeemed, with a transaction token: its single use is asked for at both servers at once.
    pub single: Vec<(String, String)>,
}

/// A load that runs until it is told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<Mutex<Answered>>,
    loops: Vec<tokio::task::JoinHandle<Result<(), Failure>>>,
}

struct Shared {
    agent: Arc<Agent>,
    servers: Arc<[Marque; 2]>,
    work: Work,
    next: AtomicUsize,
    stop: Arc<AtomicBool>,
    answered: Arc<Mutex<Answered>>,
}

impl Answered {
    fn token(&mut self, token: &str) {
        let hash = token_hash(token);
        self.tokens.push(hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect());
        let now = Instant::now();
        self.gap = self.gap.max(self.last.map_or(Duration::ZERO, |last| now - last));
        self.last = Some(now);
    }
}

impl Load {
    /// Starts it.
    pub fn start(agent: Arc<Agent>, servers: Arc<[Marque; 2]>, work: Work) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let next = AtomicUsize::new(0);
        let shared = Arc::new(Shared { agent, servers, work, next, stop: stop.clone(), answered: answered.clone() });
        let loops = (0..LOOPS).map(|_| tokio::spawn(ask_on(shared.clone()))).collect();
        Self { stop, answered, loops }
    }

    /// How many tokens were answered so far.
    pub fn tokens(&self) -> usize {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).tokens.len()
    }

    /// Ends it, and answers what was answered.
    ///
    /// # Errors
    /// When the load itself failed.
    pub async fn stop(self) -> Result<Answered, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        for one in self.loops {
            one.await??;
        }
        Ok(std::mem::take(&mut *self.answered.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

async fn ask_on(shared: Arc<Shared>) -> Result<(), Failure> {
    while !shared.stop.load(Ordering::Relaxed) {
        let turn = shared.next.fetch_add(1, Ordering::Relaxed);
        let server = shared.servers.get(turn % 2).ok_or("no server")?;
        match turn % 10 {
            1 => shared.redeem(server, turn / 10).await?,
            3 => shared.use_at_both(turn / 10).await?,
            _ => shared.exchange(server, turn).await?,
        }
    }
    Ok(())
}

impl Shared {
    fn note(&self, status: u16, token: Option<&str>) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        match token {
            Some(token) => answered.token(token),
            None => *answered.others.entry(status).or_default() += 1,
        }
    }

    async fn exchange(&self, server: &Marque, turn: usize) -> Result<(), Failure> {
        let index = turn % self.work.redeemed.len().max(1);
        let (_, token) = self.work.redeemed.get(index).ok_or("nothing to exchange")?;
        let answer = self.agent.exchange(server, token).await?;
        self.note(answer.status, answer.text("access_token"));
        Ok(())
    }

    /// Each is redeemed once, whatever comes of it.
    async fn redeem(&self, server: &Marque, turn: usize) -> Result<(), Failure> {
        if let Some(intent) = self.work.approved.get(turn) {
            let answer = self.agent.redeem(server, intent).await?;
            self.note(answer.status, answer.text("access_token"));
        }
        Ok(())
    }

    async fn use_at_both(&self, turn: usize) -> Result<(), Failure> {
        let [one, other] = &*self.servers;
        let Some((intent, token)) = self.work.single.get(turn % self.work.single.len().max(1)) else { return Ok(()) };
        let asked = tokio::join!(self.agent.turn(one, token), self.agent.turn(other, token));
        for answer in [asked.0?, asked.1?] {
            let permit = answer.body.pointer("/context/permit/id").and_then(serde_json::Value::as_str);
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            match permit {
                Some(permit) => answered.permits.push((intent.clone(), permit.to_owned())),
                None => *answered.others.entry(answer.status).or_default() += 1,
            }
        }
        Ok(())
    }
}
