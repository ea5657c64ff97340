//! What a request presents, before anything about it is believed.

use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::names::{HEADER_ACCEPT_CHALLENGE, HEADER_DPOP, HEADER_TXN_TOKEN};
use marque_core::reason::Reason;

/// Why a token that is bound to a key is refused as a bearer token.
pub(crate) const NEVER_BEARER: &str =
    "the token is bound to a key: send Authorization: DPoP with a proof, never Bearer";

/// The parts of a request that authority is judged by.
#[derive(Clone)]
pub struct Presented {
    method: String,
    url: String,
    tokens: Vec<String>,
    proofs: Vec<String>,
    accepts: Vec<String>,
    authorizations: Vec<String>,
    certificate: Option<PeerCertificate>,
}

/// The certificate with which the client proved possession of its key to this server's TLS (RFC 8705 §3), by the SHA-256 of
/// its DER. Who vouches for the certificate does not matter: the token is bound to this very one.
///
/// Take it from the connection that the request came on, or from a proxy that ends TLS and is believed (RFC 9440), never from
/// a field that a client can send. Requests in TLS 1.3 early data can be replayed: do not take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCertificate(Digest);

impl PeerCertificate {
    /// From the DER of the client's own certificate, the first of its chain.
    pub fn of_der(der: &[u8]) -> Self {
        Self(Digest::of(der))
    }

    /// Its thumbprint, `x5t#S256`.
    pub fn thumbprint(&self) -> Digest {
        self.0
    }
}

/// The one token of a request, by where it came.
#[derive(Clone, Copy)]
pub(crate) enum PresentedToken<'p> {
    /// A transaction token, in `Txn-Token`.
    Transaction(&'p str),
    /// An access token, in `Authorization: DPoP`.
    Access(&'p str),
    /// An access token, in `Authorization: Bearer`, over a connection with a client certificate.
    Bearer(&'p str),
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
        let (tokens, proofs, accepts, authorizations, certificate) = Default::default();
        Self { method: method.into(), url: url.into(), tokens, proofs, accepts, authorizations, certificate }
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
            self.authorizations.extend(carries_token(value).then(|| value.to_owned()));
        }
        self
    }

    /// Adds the client's certificate, where the request's connection has one. It is of use for tokens that are bound to it alone.
    #[must_use]
    pub fn with_certificate(self, certificate: PeerCertificate) -> Self {
        Self { certificate: Some(certificate), ..self }
    }

    pub(crate) fn certificate(&self) -> Option<PeerCertificate> {
        self.certificate
    }

    pub(crate) fn has_proof(&self) -> bool {
        !self.proofs.is_empty()
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

    /// The one token.
    pub(crate) fn token(&self) -> Result<PresentedToken<'_>, Refusal> {
        let invalid = |what: &str| Err(Refusal::new(Reason::TokenInvalid).because(what));
        match (self.tokens.as_slice(), self.authorizations.as_slice()) {
            ([token], []) => Ok(PresentedToken::Transaction(token)),
            ([], [value]) => match (token_of(value, "dpop"), token_of(value, "bearer"), self.certificate) {
                (Some(token), _, _) => Ok(PresentedToken::Access(token)),
                (None, Some(token), Some(_)) => Ok(PresentedToken::Bearer(token)),
                _ => invalid(NEVER_BEARER),
            },
            ([], []) => Err(Refusal::new(Reason::TokenMissing)),
            (_, []) => invalid("there is more than one Txn-Token field: send exactly one"),
            ([], _) => invalid("there is more than one token in Authorization: send exactly one"),
            _ => invalid("a transaction token travels in Txn-Token alone: send no token in Authorization beside it"),
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

/// The token of `Authorization` with a scheme (RFC 9449 §7.1, RFC 6750 §2.1).
fn token_of<'v>(value: &'v str, expected: &str) -> Option<&'v str> {
    let (scheme, token) = value.trim_matches([' ', '\t']).split_once(' ')?;
    let is_one = !token.is_empty() && !token.contains([' ', '\t', ',']);
    (scheme.eq_ignore_ascii_case(expected) && is_one).then_some(token)
}

/// Whether an `Authorization` value is a token (RFC 6750 §2.1, RFC 9449 §7.1). One request has one
/// authority: beside a transaction token such a value is ambiguous, instead of one it is Bearer use.
fn carries_token(value: &str) -> bool {
    let scheme = value.trim_start().split([' ', '\t']).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop")
}
