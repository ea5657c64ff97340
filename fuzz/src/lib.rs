//! What the targets share: a key pair, so that they get behind the check of a signature.

use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use marque_core::canonical::{decode, encode};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// RFC 7638 thumbprint of the key.
pub const KEY: &str = "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U";

const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

/// The key pair of RFC 7515 appendix A.3, as PKCS #8.
static PAIR: LazyLock<EncodingKey> = LazyLock::new(|| {
    let parts = [
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg",
        "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "oUQDQgAE",
        X,
        Y,
    ];
    EncodingKey::from_ec_der(&parts.map(|part| decode(part).expect("base64url")).concat())
});

/// The public key as a JWK.
pub fn public_key() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y})
}

/// The key's ES256 signature over some bytes.
pub fn signature(message: &[u8]) -> Vec<u8> {
    let signature = crypto::sign(message, &PAIR, Algorithm::ES256).expect("a signature");
    decode(&signature).expect("base64url")
}

/// A compact JWS of any header and payload.
pub fn sign(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(&signature(message.as_bytes()));
    format!("{message}.{signature}")
}
