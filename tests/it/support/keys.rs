//! Keys and clients that sign whatever a test wants, right or wrong.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jsonwebtoken::EncodingKey;
use marque_core::call::Call;
use marque_core::canonical::{Digest, decode, encode};
use marque_core::jws::{self, VerificationKey};
use marque_core::names::{TYP_CLIENT_ASSERTION, TYP_DPOP};
use marque_demo::env::Client as ClientFiles;
use serde_json::{Map, Value, json};
use std::path::Path;
use uuid::Uuid;

pub use marque_demo::clients::now;

/// A P-256 key.
#[derive(Clone)]
pub struct Key {
    private: EncodingKey,
    pub public: Map<String, Value>,
    pub kid: String,
}

impl Key {
    /// A private JWK of the stack.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let jwk: Value = serde_json::from_slice(&text).unwrap();
        let part = |name: &str| decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [vec![4], part("x"), part("y")].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &part("d"), &point);
        Self::of(&pair.unwrap())
    }

    /// A key that nobody knows yet.
    pub fn fresh() -> Self {
        Self::of(&EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn of(pair: &EcdsaKeyPair) -> Self {
        let point = pair.public_key().as_ref();
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])});
        let kid = VerificationKey::from_jwk(&jwk).unwrap().thumbprint().to_owned();
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { private, public: jwk.as_object().unwrap().clone(), kid }
    }

    /// Its private half.
    pub fn private(&self) -> &EncodingKey {
        &self.private
    }

    /// Signs claims under whatever header.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        jws::sign_with_header(header, claims.to_string().as_bytes(), &self.private).unwrap()
    }

    /// Signs claims as a JWS of a type.
    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        self.sign_with(&json!({"alg": "ES256", "typ": typ, "kid": self.kid}), claims)
    }

    /// The public JWK set.
    pub fn jwks(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk.extend([("kid", self.kid.as_str()), ("use", "sig"), ("alg", "ES256")].map(|(k, v)| (k.into(), v.into())));
        json!({"keys": [jwk]})
    }

    /// A DPoP proof with whatever claims.
    pub fn proof_of(&self, claims: &Value) -> String {
        self.sign_with(&json!({"typ": TYP_DPOP, "alg": "ES256", "jwk": self.public}), claims)
    }

    /// The claims of a right DPoP proof, with the nonce that an answer offered last. Who asks for none ignores it.
    pub fn proof_claims(method: &str, url: &str) -> Value {
        let mut claims = json!({"jti": Uuid::new_v4().to_string(), "iat": now(), "htm": method, "htu": url});
        if let Some(nonce) = super::reply::offered_nonce() {
            claims["nonce"] = nonce.into();
        }
        claims
    }

    /// A right DPoP proof for a call with a token.
    pub fn prove_call(&self, token: &str, call: &Call, method: &str, url: &str) -> String {
        let mut claims = Self::proof_claims(method, url);
        claims["ath"] = Digest::of(token.as_bytes()).to_base64().into();
        claims["call_digest"] = call.digest().to_base64().into();
        self.proof_of(&claims)
    }
}

/// A client of the realm with its two keys.
pub struct Client {
    pub id: String,
    pub signing: Key,
    pub dpop: Key,
}

impl Client {
    pub fn of(files: &ClientFiles) -> Self {
        Self { id: files.client_id.clone(), signing: Key::read(&files.key), dpop: Key::read(&files.dpop_key) }
    }

    /// The same client with another proof key.
    pub fn with_fresh_dpop(files: &ClientFiles) -> Self {
        Self { dpop: Key::fresh(), ..Self::of(files) }
    }

    /// The claims of a right client assertion.
    pub fn assertion_claims(&self, issuer: &str) -> Value {
        json!({
            "iss": self.id, "sub": self.id, "aud": issuer, "jti": Uuid::new_v4().to_string(),
            "iat": now(), "exp": now() + 60,
        })
    }

    /// A client assertion with whatever claims.
    pub fn assert(&self, claims: &Value) -> String {
        self.signing.sign(TYP_CLIENT_ASSERTION, claims)
    }
}
