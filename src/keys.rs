//! Marque's signing keys: one per kind of token, sealed at rest.
//!
//! The private half is sealed with AES-256-GCM; realm, kind, key id and the public half are the
//! additional data, so that a row whose public half or kind was changed cannot be opened.

mod nonces;
mod purpose;
mod records;
pub mod rotation;

pub use nonces::Nonces;
pub use purpose::Purpose;
pub use records::{IntentSeal, Record, RecordSeal};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use marque_core::canonical::{canonical_text, decode, encode};
use marque_core::jws::{self, KeySet, VerificationKey};
use marque_core::names;
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The sealing key is not 32 bytes in base64url.
    #[error("the sealing key is not 32 bytes in base64url without padding")]
    SealingKey,
    /// The development key file cannot be read or made.
    #[error("cannot use the key file {0}: {1}")]
    File(String, std::io::Error),
    /// A stored key does not open: another sealing key, or a changed row.
    #[error("the stored signing key for {0} does not open: another sealing key sealed it, or its row was changed")]
    DoesNotOpen(String),
    /// The crypto library refused.
    #[error("cannot make or use a signing key")]
    Crypto,
}

/// The key that seals the others, and what is derived from it: the seals of the ledger's records, and nonces.
pub struct SealingKey {
    key: LessSafeKey,
    records: RecordSeal,
    nonces: Arc<Nonces>,
}

impl SealingKey {
    /// From 32 bytes in base64url.
    ///
    /// # Errors
    /// When they are not.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(decode(text.trim()).ok_or(KeyError::SealingKey)?);
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::SealingKey)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            records: RecordSeal::from_secret(&bytes),
            nonces: Arc::new(Nonces::from_secret(&bytes)),
        })
    }

    /// From a file that only this user can read; made on first use.
    ///
    /// # Errors
    /// When the file can be neither read nor made, or holds no key.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let failed = |error| KeyError::File(path.display().to_string(), error);
        if !path.exists() {
            let secret = Zeroizing::new(encode(&random::<32>()?));
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
            file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        Self::from_base64(&Zeroizing::new(fs::read_to_string(path).map_err(failed)?))
    }

    /// What the ledger's records are sealed with.
    pub fn records(&self) -> RecordSeal {
        self.records.clone()
    }

    /// The nonces that proofs repeat.
    pub fn nonces(&self) -> Arc<Nonces> {
        self.nonces.clone()
    }

    fn seal(&self, aad: &str, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal_with(&self.key, aad, secret)
    }

    fn open(&self, aad: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open_with(&self.key, aad, sealed)
    }
}

/// The nonce, then what was sealed with it.
fn seal_with(key: &LessSafeKey, aad: &str, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
    let nonce = random::<NONCE_LEN>()?;
    let mut sealed = secret.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut sealed)
        .map_err(|_| KeyError::Crypto)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open_with(key: &LessSafeKey, aad: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
    let mut body = Zeroizing::new(body.to_vec());
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let length = key.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

/// A signing key as a row holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// The JWS `typ` it signs.
    pub typ: String,
    /// Its id: the RFC 7638 thumbprint.
    pub kid: String,
    /// Its public half, canonical JSON.
    pub public_jwk: String,
    /// Its private half, sealed.
    pub sealed: Vec<u8>,
}

/// One usable signing key.
pub struct SigningKey {
    kid: String,
    public_jwk: Map<String, Value>,
    private: EcdsaKeyPair,
}

