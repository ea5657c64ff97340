//! A proxy between Keycloak and Marque that answers something else than Marque did.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use marque::keys::{Keyring, Purpose};
use marque_core::jws;
use marque_demo::clients::http;
use marque_demo::{Failure, Result};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longer than the extension waits.
const TOO_LONG: Duration = Duration::from_secs(8);

/// Changes what an answer says.
type Saying = Box<dyn Fn(&mut Map<String, Value>) + Send + Sync>;
/// Makes another message of an answer.
type Sending = Box<dyn Fn(&str) -> String + Send + Sync>;

/// What the proxy does to an answer.
pub enum Fault {
    /// Changes what it says; Marque's own key signs it again.
    Says(Saying),
    /// Changes the signed message.
    Sends(Sending),
    /// Answers this status instead.
    Status(StatusCode),
    /// Answers when nobody waits any more.
    Late,
}

/// Says something else, under Marque's own signature.
pub fn says(change: impl Fn(&mut Map<String, Value>) + Send + Sync + 'static) -> Fault {
    Fault::Says(Box::new(change))
}

/// Sends another message.
pub fn sends(change: impl Fn(&str) -> String + Send + Sync + 'static) -> Fault {
    Fault::Sends(Box::new(change))
}

struct Between {
    marque: String,
    http: reqwest::Client,
    keyring: Arc<Keyring>,
    fault: Fault,
}

/// A running proxy; it ends when it is dropped.
pub struct Proxy {
    /// What to tell Keycloak.
    pub url: String,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    /// Starts a proxy before the Marque issuer whose keys `keyring` holds.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(issuer: &str, keyring: Arc<Keyring>, fault: Fault) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (base, path) = (issuer.find("/realms/").map(|at| issuer.split_at(at))).ok_or("the issuer has no realm")?;
        let url = format!("http://{}{path}", listener.local_addr()?);
        let between = Between { marque: base.to_owned(), http: http()?, keyring, fault };
        let app = Router::new().fallback(answer).with_state(Arc::new(between));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, serving })
    }
}

async fn answer(State(between): State<Arc<Between>>, uri: OriginalUri, headers: HeaderMap) -> Response {
    match between.answer(uri.path(), &headers).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Between {
    async fn answer(&self, path: &str, headers: &HeaderMap) -> Result<Response> {
        let authorization = headers.get(header::AUTHORIZATION).ok_or("there is no Authorization")?;
        let request = self.http.get(format!("{}{path}", self.marque)).header(header::AUTHORIZATION, authorization);
        let message = request.send().await?.error_for_status()?.text().await?;
        let changed = match &self.fault {
            Fault::Says(change) => self.sign(&message, change)?,
            Fault::Sends(change) => change(&message),
            Fault::Status(status) => return Ok(status.into_response()),
            Fault::Late => {
                tokio::time::sleep(TOO_LONG).await;
                message
            }
        };
        Ok(([(header::CONTENT_TYPE, "application/jose")], changed).into_response())
    }

    fn sign(&self, message: &str, change: &Saying) -> Result<String> {
        let mut claims = jws::unverified_claims(message)?;
        change(&mut claims);
        self.keyring.sign(Purpose::PlanAnswer, &claims).map_err(Failure::from)
    }
}
