//! The metadata of the resource server behind a gate (RFC 9728): whoever has no token yet learns where to get one.

use super::{Shared, json_response};
use crate::refusal::Refusal;
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};

/// Seconds that the metadata may be kept.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

impl Shared {
    /// The metadata, if that is what is asked for and it is published.
    pub(super) fn metadata(&self, request: &http::Request<Body>) -> Option<Response> {
        let config = self.gate.config();
        let is_asked = self.has_metadata
            && request.method() == Method::GET
            && request.uri().query().is_none()
            && request.uri().path() == config.metadata_path();
        is_asked.then(|| {
            let mut answer = json_response(StatusCode::OK, config.metadata().to_string());
            answer.headers_mut().insert(header::CACHE_CONTROL, CACHE);
            answer
        })
    }

    /// The answer to a request that was refused.
    pub(super) fn refused(&self, refusal: Refusal) -> Response {
        tracing::info!(reason = refusal.reason().code(), intent = refusal.intent_id(), "refused");
        match self.has_metadata {
            true => refusal.with_metadata(&self.gate.config().metadata_url()).into_response(),
            false => refusal.into_response(),
        }
    }
}
