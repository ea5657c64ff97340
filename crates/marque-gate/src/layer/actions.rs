//! Handlers by action: what runs is what was permitted.

use super::{Shared, ending};
use crate::permit::Permit;
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Handler<S> = Arc<dyn Fn(S, Permit) -> Answer + Send + Sync>;

/// The handlers of a resource server's actions, behind its gate: a tower service for
/// `http::Request<axum_core::body::Body>`, for example axum's `Router::fallback_service`. Made by
/// [`GateLayer::actions`](super::GateLayer::actions).
///
/// A request whose action has no handler is refused as [`unknown_route`](super::unknown_route), and not charged.
pub struct Actions<S> {
    shared: Arc<Shared>,
    state: S,
    handlers: Arc<HashMap<String, Handler<S>>>,
}

impl<S: Clone> Clone for Actions<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), state: self.state.clone(), handlers: self.handlers.clone() }
    }
}

/// Says which actions have a handler.
impl<S> std::fmt::Debug for Actions<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

impl<S> Actions<S> {
    pub(super) fn new(shared: Arc<Shared>, state: S) -> Self {
        Self { shared, state, handlers: Arc::default() }
    }

    /// The handler of one action, by its name in the resource server's catalog. A second one for the same action takes
    /// the place of the first.
    #[must_use]
    pub fn on<H, F>(mut self, action: &str, handler: H) -> Self
    where
        H: Fn(S, Permit) -> F + Send + Sync + 'static,
        F: Future<Output: IntoResponse> + Send + 'static,
    {
        let handler: Handler<S> = Arc::new(move |state, permit| {
            let answer = handler(state, permit);
            Box::pin(async move { answer.await.into_response() })
        });
        Arc::make_mut(&mut self.handlers).insert(action.into(), handler);
        self
    }
}

impl<S: Clone + Send + 'static> Service<http::Request<Body>> for Actions<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (shared, state, handlers) = (self.shared.clone(), self.state.clone(), self.handlers.clone());
        Box::pin(async move {
            if let Some(metadata) = shared.metadata(&request) {
                return Ok(metadata);
            }
            let (_, permit, pending) = match shared.admit(request, |action| handlers.contains_key(action)).await {
                Ok(admitted) => admitted,
                Err(refusal) => return Ok(shared.refused(refusal)),
            };
            let answer = match handlers.get(permit.action()) {
                Some(handler) => handler(state, permit).await,
                None => super::NoPermit.into_response(),
            };
            pending.settle(ending(&answer)).await;
            Ok(answer)
        })
    }
}
