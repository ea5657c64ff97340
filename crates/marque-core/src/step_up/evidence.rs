//! The evidence of a step-up: everything that one approved call rests on. Its form is that of [`crate::evidence`].

use crate::canonical::Digest;
use crate::display::DisplayRecord;
use crate::evidence::{Assertion, Content, Credential};
use crate::json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What Marque signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepUpPayload {
    /// Always 1.
    pub version: u32,
    /// The Marque issuer.
    pub issuer: String,
    /// The step-up.
    pub step_up_id: String,
    /// What was approved: a [`super::Document`].
    pub document: Value,
    /// Digest of the document's canonical bytes.
    pub document_digest: Digest,
    /// The JWS of the catalog that the document names, if it names one.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
    /// What was shown.
    pub display: DisplayRecord,
    /// Digest of the display record.
    pub display_digest: Digest,
    /// The challenge's nonce.
    pub nonce: Digest,
    /// The passkey's raw answer.
    pub assertion: Assertion,
    /// The passkey.
    pub credential: Credential,
    /// WebAuthn relying party id.
    pub rp_id: String,
    /// Origin of the page.
    pub origin: String,
    /// The realm's ID token, raw.
    pub id_token: String,
    /// The one realm key that signed it.
    pub realm_jwk: Value,
    /// When Marque verified the approval; seconds since the Unix epoch.
    pub approved_at: i64,
}

impl Content for StepUpPayload {
    fn version(&self) -> u32 {
        self.version
    }
}
