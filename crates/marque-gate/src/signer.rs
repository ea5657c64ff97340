//! The resource server's own signature: what it says of results, and what it asks a person about.

use jsonwebtoken::EncodingKey;
use marque_core::jws::{self, JwsError};
use std::sync::Arc;

/// A key with which a resource server signs: one of those that are registered for its client. It may be kept wherever
/// signing is possible.
pub trait SigningKey: Send + Sync {
    /// A compact JWS (RFC 7515 §7.1) by ES256 with the header members `alg`, `typ` and `kid`.
    ///
    /// # Errors
    /// Says why it cannot sign.
    fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, String>;
}

/// A resource server that signs.
///
/// ```
/// # fn signer(der: &[u8]) -> Result<marque_gate::Signer, Box<dyn std::error::Error>> {
/// use marque_gate::Signer;
/// let signer = Signer::from_pkcs8("keys-api", Some("2026-11"), der)?;
/// # Ok(signer) }
/// ```
#[derive(Clone)]
pub struct Signer {
    client_id: String,
    key: Arc<dyn SigningKey>,
}

/// Says whose, never the key.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.client_id)
    }
}

impl Signer {
    /// A key of a resource server's client.
    pub fn new(client_id: &str, key: impl SigningKey + 'static) -> Self {
        Self { client_id: client_id.into(), key: Arc::new(key) }
    }

    /// A private P-256 key in PKCS #8 (DER), with the key id under which it is registered.
    ///
    /// # Errors
    /// When it is not a private P-256 key.
    pub fn from_pkcs8(client_id: &str, kid: Option<&str>, der: &[u8]) -> Result<Self, JwsError> {
        let key = KeptKey { kid: kid.map(str::to_owned), key: EncodingKey::from_ec_der(der) };
        jws::sign_es256("probe", kid, b"{}", &key.key)?;
        Ok(Self::new(client_id, key))
    }

    /// The resource server's client id: claim `iss` of everything it signs.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, String> {
        self.key.sign(typ, payload)
    }
}

struct KeptKey {
    kid: Option<String>,
    key: EncodingKey,
}

impl SigningKey for KeptKey {
    fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, String> {
        jws::sign_es256(typ, self.kid.as_deref(), payload, &self.key).map_err(|error| error.to_string())
    }
}