impl SigningKey {
    /// Makes a new key for a purpose; returns it with the row to keep.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn generate(realm: &str, purpose: Purpose, sealing: &SealingKey) -> Result<SealedKey, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Crypto)?;
        let point = pair.public_key().as_ref();
        let (x, y) = (point.get(1..33).ok_or(KeyError::Crypto)?, point.get(33..65).ok_or(KeyError::Crypto)?);
        let mut jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)});
        let kid = VerificationKey::from_jwk(&jwk).map_err(|_| KeyError::Crypto)?.thumbprint().to_owned();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".into(), kid.as_str().into());
            members.insert("use".into(), "sig".into());
            members.insert("alg".into(), "ES256".into());
            members.insert(names::JWK_PURPOSE.into(), purpose.typ().into());
        }
        let public_jwk = canonical_text(&jwk);
        let document = pair.to_pkcs8v1().map_err(|_| KeyError::Crypto)?;
        let sealed = sealing.seal(&additional_data(realm, purpose.typ(), &kid, &public_jwk), document.as_ref())?;
        Ok(SealedKey { typ: purpose.typ().into(), kid, public_jwk, sealed })
    }

    /// Opens a kept key.
    ///
    /// # Errors
    /// When anything about the row is not as it was sealed.
    pub fn open(realm: &str, row: &SealedKey, sealing: &SealingKey) -> Result<Self, KeyError> {
        let refused = || KeyError::DoesNotOpen(row.typ.clone());
        let aad = additional_data(realm, &row.typ, &row.kid, &row.public_jwk);
        let document = sealing.open(&aad, &row.sealed).ok_or_else(refused)?;
        let public: Value = serde_json::from_str(&row.public_jwk).map_err(|_| refused())?;
        Ok(Self {
            kid: row.kid.clone(),
            public_jwk: public.as_object().cloned().ok_or_else(refused)?,
            private: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document).map_err(|_| refused())?,
        })
    }

    /// The key's id: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs a payload as a compact JWS.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn sign(&self, purpose: Purpose, payload: &[u8]) -> Result<String, KeyError> {
        let message = jws::signing_input_es256(purpose.typ(), &self.kid, payload);
        let signature = encode(&self.sign_raw(message.as_bytes())?);
        Ok(format!("{message}.{signature}"))
    }

    /// Signs bytes as they are (evidence).
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn sign_raw(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.private.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Crypto)?;
        Ok(signature.as_ref().to_vec())
    }

    /// The public half.
    pub fn public_jwk(&self) -> &Map<String, Value> {
        &self.public_jwk
    }
}

fn additional_data(realm: &str, typ: &str, kid: &str, public_jwk: &str) -> String {
    ["marque/signing-key/v1", realm, typ, kid, public_jwk].join("\0")
}

fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Crypto)?;
    Ok(bytes)
}

/// The signing keys of one realm: for each purpose exactly one that signs, and those that are published beside it. They
/// change while the server runs, when one is withdrawn or another one begins to sign.
pub struct Keyring(RwLock<Arc<Opened>>);

struct Opened {
    keys: Vec<(Purpose, Arc<SigningKey>)>,
    jwks: Value,
    public: Arc<KeySet>,
    changes: Changes,
}

/// When a keyring is no longer up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How many keys the realm ever had when it was opened.
    pub known: i64,
    /// When a key begins to sign, or is published no longer.
    pub next: Option<OffsetDateTime>,
}

impl Keyring {
    /// Opens the kept keys: of each purpose the first one signs, the others are published beside it.
    ///
    /// # Errors
    /// When a purpose has no key or a key does not open.
    pub fn open(realm: &str, rows: &[SealedKey], sealing: &SealingKey, changes: Changes) -> Result<Self, KeyError> {
        let (mut keys, mut published) = (Vec::new(), Vec::new());
        for purpose in Purpose::ALL {
            let of_purpose = rows.iter().filter(|row| row.typ == purpose.typ());
            let opened = of_purpose.map(|row| SigningKey::open(realm, row, sealing).map(Arc::new));
            let opened = opened.collect::<Result<Vec<_>, _>>()?;
            let signing = opened.first().ok_or_else(|| KeyError::DoesNotOpen(purpose.typ().into()))?;
            keys.push((purpose, signing.clone()));
            published.extend(opened.iter().map(|key| Value::Object(key.public_jwk.clone())));
        }
        let jwks = json!({"keys": published});
        let public = Arc::new(KeySet::from_jwks(&jwks).map_err(|_| KeyError::Crypto)?);
        Ok(Self(RwLock::new(Arc::new(Opened { keys, jwks, public, changes }))))
    }

    /// When these keys are no longer up to date.
    pub fn changes(&self) -> Changes {
        self.opened().changes
    }

    /// Has the keys of another one from now on, and none of its own.
    pub fn replace_with(&self, other: &Self) {
        let opened = other.opened();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = opened;
    }

    /// The keys of this moment.
    fn opened(&self) -> Arc<Opened> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The published key set (RFC 7517).
    pub fn jwks(&self) -> Value {
        self.opened().jwks.clone()
    }

    /// The same keys for verifying what Marque itself signed.
    pub fn public(&self) -> Arc<KeySet> {
        self.opened().public.clone()
    }

    /// The key of a purpose.
    ///
    /// # Errors
    /// Never for a keyring that was opened; the type cannot say so.
    pub fn key(&self, purpose: Purpose) -> Result<Arc<SigningKey>, KeyError> {
        let opened = self.opened();
        let found = opened.keys.iter().find(|(candidate, _)| *candidate == purpose);
        found.map(|(_, key)| key.clone()).ok_or(KeyError::Crypto)
    }

