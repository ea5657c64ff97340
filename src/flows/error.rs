//! Why a flow did not do what was asked: refused, not possible now, or broken.

use crate::batch::BatchError;
use crate::keycloak::KeycloakError;
use crate::keys::KeyError;
use crate::random::RandomError;
use crate::store::{self, StoreError};
use marque_core::decide::Nearest;
use marque_core::json::Refused;
use marque_core::reason::Reason;
use std::fmt;

/// Error codes of OAuth 2.0 and its extensions, as far as Marque answers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// RFC 6749 §5.2.
    InvalidRequest,
    /// RFC 6749 §5.2.
    InvalidClient,
    /// RFC 6749 §5.2: the client tried `Authorization`, which the answer has to speak of.
    BasicRefused,
    /// RFC 6749 §5.2.
    InvalidGrant,
    /// RFC 6749 §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §5.2.
    InvalidScope,
    /// RFC 8693 §2.2.2.
    InvalidTarget,
    /// RFC 9396 §5.
    InvalidAuthorizationDetails,
    /// RFC 9449 §5.
    InvalidDpopProof,
    /// RFC 9449 §8.
    UseDpopNonce,
    /// CIBA §13: the hint is not of the plan's user.
    UnknownUserId,
    /// CIBA §13: the hint's time is over.
    ExpiredLoginHintToken,
    /// CIBA §13: nothing would show the message.
    InvalidBindingMessage,
    /// RFC 8628 §3.5, CIBA §11.
    AuthorizationPending,
    /// RFC 8628 §3.5, CIBA §11.
    SlowDown,
    /// RFC 8628 §3.5, CIBA §11.
    AccessDenied,
    /// RFC 8628 §3.5, CIBA §11.
    ExpiredToken,
    /// RFC 6750 §3.1: no token at all.
    MissingToken,
    /// RFC 6750 §3.1.
    InvalidToken,
    /// RFC 6750 §3.1.
    InsufficientScope,
    /// There is no such thing, or not for this caller.
    NotFound,
    /// It was, and is over or decided.
    Gone,
    /// It was decided differently already.
    Conflict,
    /// RFC 6585 §4: it may be asked again later.
    TooManyRequests,
}

impl OAuthError {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::BasicRefused,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::InvalidAuthorizationDetails,
        Self::InvalidDpopProof,
        Self::UseDpopNonce,
        Self::UnknownUserId,
        Self::ExpiredLoginHintToken,
        Self::InvalidBindingMessage,
        Self::AuthorizationPending,
        Self::SlowDown,
        Self::AccessDenied,
        Self::ExpiredToken,
        Self::MissingToken,
        Self::InvalidToken,
        Self::InsufficientScope,
        Self::NotFound,
        Self::Gone,
        Self::Conflict,
        Self::TooManyRequests,
    ];

    /// The code on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient | Self::BasicRefused => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::UnknownUserId => "unknown_user_id",
            Self::ExpiredLoginHintToken => "expired_login_hint_token",
            Self::InvalidBindingMessage => "invalid_binding_message",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::MissingToken | Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::TooManyRequests => "too_many_requests",
        }
    }
}

/// A refusal that the caller can act on.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The protocol's code.
    pub error: OAuthError,
    /// What is wrong, where, and what would mend it.
    pub description: String,
    /// Marque's own reason, where there is one.
    pub reason: Option<Reason>,
    /// The intent it is about, where the caller may know.
    pub intent_id: Option<String>,
    /// The step that came closest, where the caller may know.
    pub nearest: Option<Box<Nearest>>,
}

impl Refusal {
    /// A refusal with a code and a description.
    pub fn new(error: OAuthError, description: impl Into<String>) -> Self {
        Self { error, description: description.into(), reason: None, intent_id: None, nearest: None }
    }

    /// Adds the reason.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds the intent.
    #[must_use]
    pub fn about(mut self, intent_id: impl fmt::Display) -> Self {
        self.intent_id = Some(intent_id.to_string());
        self
    }
}

/// Why a flow did not do what was asked.
#[derive(Debug)]
pub enum FlowError {
    /// The caller must change something.
    Refused(Box<Refusal>),
    /// Something that is needed is away; nothing was done. The text is for the log.
    Unavailable(String),
    /// Something is broken; nothing was done. The text is for the log.
    Internal(String),
}

impl From<BatchError> for FlowError {
    fn from(error: BatchError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> Self {
        let text = format!("the database: {error}");
        if store::is_away(&error) { Self::Away(text) } else { Self::Failed(text) }
    }
}

impl FlowError {
    /// Something is broken here.
    pub fn internal(error: impl fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => f.write_str(&refusal.description),
            Self::Unavailable(text) | Self::Internal(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for FlowError {}

impl From<Refusal> for FlowError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<StoreError> for FlowError {
    fn from(error: StoreError) -> Self {
        let text = format!("the database: {error}");
        if store::is_away(&error) || store::may_succeed_later(&error) {
            Self::Unavailable(text)
        } else {
            Self::Internal(text)
        }
    }
}

impl From<KeycloakError> for FlowError {
    fn from(error: KeycloakError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<KeyError> for FlowError {
    fn from(error: KeyError) -> Self {
        Self::internal(error)
    }
}

impl From<RandomError> for FlowError {
    fn from(error: RandomError) -> Self {
        Self::internal(error)
    }
}

/// A refusal of bad input: the path and what would mend it.
pub(super) fn bad_input(error: OAuthError, refused: &Refused) -> Refusal {
    Refusal::new(error, refused.to_string())
}

/// A refusal of a token request, or of one of its parameters.
pub(super) fn malformed(text: impl Into<String>) -> Refusal {
    Refusal::new(OAuthError::InvalidRequest, text)
}

/// A refusal of a token of an intent.
pub(super) fn refuse(reason: Reason, intent_id: &str) -> Refusal {
    malformed(reason.meaning()).because(reason).about(intent_id)
}
