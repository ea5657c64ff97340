//! A client of the realm that authenticates with assertions of its own and proves possession of its key.

use crate::load;
use crate::realm::{Realm, now};
use bench_keys::{Failure, Key};
use bytes::Bytes;
use form_urlencoded::Serializer;
use marque_core::names::{ASSERTION_TYPE_JWT, TYP_CLIENT_ASSERTION};
use serde_json::{Value, json};
use uuid::Uuid;

/// Seconds that an assertion lives: as long as may be, so that all of a round can be signed beforehand.
const ASSERTION_SECS: i64 = 300;

/// The client.
pub struct Client {
    /// Its id.
    pub id: String,
    /// The key that signs its assertions, as the realm knows it.
    pub assertion: Key,
    /// The key that its tokens are bound to.
    pub proof: Key,
}

impl Client {
    /// A client that the realm knows.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(realm: &Realm, id: &str, attributes: Value) -> Result<Self, Failure> {
        let (assertion, proof) = (Key::new()?, Key::new()?);
        realm.add_client(id, &assertion, attributes);
        Ok(Self { id: id.to_owned(), assertion, proof })
    }

    /// An assertion for one request.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn assert(&self, audience: &str) -> Result<String, Failure> {
        let claims = json!({
            "iss": self.id, "sub": self.id, "aud": audience, "jti": Uuid::new_v4(), "iat": now(),
            "exp": now() + ASSERTION_SECS,
        });
        self.assertion.sign(TYP_CLIENT_ASSERTION, &claims)
    }

    /// A request to an endpoint of an issuer, with an assertion and a proof of its own.
    ///
    /// # Errors
    /// When a key cannot sign.
    pub fn request(&self, issuer: &str, path: &str, form: &[(&str, &str)], nonce: &str) -> Result<Bytes, Failure> {
        let url = format!("{issuer}{path}");
        let proof = self
            .proof
            .prove(&json!({"jti": Uuid::new_v4(), "iat": now(), "htm": "POST", "htu": url, "nonce": nonce}))?;
        let fields = [("content-type", "application/x-www-form-urlencoded"), ("dpop", &proof)];
        Ok(load::request("POST", &url, &fields, self.form(issuer, form)?.as_bytes()))
    }

    /// A form with an assertion.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn form(&self, audience: &str, form: &[(&str, &str)]) -> Result<String, Failure> {
        let mut body = Serializer::new(String::new());
        body.extend_pairs(form);
        body.append_pair("client_assertion_type", ASSERTION_TYPE_JWT);
        body.append_pair("client_assertion", &self.assert(audience)?);
        Ok(body.finish())
    }

    /// Posts once, outside of what is measured.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn post(
        &self,
        http: &reqwest::Client,
        issuer: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let url = format!("{issuer}{path}");
        let nonce = nonce(http, issuer).await?;
        let proof = self
            .proof
            .prove(&json!({"jti": Uuid::new_v4(), "iat": now(), "htm": "POST", "htu": url, "nonce": nonce}))?;
        let request = http.post(&url).header("content-type", "application/x-www-form-urlencoded").header("dpop", proof);
        success(request.body(self.form(issuer, form)?)).await
    }
}

/// The nonce that proofs repeat now, from a server that was started by this program. It is taken for a minute at least.
///
/// # Errors
/// When none is offered.
pub async fn nonce(http: &reqwest::Client, issuer: &str) -> Result<String, Failure> {
    let offer = http.post(format!("{issuer}/token")).send().await?;
    let nonce = offer.headers().get("dpop-nonce").ok_or("no nonce is offered")?;
    Ok(nonce.to_str()?.to_owned())
}

/// The JSON of an answer that must be a success.
///
/// # Errors
/// When it is not.
pub async fn success(request: reqwest::RequestBuilder) -> Result<Value, Failure> {
    let answer = request.send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    if status.is_success() { Ok(serde_json::from_str(&text)?) } else { Err(format!("{status}: {text}").into()) }
}

/// A member of an answer that must be a text.
///
/// # Errors
/// When it is not.
pub fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str, Failure> {
    answer.get(name).and_then(Value::as_str).ok_or_else(|| format!("the answer has no {name}").into())
}

/// Makes so many, on both processors: signatures are most of what is prepared.
///
/// # Errors
/// When one cannot be made.
pub fn make<T: Send>(count: usize, one: impl Fn(usize) -> Result<T, Failure> + Sync) -> Result<Vec<T>, Failure> {
    let half = count / 2;
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| (half..count).map(&one).collect::<Result<Vec<_>, _>>());
        ((0..half).map(&one).collect::<Result<Vec<_>, _>>(), other.join())
    });
    let mut all = first?;
    all.extend(second.map_err(|_| "the preparation broke down")??);
    Ok(all)
}
