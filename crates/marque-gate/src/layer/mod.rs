//! A gate before HTTP handlers: a handler runs only with a permit.
//!
//! For each request the gate verifies token and proof, reads the body up to a limit, parses it
//! strictly, asks a mapper which action it is, and decides. A refusal is answered at
//! once. With a permit the handler of the permitted action runs. It takes the [`Permit`] and nothing of the request: what
//! is done is what was checked, and there is no second reading of the path that could differ from the mapper's.
//!
//! ```
//! # use marque_gate::{Args, ConcreteAction, Gate, Permit, Refusal, layer::{GateLayer, segments, unknown_route}};
//! # use std::sync::Arc;
//! # type Vault = Arc<()>;
//! async fn rotate_key(vault: Vault, permit: Permit) -> String {
//!     format!("rotated {} for {}", permit.resource().id, permit.subject())
//! }
//! fn action(request: &http::request::Parts, args: Args) -> Result<ConcreteAction, Refusal> {
//!     match (request.method.as_str(), segments(request.uri.path())?.as_slice()) {
//!         ("POST", ["keys", id]) => Ok(ConcreteAction::new("rotate_key", "key", id, args)),
//!         _ => Err(unknown_route()),
//!     }
//! }
//! fn app(gate: Gate, vault: Vault) -> axum::Router {
//!     let actions = GateLayer::new(Arc::new(gate), action).actions(vault).on("rotate_key", rotate_key);
//!     axum::Router::new().fallback_service(actions)
//! }
//! ```
//! Neither compiles: a handler of an action that takes no permit, and a handler that takes one at a route without a gate.
//!
//! [`GateLayer`] is also a tower layer, for a service that is no set of handlers, such as a proxy: see [`take_permit`].
//!
//! Where tokens may be bound to client certificates (RFC 8705), whatever ends the TLS puts a [`PeerCertificate`](crate::PeerCertificate)
//! into the extensions of each request of a connection with one.
//!
//! How the permit of a counted step is settled when the handler has answered:
//! - 2xx and 3xx: committed; `303` is how many a form is answered that was done (RFC 9110 §15.4.4);
//! - 4xx: released, since such an answer says that nothing was done;
//! - 5xx: committed, since the effect may have happened, and a use too few is better than a silent
//!   double;
//! - a handler that knows better puts an [`Outcome`] into its response's extensions; one whose result later steps depend
//!   on puts a [`CallResult`] there, which says that the action was done;
//! - a call that is broken off (its connection closed, the handler panicked): as a 5xx.

mod actions;
mod resource;
#[cfg(doctest)]
mod unchecked;

pub use actions::Actions;

use crate::action::{Args, ConcreteAction};
use crate::clock;
use crate::ending::{CallResult, Ending};
use crate::gate::Gate;
use crate::ledger::{Outcome, Reserved};
use crate::permit::Permit;
use crate::refusal::Refusal;
use crate::request::{PeerCertificate, Presented};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use marque_core::limits;
use marque_core::reason::Reason;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Says which action a request is. Implemented by functions
/// `Fn(&http::request::Parts, Args) -> Result<ConcreteAction, Refusal>`.
pub trait Mapper: Send + Sync + 'static {
    /// The action that method, path, query and arguments ask for. `args` is the strictly parsed
    /// body, or none for an empty one. Whatever of the request has an influence on the effect must
    /// become the resource's id or an argument.
    ///
    /// # Errors
    /// [`unknown_route`] when the request is none of the resource server's actions.
    fn map(&self, request: &Parts, args: Args) -> Result<ConcreteAction, Refusal>;
}

impl<F> Mapper for F
where
    F: Fn(&Parts, Args) -> Result<ConcreteAction, Refusal> + Send + Sync + 'static,
{
    fn map(&self, request: &Parts, args: Args) -> Result<ConcreteAction, Refusal> {
        self(request, args)
    }
}

/// The refusal of a request that is none of the resource server's actions.
pub fn unknown_route() -> Refusal {
    Refusal::new(Reason::ActionNotInPlan).because("the request is none of this resource server's actions")
}

