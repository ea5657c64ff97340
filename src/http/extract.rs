//! What requests are made of: the realm, strict forms, single headers, bearer tokens, cookies.

use super::error::HttpError;
use super::presented::Presented;
use crate::app::{App, Realm};
use crate::certificates::ClientCertificate;
use crate::flows::{Context, OAuthError, Refusal};
use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

/// Parameters that a request may have more than once (RFC 8693 §2.1).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// The realm that the path names.
pub struct InRealm {
    app: Arc<App>,
    realm: Arc<Realm>,
    presented: Presented,
}

impl InRealm {
    /// What flows are handed.
    pub fn context(&self) -> Context<'_> {
        Context { app: &self.app, realm: &self.realm }
    }

    /// An endpoint's public URL where the request came to it: the one that clients prove possession for.
    pub fn url(&self, path: &str) -> String {
        match self.app.tls.url.as_ref().filter(|_| self.presented.is_mutual) {
            Some(origin) => format!("{origin}{}", self.path(path)),
            None => format!("{}{path}", self.realm.config.issuer),
        }
    }

    /// The certificate that the client proved to be its own.
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.presented.certificate.as_deref()
    }

    /// The path below the server's root, for cookies.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.realm.config.path())
    }

    /// Whether browsers reach the issuer over TLS.
    pub fn is_https(&self) -> bool {
        self.realm.config.issuer.starts_with("https://")
    }
}

impl FromRequestParts<Arc<App>> for InRealm {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        let unknown = || Refusal::new(OAuthError::NotFound, "there is no such realm");
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| unknown())?;
        let name = params.iter().find(|(key, _)| *key == "realm").map(|(_, value)| value);
        let realm = name.and_then(|name| app.realms.get(name)).ok_or_else(unknown)?;
        let presented = Presented::of(parts, app)?;
        Ok(Self { app: app.clone(), realm: realm.clone(), presented })
    }
}

/// The intent id of the path, as it came; what is no text names no intent.
pub struct IntentId(pub String);

impl FromRequestParts<Arc<App>> for IntentId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self(path_text(parts, app, "intent_id").await))
    }
}

/// The id of an access request in the path, as it came.
pub struct RequestId(pub String);

impl FromRequestParts<Arc<App>> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self(path_text(parts, app, "request_id").await))
    }
}

/// The step-up id of the path, as it came.
pub struct StepUpId(pub String);

impl FromRequestParts<Arc<App>> for StepUpId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self(path_text(parts, app, "step_up_id").await))
    }
}

/// The digest of the path, as it came.
pub struct EnvelopeDigest(pub String);

impl FromRequestParts<Arc<App>> for EnvelopeDigest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self(path_text(parts, app, "digest").await))
    }
}

/// The number of a list in the path, as it came.
pub struct ListNumber(pub String);

impl FromRequestParts<Arc<App>> for ListNumber {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self(path_text(parts, app, "list").await))
    }
}

async fn path_text(parts: &mut Parts, app: &Arc<App>, name: &str) -> String {
    let params = RawPathParams::from_request_parts(parts, app).await.ok();
    let text = params.iter().flatten().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    text.unwrap_or_default()
}

/// A form: each parameter once, except those that a specification lets repeat. Parameters without a
/// value count as left out (RFC 6749 §3.2).
pub struct Form(BTreeMap<String, Vec<String>>);

impl Form {
    /// Reads `application/x-www-form-urlencoded` text.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Refusal::new(OAuthError::InvalidRequest, "the form is not UTF-8"))?;
        let mut form = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            if value.contains('\u{fffd}') || name.contains('\u{fffd}') {
                return Err(Refusal::new(OAuthError::InvalidRequest, "the form is not UTF-8"));
            }
            form.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        let repeated = form.iter().find(|(name, values)| values.len() > 1 && !REPEATABLE.contains(&name.as_str()));
        match repeated {
            Some((name, _)) => {
                let name: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
                Err(Refusal::new(OAuthError::InvalidRequest, format!("the parameter {name} is repeated")))
            }
            None => Ok(Self(form)),
        }
    }

    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// A parameter's value, which must be there.
    pub fn require(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::new(OAuthError::InvalidRequest, format!("{name} is missing")))
    }

    /// Every value of a parameter.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

impl FromRequest<Arc<App>> for Form {
    type Rejection = HttpError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, HttpError> {
        if request.uri().query().is_some() {
            let text = "send parameters in the body, none in the query: queries are written to logs";
            return Err(Refusal::new(OAuthError::InvalidRequest, text).into());
        }
        let body = body_of_type(request, app, "application/x-www-form-urlencoded").await?;
        Ok(Self::parse(&body)?)
    }
}

/// The body of a request that states the media type.
pub async fn body_of_type(request: Request, app: &Arc<App>, media_type: &str) -> Result<Bytes, HttpError> {
    let stated = single(request.headers(), header::CONTENT_TYPE.as_str())?.unwrap_or_default();
    let essence = stated.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(media_type) {
        return Err(Refusal::new(OAuthError::InvalidRequest, format!("Content-Type must be {media_type}")).into());
    }
    request.with_limited_body().extract_with_state::<Bytes, _, _>(app).await.map_err(HttpError::from_body)
}

/// A header that may be there once.
pub fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::new(OAuthError::InvalidRequest, format!("the header {name} is repeated")));
    }
    let text = |value: &'h axum::http::HeaderValue| {
        value.to_str().map_err(|_| Refusal::new(OAuthError::InvalidRequest, format!("the header {name} is not ASCII")))
    };
    first.map(text).transpose()
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1); nothing if there is no such header.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = single(headers, header::AUTHORIZATION.as_str())? else { return Ok(None) };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => Ok(Some(token)),
        _ => Err(Refusal::new(OAuthError::InvalidToken, "send Authorization: Bearer and a token")),
    }
}

/// A cookie's value.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_parameter_is_refused_and_an_empty_one_left_out() {
        let form = Form::parse(b"a=1&b=&resource=x&resource=y").unwrap_or_else(|_| panic!("refused"));
        assert_eq!((form.get("a"), form.get("b"), form.all("resource").len()), (Some("1"), None, 2));
        let repeated = Form::parse(b"a=1&a=2").err().map(|refusal| refusal.description);
        assert_eq!(repeated.as_deref(), Some("the parameter a is repeated"));
        assert!(Form::parse(b"a=%ff").is_err());
        assert!(Form::parse(b"\xff").is_err());
    }
}
