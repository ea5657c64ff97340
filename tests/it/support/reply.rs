//! An answer, with what every error answer must be.

use axum::http::HeaderMap;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// The nonce that an answer offered last. Every server of the stack's issuer takes what any of them gave.
static NONCE: Mutex<Option<String>> = Mutex::new(None);

/// The nonce that an answer offered last.
pub fn offered_nonce() -> Option<String> {
    NONCE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Remembers the nonce that an answer offers.
pub fn remember_nonce(headers: &HeaderMap) {
    if let Some(nonce) = headers.get("dpop-nonce") {
        let nonce = nonce.to_str().unwrap().to_owned();
        *NONCE.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce);
    }
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub what: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Reply {
    /// Sends a request and reads its answer, which must be one that the OpenAPI document has.
    pub async fn to(what: &str, request: reqwest::RequestBuilder) -> Self {
        let (client, request) = request.timeout(super::PATIENCE).build_split();
        let request = request.unwrap_or_else(|error| panic!("{what}: no request: {error:?}"));
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let answer = client.execute(request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{what}: no answer: {error:?}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        remember_nonce(&headers);
        let text = answer.text().await.unwrap_or_else(|error| panic!("{what}: the answer breaks off: {error}"));
        super::document::expect(what, (&method, &path), (status, &headers, &text));
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { what: what.to_owned(), status, headers, text, body }
    }

    /// A text member of the body.
    pub fn member(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// A header, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The body of a success.
    pub fn success(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.text);
        self.expect_no_store();
        &self.body
    }

    fn expect_no_store(&self) {
        assert_eq!(self.header("cache-control"), "no-store", "{}: {:?}", self.what, self.headers);
    }

    /// An OAuth error (RFC 6749 §5.2) with a description, that nobody keeps and that holds no token.
    pub fn refused(&self, status: u16, error: &str) -> &Self {
        assert_eq!((self.status, self.member("error")), (status, error), "{}: {}", self.what, self.text);
        assert_eq!(self.header("content-type"), "application/json", "{}", self.what);
        self.expect_no_store();
        let description = self.member("error_description");
        let may_say = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
        assert!(description.len() > 10 && description.chars().all(may_say), "{}: {description:?}", self.what);
        assert!(self.body.get("access_token").is_none(), "{}: {}", self.what, self.text);
        self.expect_challenge(error);
        self
    }

    /// Who is refused at a resource is told how to ask (RFC 6750 §3, RFC 9449 §7.1).
    fn expect_challenge(&self, error: &str) {
        let scheme = match error {
            "invalid_token" | "insufficient_scope" => "Bearer",
            "invalid_dpop_proof" => "DPoP ",
            _ => return,
        };
        assert!(self.header("www-authenticate").starts_with(scheme), "{}: {:?}", self.what, self.headers);
    }

    /// As [`Self::refused`], with a reason.
    pub fn because(&self, status: u16, error: &str, reason: &str) -> &Self {
        self.refused(status, error);
        assert_eq!(self.member("reason"), reason, "{}: {}", self.what, self.text);
        self
    }

    /// The description names the place.
    pub fn naming(&self, place: &str) -> &Self {
        let description = self.member("error_description");
        assert!(description.contains(place), "{}: {description:?} does not name {place:?}", self.what);
        self
    }

    /// An error page for a person.
    pub fn page(&self, status: u16, sentence: &str) -> &Self {
        assert_eq!(self.status, status, "{}: {}", self.what, self.text);
        assert!(self.header("content-type").starts_with("text/html"), "{}: {:?}", self.what, self.headers);
        assert!(self.header("content-security-policy").contains("default-src 'none'"), "{}", self.what);
        self.expect_no_store();
        assert!(self.text.contains(sentence), "{}: {:?} is not on the page: {}", self.what, sentence, self.text);
        self
    }
}