/// The segments of a path, for mappers. Only a path in normal form has any: no empty or dot
/// segments, no percent-encoding, no backslash.
///
/// # Errors
/// [`Reason::CallMalformed`]; nothing is repaired.
pub fn segments(path: &str) -> Result<Vec<&str>, Refusal> {
    let is_normal = |segment: &&str| !matches!(*segment, "" | "." | "..") && !segment.contains(['%', '\\']);
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    if segments.iter().all(is_normal) {
        Ok(segments)
    } else {
        Err(Refusal::new(Reason::CallMalformed).because("the path is not in normal form"))
    }
}

/// A gate before [handlers](GateLayer::actions), or before another service. See the [module](self).
#[derive(Clone)]
pub struct GateLayer {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    gate: Arc<Gate>,
    base_url: String,
    mapper: Arc<dyn Mapper>,
    body_limit: usize,
    clock: fn() -> i64,
    has_metadata: bool,
}

impl GateLayer {
    /// A layer for the resource server at the gate's location.
    ///
    /// The URL that a proof must cover is the gate's location followed by the request's path and
    /// query, never the `Host` field. Put the layer where paths are whole: outside of nested routers.
    pub fn new(gate: Arc<Gate>, mapper: impl Mapper) -> Self {
        let base_url = gate.config().location().to_owned();
        let mapper = Arc::new(mapper);
        Self {
            shared: Arc::new(Shared {
                gate,
                base_url,
                mapper,
                body_limit: limits::CALL_BYTES,
                clock: clock::now,
                has_metadata: false,
            }),
        }
    }

    /// Another base than the gate's location, for example behind a proxy that rewrites paths.
    /// Without a final slash.
    #[must_use]
    pub fn with_base_url(self, base_url: &str) -> Self {
        self.changed(|shared| shared.base_url = base_url.into())
    }

    /// Bytes of a body that are read at most; [`limits::CALL_BYTES`] unless set lower.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        self.changed(|shared| shared.body_limit = bytes.min(limits::CALL_BYTES))
    }

    /// Another clock, in seconds since the Unix epoch.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> i64) -> Self {
        self.changed(|shared| shared.clock = clock)
    }

    /// Answers GET at [`GateConfig::metadata_url`](crate::GateConfig::metadata_url) with the resource server's metadata (RFC 9728), without a
    /// token, and names that address in every challenge (`resource_metadata`). The address has to lead to this layer.
    #[must_use]
    pub fn with_metadata(self) -> Self {
        self.changed(|shared| shared.has_metadata = true)
    }

    /// Handlers for the actions that the mapper names, each with a copy of `state`. See [`Actions::on`].
    pub fn actions<S>(self, state: S) -> Actions<S> {
        Actions::new(self.shared, state)
    }

    fn changed(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService { shared: self.shared.clone(), inner }
    }
}

/// A service behind a gate.
#[derive(Clone)]
pub struct GateService<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S> Service<http::Request<Body>> for GateService<S>
where
    S: Service<http::Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shared = self.shared.clone();
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        Box::pin(async move {
            if let Some(metadata) = shared.metadata(&request) {
                return Ok(metadata);
            }
            match shared.admit(request, |_| true).await {
                Ok((mut parts, permit, pending)) => {
                    parts.extensions.insert(Slot(Arc::new(Mutex::new(Some(permit)))));
                    let response = inner.call(http::Request::from_parts(parts, Body::empty())).await?;
                    pending.settle(ending(&response)).await;
                    Ok(response)
                }
                Err(refusal) => Ok(shared.refused(refusal)),
            }
        })
    }
}

impl Shared {
    /// Everything that happens before the handler. An action that nobody does is refused before it is charged.
    async fn admit(
        self: &Arc<Self>,
        request: http::Request<Body>,
        is_done_here: impl Fn(&str) -> bool,
    ) -> Result<(Parts, Permit, Unsettled), Refusal> {
        let (parts, body) = request.into_parts();
        let caller = self.gate.verify_caller(&self.presented(&parts), (self.clock)()).await?;
        let args = self.arguments(&parts, body).await?;
        let action = self.mapper.map(&parts, args)?;
        if !is_done_here(action.name()) {
            return Err(unknown_route());
        }
        let permit = self.gate.authorize(caller, action, (self.clock)()).await?;
        let pending = Unsettled { shared: self.clone(), reserved: permit.reservation().cloned() };
        tracing::debug!(step = permit.step(), intent = permit.intent_id(), call = %permit.call_digest(), "permitted");
        Ok((parts, permit, pending))
    }