    /// Signs claims as a compact JWS of a purpose.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn sign(&self, purpose: Purpose, claims: &impl serde::Serialize) -> Result<String, KeyError> {
        let payload = serde_json::to_vec(claims).map_err(|_| KeyError::Crypto)?;
        self.key(purpose)?.sign(purpose, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealing(fill: u8) -> SealingKey {
        SealingKey::from_base64(&encode(&[fill; 32])).unwrap()
    }

    #[test]
    fn a_key_opens_only_as_it_was_sealed() {
        let row = SigningKey::generate("demo", Purpose::TxnToken, &sealing(1)).unwrap();
        assert!(SigningKey::open("demo", &row, &sealing(1)).is_ok());
        assert!(SigningKey::open("demo", &row, &sealing(2)).is_err(), "another sealing key");
        assert!(SigningKey::open("other", &row, &sealing(1)).is_err(), "another realm");
        let other = SigningKey::generate("demo", Purpose::IntentToken, &sealing(1)).unwrap();
        for changed in [
            SealedKey { typ: other.typ.clone(), ..row.clone() },
            SealedKey { public_jwk: other.public_jwk.clone(), ..row.clone() },
            SealedKey { kid: other.kid.clone(), ..row.clone() },
            SealedKey { sealed: other.sealed.clone(), ..row.clone() },
        ] {
            assert!(SigningKey::open("demo", &changed, &sealing(1)).is_err());
        }
    }

    #[test]
    fn a_keyring_signs_each_kind_with_its_own_key() {
        let rows: Vec<_> =
            Purpose::ALL.into_iter().map(|p| SigningKey::generate("demo", p, &sealing(1)).unwrap()).collect();
        let keyring = Keyring::open("demo", &rows, &sealing(1), Changes::default()).unwrap();
        let token = keyring.sign(Purpose::TxnToken, &json!({"a": 1})).unwrap();
        assert!(jws::verify(&token, names::TYP_TXN, &keyring.public()).is_ok());
        assert!(jws::verify(&token, names::TYP_INTENT, &keyring.public()).is_err());
        let forged = keyring.key(Purpose::IntentToken).unwrap().sign(Purpose::TxnToken, b"{}").unwrap();
        assert!(jws::verify(&forged, names::TYP_TXN, &keyring.public()).is_err(), "the intent key signs no txn token");
        assert!(!keyring.jwks().to_string().contains("\"d\""));
        assert!(Keyring::open("demo", &rows[1..], &sealing(1), Changes::default()).is_err(), "a purpose without a key");
    }

    #[test]
    fn the_first_key_of_a_purpose_signs_and_all_of_them_are_published_and_believed() {
        let make = |purpose| SigningKey::generate("demo", purpose, &sealing(1)).unwrap();
        let mut rows = Purpose::ALL.map(make).to_vec();
        let former = Keyring::open("demo", &rows, &sealing(1), Changes::default()).unwrap();
        let (before, next) = (former.sign(Purpose::TxnToken, &json!({})).unwrap(), make(Purpose::TxnToken));
        rows.insert(0, next.clone());
        let keyring = Keyring::open("demo", &rows, &sealing(1), Changes::default()).unwrap();
        let after = keyring.sign(Purpose::TxnToken, &json!({})).unwrap();
        for token in [&before, &after] {
            assert!(jws::verify(token, names::TYP_TXN, &keyring.public()).is_ok());
        }
        assert_eq!(jws::unverified_kid(&after), Some(next.kid.clone()));
        assert_eq!(keyring.jwks()["keys"].as_array().unwrap().len(), Purpose::ALL.len() + 1);
        rows.push(SealedKey { public_jwk: rows[1].public_jwk.clone(), ..next });
        assert!(Keyring::open("demo", &rows, &sealing(1), Changes::default()).is_err(), "a published key opens, too");
    }

    #[test]
    fn a_keyring_that_was_replaced_believes_and_publishes_none_of_its_former_keys() {
        let open = || {
            let row = |purpose| SigningKey::generate("demo", purpose, &sealing(1)).unwrap();
            Keyring::open("demo", &Purpose::ALL.map(row), &sealing(1), Changes::default()).unwrap()
        };
        let (keyring, other) = (open(), open());
        let before = keyring.sign(Purpose::TxnToken, &json!({})).unwrap();
        keyring.replace_with(&other);
        let after = keyring.sign(Purpose::TxnToken, &json!({})).unwrap();
        let is_believed = |token: &str| jws::verify(token, names::TYP_TXN, &keyring.public()).is_ok();
        assert_eq!((is_believed(&before), is_believed(&after)), (false, true));
        assert_eq!(keyring.jwks(), other.jwks());
    }
}
