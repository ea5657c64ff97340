//! What a request presents, before anything about it is believed.

use crate::refusal::Refusal;
use marque_core::names::{HEADER_ACCEPT_CHALLENGE, HEADER_DPOP, HEADER_TXN_TOKEN};
use marque_core::reason::Reason;

/// The parts of a request that authority is judged by.
#[derive(Clone)]
pub struct Presented {
    method: String,
    url: String,
    tokens: Vec<String>,
    proofs: Vec<String>,
    accepts: Vec<String>,
    has_authorization: bool,
}

/// Says what was asked, never the token or the proof.
impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Presented({} {})", self.method, self.url)
    }
}

impl Presented {
    /// A request with its method (as sent, upper case) and its absolute URL as its caller wrote it.
    /// Build the URL from configuration and path, never from the `Host` field.
    pub fn new(method: &str, url: &str) -> Self {
        let (tokens, proofs, accepts) = Default::default();
        Self { method: method.into(), url: url.into(), tokens, proofs, accepts, has_authorization: false }
    }

    /// Adds a header field. Hand in every field of the request, repeated ones repeatedly: whether a
    /// field came twice is part of what is judged. Names are compared without case.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if name.eq_ignore_ascii_case(HEADER_TXN_TOKEN) {
            self.tokens.push(value.into());
        } else if name.eq_ignore_ascii_case(HEADER_DPOP) {
            self.proofs.push(value.into());
        } else if name.eq_ignore_ascii_case(HEADER_ACCEPT_CHALLENGE) {
            self.accepts.push(value.into());
        } else if name.eq_ignore_ascii_case("authorization") {
            self.has_authorization |= carries_token(value);
        }
        self
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether the client says that it takes challenges: exactly one field, of the boolean value true (RFC 9651
    /// §3.3.6), parameters ignored.
    pub(crate) fn accepts_challenge(&self) -> bool {
        match self.accepts.as_slice() {
            [value] => value.split(';').next().is_some_and(|item| item.trim_matches(' ') == "?1"),
            _ => false,
        }
    }

    /// The one transaction token.
    pub(crate) fn token(&self) -> Result<&str, Refusal> {
        let invalid = |what: &str| Err(Refusal::new(Reason::TokenInvalid).because(what));
        if self.has_authorization {
            return invalid("a transaction token travels in Txn-Token alone: send no token in Authorization");
        }
        match self.tokens.as_slice() {
            [token] => Ok(token),
            [] => Err(Refusal::new(Reason::TokenMissing)),
            _ => invalid("there is more than one Txn-Token field: send exactly one"),
        }
    }

    /// The one proof.
    pub(crate) fn proof(&self) -> Result<&str, Refusal> {
        match self.proofs.as_slice() {
            [proof] => Ok(proof),
            [] => Err(Refusal::new(Reason::ProofMissing)),
            _ => Err(Refusal::new(Reason::ProofInvalid).because("there is more than one DPoP field: send exactly one")),
        }
    }
}

/// Whether an `Authorization` value is a token (RFC 6750 §2.1, RFC 9449 §7.1). One request has one
/// authority: beside a transaction token such a value is ambiguous, instead of one it is Bearer use.
fn carries_token(value: &str) -> bool {
    let scheme = value.trim_start().split([' ', '\t']).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop")
}