    fn presented(&self, parts: &Parts) -> Presented {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Presented::new(parts.method.as_str(), &format!("{}{path}", self.base_url));
        // A value that is not visible ASCII can be neither token nor proof; it still counts as a field.
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let request = parts
            .headers
            .iter()
            .fold(request, |request, (name, value)| request.with_header(name.as_str(), &text(value)));
        match parts.extensions.get::<PeerCertificate>() {
            Some(certificate) => request.with_certificate(*certificate),
            None => request,
        }
    }

    async fn arguments(&self, parts: &Parts, body: Body) -> Result<Args, Refusal> {
        let malformed = |what: String| Refusal::new(Reason::CallMalformed).because(what);
        let limit = self.body_limit;
        let body = Limited::new(body, limit).collect().await;
        let body = body.map_err(|_| malformed(format!("the body cannot be read or is longer than {limit} bytes")))?;
        let body = body.to_bytes();
        if body.is_empty() {
            return Ok(Args::none());
        }
        if parts.method == Method::GET || parts.method == Method::HEAD {
            return Err(malformed(format!("a {} request has no body", parts.method)));
        }
        if !is_json(parts) {
            return Err(malformed("the body is not of type application/json".into()));
        }
        Args::parse(&body)
    }
}

fn is_json(parts: &Parts) -> bool {
    let mut types = parts.headers.get_all(header::CONTENT_TYPE).iter();
    let only = types.next().filter(|_| types.next().is_none()).and_then(|value| value.to_str().ok());
    let essence = only.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn ending(response: &Response) -> Ending {
    let extensions = response.extensions();
    if let Some(outcome) = extensions.get::<Outcome>() {
        return (*outcome).into();
    }
    if let Some(result) = extensions.get::<CallResult>() {
        return result.clone().into();
    }
    match response.status() {
        status if status.is_client_error() => Outcome::Released.into(),
        _ => Outcome::Committed.into(),
    }
}

/// A permitted call that has not ended. Dropped before it is settled, it was broken off.
struct Unsettled {
    shared: Arc<Shared>,
    reserved: Option<Reserved>,
}

impl Unsettled {
    async fn settle(mut self, ending: Ending) {
        // While this is awaited the reservation stays in place: a connection that closes now must
        // not lose the outcome.
        if let Some(reserved) = self.reserved.clone() {
            self.shared.gate.settle_reservation(&reserved, ending, (self.shared.clock)()).await;
            self.reserved = None;
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            tracing::warn!(permit = reserved.permit_id, intent = reserved.intent_id, "a permitted call was broken off");
            self.shared.gate.broken_off(reserved);
        }
    }
}

/// Where a permit waits for its one service.
#[derive(Clone)]
struct Slot(Arc<Mutex<Option<Permit>>>);

/// The permit of a request that came through a [`GateLayer`], for the one service behind it that does what it permits.
/// The request's body is empty by then: the permit has the arguments.
///
/// # Errors
/// [`NoPermit`].
pub fn take_permit(request: &mut Extensions) -> Result<Permit, NoPermit> {
    let slot = request.remove::<Slot>().ok_or(NoPermit)?;
    let permit = slot.0.lock().map_err(|_| NoPermit)?.take();
    permit.ok_or(NoPermit)
}

/// A request has no permit: it did not come through a [`GateLayer`], or its permit was taken before. As a response it is
/// a 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request did not come through a gate, or its permit was taken before")]
pub struct NoPermit;

impl IntoResponse for NoPermit {
    fn into_response(self) -> Response {
        tracing::error!("a service that needs a permit was reached without one: it is not behind a gate");
        let body = r#"{"error":"server_error","error_description":"this route is not behind a gate"}"#;
        json_response(StatusCode::INTERNAL_SERVER_ERROR, body.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::FORBIDDEN);
        let mut response = json_response(status, self.body().to_string());
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge().and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.status() == 503 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
