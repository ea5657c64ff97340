//! The secrets of a stack, made once: the clients' keys and the passwords.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::env::write_private;
use crate::{Result, about};

/// The members of a JWK that may leave the machine.
const PUBLIC_MEMBERS: [&str; 7] = ["kty", "crv", "x", "y", "kid", "alg", "use"];

/// The passwords of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Passwords {
    /// Of the realm's users.
    pub(crate) demo: String,
    /// Of Keycloak's administrator.
    pub(crate) admin: String,
}

/// The folder of the secrets.
#[derive(Debug, Clone)]
pub(crate) struct Keys(PathBuf);

impl Keys {
    /// Opens or makes the folder, its keys and its passwords.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let keys = Self(dir.join("keys"));
        DirBuilder::new().recursive(true).mode(0o700).create(&keys.0).map_err(about(keys.0.display()))?;
        ["agent", "worker", "rs"].into_iter().try_for_each(|client| keys.make(client))?;
        make_once(&keys.password_file(), || Ok(json!({"demo": new_password()?, "admin": new_password()?})))?;
        Ok(keys)
    }

    /// Makes the keys of `client`, unless it has them.
    pub(crate) fn make(&self, client: &str) -> Result<()> {
        make_once(&self.signing(client), new_key)?;
        make_once(&self.dpop(client), new_key)
    }

    /// The private JWK with which `client` authenticates.
    pub(crate) fn signing(&self, client: &str) -> PathBuf {
        self.0.join(format!("{client}.jwk"))
    }

    /// The private JWK of the DPoP proofs of `client`.
    pub(crate) fn dpop(&self, client: &str) -> PathBuf {
        self.0.join(format!("{client}-dpop.jwk"))
    }

    /// The public JWK set with which `client` authenticates.
    pub(crate) fn jwks(&self, client: &str) -> Result<Value> {
        let path = self.signing(client);
        let jwk: Value = serde_json::from_slice(&fs::read(&path).map_err(about(path.display()))?)?;
        let public: serde_json::Map<_, _> =
            PUBLIC_MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), jwk.get(name)?.clone()))).collect();
        Ok(json!({"keys": [public]}))
    }

    pub(crate) fn passwords(&self) -> Result<Passwords> {
        let path = self.password_file();
        serde_json::from_slice(&fs::read(&path).map_err(about(path.display()))?).map_err(about(path.display()))
    }

    fn password_file(&self) -> PathBuf {
        self.0.join("passwords.json")
    }
}

fn make_once(path: &Path, make: impl FnOnce() -> Result<Value>) -> Result<()> {
    if path.exists() { Ok(()) } else { write_private(path, make()?.to_string().as_bytes()) }
}

fn new_password() -> Result<String> {
    let mut random = [0_u8; 12];
    aws_lc_rs::rand::fill(&mut random).map_err(about("random numbers"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// A private ES256 JWK whose `kid` is its thumbprint (RFC 7638).
fn new_key() -> Result<Value> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(about("a new key"))?;
    let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(about("a new key"))?;
    let (x, y) = pair
        .public_key()
        .as_ref()
        .get(1..)
        .and_then(|point| point.split_at_checked(32))
        .ok_or("a new key is no point")?;
    let [d, x, y] = [d.as_ref(), x, y].map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let kid = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
    Ok(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": d, "kid": kid, "alg": "ES256", "use": "sig"}))
}
