//! A closed loop: so many connections, each sending its next request once the last one is answered.
//!
//! Requests are bytes that were made beforehand, so that the loop itself costs little: it shares the processors with what
//! it measures.

use bench_keys::Failure;
use bytes::{Bytes, BytesMut};
use memchr::memmem;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Header fields of an answer that are looked at.
const FIELDS: usize = 48;
/// What ends a body of chunks.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Where the requests go.
#[derive(Clone)]
pub struct Target {
    /// `host:port`.
    pub authority: String,
    /// With which certificates, where the connection has any.
    pub tls: Option<Arc<ClientConfig>>,
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

/// The bytes of a request.
pub fn request(method: &str, url: &str, fields: &[(&str, &str)], body: &[u8]) -> Bytes {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut head = format!("{method} /{path} HTTP/1.1\r\nhost: {authority}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in fields {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat().into()
}

/// `host:port` of a URL.
///
/// # Errors
/// When it has none.
pub fn authority(url: &str) -> Result<String, Failure> {
    let host = url.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    Ok(host.ok_or_else(|| format!("{url} has no host"))?.to_owned())
}

/// Sends all requests over so many connections, on a thread of its own.
///
/// # Errors
/// When an answer is not the expected one: a rate of refusals means nothing.
pub fn run(target: &Target, requests: Vec<Bytes>, connections: usize) -> Result<Seen, Failure> {
    let target = target.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, send_all(target, requests, connections))
    });
    tokio::task::block_in_place(|| thread.join()).map_err(|_| "the load broke down")?
}

async fn send_all(target: Target, requests: Vec<Bytes>, connections: usize) -> Result<Seen, Failure> {
    let count = requests.len();
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(connect(&target).await?);
    }
    let left = Rc::new(RefCell::new(requests));
    let begun = Instant::now();
    let loops: Vec<_> =
        streams.into_iter().map(|stream| spawn_local(send_next(stream, target.expected, left.clone()))).collect();
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

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

async fn connect(target: &Target) -> Result<Box<dyn Stream>, Failure> {
    let stream = TcpStream::connect(&target.authority).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = &target.tls else { return Ok(Box::new(stream)) };
    let host = target.authority.rsplit_once(':').map_or(target.authority.as_str(), |(host, _)| host);
    let name = ServerName::try_from(host.to_owned())?;
    Ok(Box::new(TlsConnector::from(tls.clone()).connect(name, stream).await?))
}

async fn send_next(
    mut stream: Box<dyn Stream>,
    expected: &'static str,
    left: Rc<RefCell<Vec<Bytes>>>,
) -> Result<Vec<Duration>, Failure> {
    let (finder, mut buffer, mut took) =
        (memmem::Finder::new(expected), BytesMut::with_capacity(16 * 1024), Vec::new());
    loop {
        let Some(request) = left.borrow_mut().pop() else { return Ok(took) };
        let begun = Instant::now();
        stream.write_all(&request).await?;
        stream.flush().await?;
        buffer.clear();
        let answer = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("the connection was closed before the answer".into());
            }
            if let Some(answer) = whole(&buffer)? {
                break answer;
            }
        };
        took.push(begun.elapsed());
        if answer.status != 200 || finder.find(answer.body).is_none() {
            return Err(String::from_utf8_lossy(&buffer).into());
        }
    }
}

/// An answer.
struct Answer<'a> {
    status: u16,
    body: &'a [u8],
}

/// The answer, once all of it has come.
fn whole(buffer: &[u8]) -> Result<Option<Answer<'_>>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(buffer)? else { return Ok(None) };
    let status = head.code.ok_or("an answer without a status")?;
    let body = buffer.get(length..).unwrap_or_default();
    let field = |name: &str| head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let is_whole = match field("content-length") {
        Some(field) => body.len() >= std::str::from_utf8(field.value)?.parse::<usize>()?,
        None => field("transfer-encoding").is_some() && body.ends_with(LAST_CHUNK),
    };
    Ok(is_whole.then_some(Answer { status, body }))
}
