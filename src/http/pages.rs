//! Marque's own pages: plain HTML without scripts, and without anything from elsewhere.

use super::error::HttpError;
use crate::flows::receipt::Receipt;
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// Nothing loads, nothing frames, forms go home. The style sheet is inline; its hash is not needed, because
/// nothing that comes from outside reaches it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The receipt.
#[derive(Template)]
#[template(path = "receipt.html")]
pub struct ReceiptPage {
    /// What it shows.
    pub receipt: Receipt,
    /// Where "Revoke now" is posted to.
    pub revoke_path: String,
}

/// One sentence.
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    title: &'static str,
    text: String,
}

/// Renders a page with the headers that every page has.
pub fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, headers(), Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// An error as a page: a person reads it.
pub fn error_page(error: &HttpError) -> Response {
    let title = match error.status() {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::CONFLICT => "Already decided",
        StatusCode::GONE => "Too late",
        StatusCode::SERVICE_UNAVAILABLE => "Not possible now",
        _ => "Not done",
    };
    page(error.status(), &MessagePage { title, text: error.description().to_owned() })
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers
}
