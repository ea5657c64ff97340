//! One map from what flows refuse to HTTP. Internals are logged once, with a number that the caller is shown.

use crate::flows::{FlowError, OAuthError, Refusal};
use crate::random;
use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use marque_core::reason::Reason;
use serde_json::{Value, json};
use std::any::Any;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    body: Value,
    challenge: Option<&'static str>,
}

/// The status of an error code.
const fn status_of(error: OAuthError) -> StatusCode {
    match error {
        OAuthError::InvalidClient | OAuthError::BasicRefused | OAuthError::MissingToken | OAuthError::InvalidToken => {
            StatusCode::UNAUTHORIZED
        }
        OAuthError::InsufficientScope => StatusCode::FORBIDDEN,
        OAuthError::NotFound => StatusCode::NOT_FOUND,
        OAuthError::Gone => StatusCode::GONE,
        OAuthError::Conflict => StatusCode::CONFLICT,
        OAuthError::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        OAuthError::InvalidRequest
        | OAuthError::InvalidGrant
        | OAuthError::UnauthorizedClient
        | OAuthError::UnsupportedGrantType
        | OAuthError::InvalidScope
        | OAuthError::InvalidTarget
        | OAuthError::InvalidAuthorizationDetails
        | OAuthError::InvalidDpopProof
        | OAuthError::UseDpopNonce
        | OAuthError::UnknownUserId
        | OAuthError::ExpiredLoginHintToken
        | OAuthError::InvalidBindingMessage
        | OAuthError::AuthorizationPending
        | OAuthError::SlowDown
        | OAuthError::AccessDenied
        | OAuthError::ExpiredToken => StatusCode::BAD_REQUEST,
    }
}

/// RFC 6749 §5.2 allows printable ASCII without quotation mark and backslash.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' => '\'',
            '\\' => '/',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

impl HttpError {
    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The same answer under another status.
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The sentence for a person.
    pub fn description(&self) -> &str {
        self.body.get("error_description").and_then(Value::as_str).unwrap_or_default()
    }

    /// A body that could not be read: too long, or cut off.
    pub fn from_body(rejection: BytesRejection) -> Self {
        let status = rejection.into_response().status();
        let text =
            if status == StatusCode::PAYLOAD_TOO_LARGE { "the body is too long" } else { "the body cannot be read" };
        Self { status, ..Refusal::new(OAuthError::InvalidRequest, text).into() }
    }

    fn of_server(status: StatusCode, error: &str, text: &str) -> Self {
        Self { status, body: json!({"error": error, "error_description": text}), challenge: None }
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        let mut body = json!({"error": refusal.error.code(), "error_description": printable(&refusal.description)});
        if let Some(members) = body.as_object_mut() {
            members.extend(refusal.reason.map(|reason| ("reason".to_owned(), json!(reason))));
            members.extend(refusal.intent_id.map(|id| ("intent_id".to_owned(), json!(id))));
            members.extend(refusal.nearest.map(|nearest| ("nearest".to_owned(), json!(nearest))));
        }
        let challenge = match refusal.error {
            // RFC 6749 §5.2: matching what was tried, although it is never taken.
            OAuthError::BasicRefused => Some("Basic realm=\"none\""),
            // RFC 6750 §3.1: without a token the challenge names no error.
            OAuthError::MissingToken => Some("Bearer"),
            OAuthError::InvalidToken => Some("Bearer error=\"invalid_token\""),
            OAuthError::InsufficientScope => Some("Bearer error=\"insufficient_scope\""),
            OAuthError::InvalidDpopProof => {
                Some("DPoP error=\"invalid_dpop_proof\", algs=\"ES256 ES384 EdDSA RS256 PS256\"")
            }
            _ => None,
        };
        Self { status: status_of(refusal.error), body, challenge }
    }
}

impl From<FlowError> for HttpError {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Refused(refusal) => (*refusal).into(),
            FlowError::Unavailable(detail) => {
                let id = random::opaque_id();
                tracing::warn!(%id, detail, "not possible now");
                let text = format!("something that is needed is not available; nothing was done; try again ({id})");
                let mut error = Self::of_server(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", &text);
                if let Some(members) = error.body.as_object_mut() {
                    members.insert("reason".into(), json!(Reason::StateUnavailable));
                }
                error
            }
            FlowError::Internal(detail) => {
                let id = random::opaque_id();
                tracing::error!(%id, detail, "failed");
                let text = format!("the server failed; nothing was done; its log has the details ({id})");
                Self::of_server(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text)
            }
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// The request took longer than any may.
pub fn too_slow() -> HttpError {
    FlowError::Unavailable("a request took too long".into()).into()
}

/// No such path.
pub async fn no_such_path() -> HttpError {
    Refusal::new(OAuthError::NotFound, "there is nothing at this path").into()
}

/// No such method at this path.
pub async fn no_such_method() -> HttpError {
    let text = "the path does not take this method";
    HttpError { status: StatusCode::METHOD_NOT_ALLOWED, ..Refusal::new(OAuthError::InvalidRequest, text).into() }
}

/// A panic is a defect; its caller is told no more than of any other.
#[expect(clippy::needless_pass_by_value, reason = "the form that tower-http asks for")]
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HttpError::from(FlowError::Internal(format!("panic: {}", text.unwrap_or("without a text")))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_keep_to_the_characters_that_oauth_allows() {
        let error = HttpError::from(Refusal::new(OAuthError::InvalidRequest, "a \"b\" \\ ü\n"));
        assert_eq!(error.description(), "a 'b' / ??");
    }

    #[test]
    fn internals_are_not_shown() {
        let error = HttpError::from(FlowError::Internal("password=hunter2".into()));
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!error.body.to_string().contains("hunter2"));
    }
}
