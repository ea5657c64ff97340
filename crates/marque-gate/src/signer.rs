//! The resource server's own signature: what it says of results, and what it asks a person about.

use jsonwebtoken::EncodingKey;
use marque_core::jws::{self, JwsError};

/// A resource server's signing key, the one that the realm registered for its client.
///
/// ```
/// # fn signer(der: &[u8]) -> Result<marque_gate::Signer, Box<dyn std::error::Error>> {
/// use marque_gate::Signer;
/// let signer = Signer::from_pkcs8("keys-api", Some("2026-11"), der)?;
/// # Ok(signer) }
/// ```
pub struct Signer {
    client_id: String,
    kid: Option<String>,
    key: EncodingKey,
}

/// Says whose, never the key.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.client_id)
    }
}

impl Signer {
    /// A private P-256 key of a client in PKCS #8 (DER), with the key id under which it is registered.
    ///
    /// # Errors
    /// When it is not a private P-256 key.
    pub fn from_pkcs8(client_id: &str, kid: Option<&str>, der: &[u8]) -> Result<Self, JwsError> {
        let key = EncodingKey::from_ec_der(der);
        let signer = Self { client_id: client_id.into(), kid: kid.map(str::to_owned), key };
        signer.sign("probe", b"{}")?;
        Ok(signer)
    }

    /// The resource server's client id: claim `iss` of everything it signs.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Signs a payload as a compact JWS of a `typ`, with ES256.
    pub(crate) fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, JwsError> {
        jws::sign_es256(typ, self.kid.as_deref(), payload, &self.key)
    }
}
