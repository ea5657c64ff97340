//! A closed loop: so many connections, each sending its next request once the last one is answered.

use bench_keys::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

/// Where the requests go, and by whom they are sent.
#[derive(Clone)]
pub struct Target {
    /// `host:port`.
    pub authority: String,
    /// The path.
    pub path: String,
    /// The bearer token.
    pub token: String,
    /// What every right answer holds.
    pub expected: &'static str,
}

/// What a loop saw.
#[derive(Debug)]
pub struct Seen {
    /// Requests per second.
    pub per_second: f64,
    /// How long half of them took at most.
    pub p50: Duration,
    /// How long 99 of 100 took at most.
    pub p99: Duration,
    /// How many there were.
    pub count: usize,
}

/// Sends all bodies over so many connections, on a thread of its own.
///
/// # Errors
/// When an answer is not the expected one: a rate of refusals means nothing.
pub fn run(target: &Target, bodies: Vec<Bytes>, connections: usize) -> Result<Seen, Failure> {
    let target = target.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, send_all(target, bodies, connections))
    });
    thread.join().map_err(|_| "the load broke down")?
}

async fn send_all(target: Target, bodies: Vec<Bytes>, connections: usize) -> Result<Seen, Failure> {
    let count = bodies.len();
    let mut senders = Vec::new();
    for _ in 0..connections {
        let (sender, connection) = handshake(TokioIo::new(TcpStream::connect(&target.authority).await?)).await?;
        spawn_local(connection);
        senders.push(sender);
    }
    let (target, left) = (Rc::new(target), Rc::new(RefCell::new(bodies)));
    let begun = Instant::now();
    let loops: Vec<_> =
        senders.into_iter().map(|sender| spawn_local(send_next(sender, target.clone(), left.clone()))).collect();
    let mut took = Vec::with_capacity(count);
    for one in loops {
        took.extend(one.await??);
    }
    let elapsed = begun.elapsed();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a rate of some thousands")]
    let per_second = count as f64 / elapsed.as_secs_f64();
    Ok(Seen { per_second, p50: at(50), p99: at(99), count })
}

async fn send_next(
    mut sender: SendRequest<Full<Bytes>>,
    target: Rc<Target>,
    left: Rc<RefCell<Vec<Bytes>>>,
) -> Result<Vec<Duration>, Failure> {
    let bearer = format!("Bearer {}", target.token);
    let mut took = Vec::new();
    loop {
        let Some(body) = left.borrow_mut().pop() else { return Ok(took) };
        let request = Request::post(&target.path)
            .header(HOST, &target.authority)
            .header(AUTHORIZATION, &bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let begun = Instant::now();
        sender.ready().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        took.push(begun.elapsed());
        let is_right =
            head.status == 200 && body.windows(target.expected.len()).any(|part| part == target.expected.as_bytes());
        if !is_right {
            return Err(format!("{}: {}", head.status, String::from_utf8_lossy(&body)).into());
        }
    }
}
