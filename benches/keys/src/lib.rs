//! P-256 keys that sign what the measurements need.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};
use jsonwebtoken::EncodingKey;
use marque_core::canonical::encode;
use marque_core::jws::{self, VerificationKey};
use marque_core::names::TYP_DPOP;
use serde_json::{Value, json};
use std::error::Error;

/// What went wrong, in words for whoever measures.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A P-256 key that signs JWS.
#[derive(Clone)]
pub struct Key {
    private: EncodingKey,
    public: Value,
    thumbprint: String,
}

impl Key {
    /// A key that nobody knows yet.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> Result<Self, Failure> {
        let pair = fresh(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let (x, y) = coordinates(&pair)?;
        let public = json!({"kty": "EC", "crv": "P-256", "x": encode(&x), "y": encode(&y)});
        let thumbprint = VerificationKey::from_jwk(&public)?.thumbprint().to_owned();
        Ok(Self { private: EncodingKey::from_ec_der(pair.to_pkcs8v1()?.as_ref()), public, thumbprint })
    }

    /// Its public half as a JWK of the members that it needs.
    pub fn public(&self) -> &Value {
        &self.public
    }

    /// RFC 7638 thumbprint, which is its key id too.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Its public half as a JWK set, with further members of the one key.
    pub fn jwks(&self, more: Value) -> Value {
        let mut jwk = self.public.clone();
        if let (Some(members), Value::Object(more)) = (jwk.as_object_mut(), more) {
            members.insert("kid".into(), self.thumbprint.as_str().into());
            members.extend(more);
        }
        json!({"keys": [jwk]})
    }

    /// Signs claims as a JWS of a type.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, typ: &str, claims: &Value) -> Result<String, Failure> {
        self.sign_bytes(typ, claims.to_string().as_bytes())
    }

    /// Signs a payload as a JWS of a type.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign_bytes(&self, typ: &str, payload: &[u8]) -> Result<String, Failure> {
        Ok(jws::sign_es256(typ, Some(&self.thumbprint), payload, &self.private)?)
    }

    /// A DPoP proof of these claims.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn prove(&self, claims: &Value) -> Result<String, Failure> {
        let header = json!({"typ": TYP_DPOP, "alg": "ES256", "jwk": self.public});
        Ok(jws::sign_with_header(&header, claims.to_string().as_bytes(), &self.private)?)
    }
}

/// The key of a passkey.
pub struct PasskeyKey {
    pair: EcdsaKeyPair,
}

impl PasskeyKey {
    /// A key that nobody knows yet.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self { pair: fresh(&ECDSA_P256_SHA256_ASN1_SIGNING)? })
    }

    /// The coordinates of its public half.
    ///
    /// # Errors
    /// When it has none.
    pub fn coordinates(&self) -> Result<([u8; 32], [u8; 32]), Failure> {
        coordinates(&self.pair)
    }

    /// An ECDSA signature with SHA-256, in DER.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(self.pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec())
    }
}

fn fresh(algorithm: &'static EcdsaSigningAlgorithm) -> Result<EcdsaKeyPair, Failure> {
    Ok(EcdsaKeyPair::generate(algorithm)?)
}

/// A public key is `04 ‖ x ‖ y`.
fn coordinates(pair: &EcdsaKeyPair) -> Result<([u8; 32], [u8; 32]), Failure> {
    let point = pair.public_key().as_ref().split_first().ok_or("a public key without coordinates")?.1;
    let (x, y) = point.split_at_checked(32).ok_or("a public key without coordinates")?;
    Ok((x.try_into()?, y.try_into()?))
}
