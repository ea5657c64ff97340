//! What a realm's ID token must say (OpenID Connect Core §3.1.3.7), at sign-in and again offline.

use marque_core::jws::{self, KeySet};
use marque_core::names;
use marque_core::times::{Lives, Times};
use serde_json::{Map, Value};

/// A verified ID token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct IdToken {
    pub issuer: String,
    pub sub: String,
    pub username: String,
    pub acr: String,
    /// When the user signed in, if the token says so: one of a grant without a sign-in does not.
    pub auth_time: Option<i64>,
    pub issued_at: i64,
    claims: Map<String, Value>,
}

impl IdToken {
    /// Verifies signature, kind and time of an ID token. Whose it is, its caller compares.
    pub fn verify(compact: &str, keys: &KeySet, at: i64) -> Result<Self, String> {
        let verified = jws::verify(compact, names::TYP_JWT, keys).map_err(|error| format!("the ID token {error}"))?;
        let claims = verified.claims().map_err(|error| format!("the ID token {error}"))?;
        let text =
            |name: &str| claims.get(name).and_then(Value::as_str).ok_or_else(|| format!("the ID token has no {name}"));
        if text("typ")? != "ID" {
            return Err("the token is no ID token".into());
        }
        let times = Times::check(&claims, Lives::AsIssued, at).map_err(|error| format!("the ID token {error}"))?;
        let issued_at = times.iat.ok_or("the ID token has no iat")?;
        Ok(Self {
            issuer: text("iss")?.to_owned(),
            sub: text("sub")?.to_owned(),
            username: text("preferred_username")?.to_owned(),
            acr: text("acr").unwrap_or("0").to_owned(),
            auth_time: claims.get("auth_time").and_then(Value::as_i64),
            issued_at,
            claims,
        })
    }

    /// Whether it was issued to one client for one sign-in.
    pub fn is_for(&self, issuer: &str, client_id: &str, nonce: &str) -> bool {
        self.is_issued_to(issuer, client_id) && self.text("nonce") == Some(nonce)
    }

    /// Whether it was issued to one client and nobody else.
    pub fn is_issued_to(&self, issuer: &str, client_id: &str) -> bool {
        let azp = self.claims.get("azp");
        self.issuer == issuer
            && self.text("aud") == Some(client_id)
            && azp.is_none_or(|azp| azp.as_str() == Some(client_id))
    }

    /// Its id (`jti`).
    pub fn id(&self) -> Option<&str> {
        self.text("jti")
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// The decision that the extension put in.
    pub fn approval(&self) -> Option<&Value> {
        self.claims.get(names::CLAIM_APPROVAL)
    }
}
