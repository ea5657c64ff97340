//! The header `DPoP-Nonce` (RFC 9449 §8.2): every answer of an endpoint that takes proofs offers a fresh nonce.

use super::error::HttpError;
use super::extract::InRealm;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Adds the realm's nonce to an answer, where the realm asks for nonces.
pub async fn offer(realm: InRealm, request: Request, next: Next) -> Result<Response, HttpError> {
    let mut response = next.run(request).await;
    // After the request: it may have waited.
    if let Some(nonce) = realm.context().dpop_nonce()? {
        let value = HeaderValue::from_str(&nonce).map_err(crate::flows::FlowError::internal)?;
        response.headers_mut().insert(DPOP_NONCE, value);
    }
    Ok(response)
}
