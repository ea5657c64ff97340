//! `GET /envelopes/{digest}`: the steps of a token that carries them by digest.

use super::error::HttpError;
use super::extract::{EnvelopeDigest, InRealm, bearer, single};
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::envelopes::show_envelope;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What is found under a digest never changes.
const FOREVER: &str = "private, max-age=31536000, immutable";

/// Shows an envelope in canonical form: its SHA-256 is the digest.
pub async fn show(
    realm: InRealm,
    EnvelopeDigest(digest): EnvelopeDigest,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let resource_server = authenticate_resource_server(realm.context(), bearer(&headers)?).await?;
    let content = show_envelope(realm.context(), &resource_server, &digest).await?;
    let tag = format!("\"{digest}\"");
    let is_known = single(&headers, header::IF_NONE_MATCH.as_str())?.is_some_and(|known| known == tag);
    let about = [(header::ETAG, tag), (header::CACHE_CONTROL, FOREVER.to_owned())];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    Ok((about, [(header::CONTENT_TYPE, "application/json")], content).into_response())
}
