//! What a resource server says of itself to clients that meet it first (RFC 9728).

use crate::config::GateConfig;
use marque_core::names::DETAIL_STEP;
use serde_json::{Value, json};

/// What stands between the origin and the path of a resource (RFC 9728 §3.1).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

impl GateConfig {
    /// Where the metadata of the resource server is to be found: the well-known part inserted before the path of the location,
    /// which is its resource identifier.
    pub fn metadata_url(&self) -> String {
        let (origin, path) = self.origin_and_path();
        format!("{origin}{WELL_KNOWN}{path}")
    }

    /// The path of [`Self::metadata_url`].
    pub fn metadata_path(&self) -> String {
        format!("{WELL_KNOWN}{}", self.origin_and_path().1)
    }

    fn origin_and_path(&self) -> (&str, &str) {
        let authority = self.location.find("://").map_or(0, |at| at + 3);
        let path = self.location.char_indices().find(|(at, sign)| *at >= authority && *sign == '/');
        self.location.split_at(path.map_or(self.location.len(), |(at, _)| at))
    }

    /// The metadata: the location as `resource`, Marque as the one authorization server, and how tokens are presented. It is
    /// answered for GET at [`Self::metadata_url`] as `application/json`; behind the tower layer that is one
    /// setting (`with_metadata`).
    pub fn metadata(&self) -> Value {
        json!({
            "resource": self.location,
            "authorization_servers": [self.issuer],
            "bearer_methods_supported": ["header"],
            "authorization_details_types_supported": [DETAIL_STEP],
            "dpop_signing_alg_values_supported": ["ES256", "ES384", "EdDSA"],
            "dpop_bound_access_tokens_required": !self.takes_certificates,
            "tls_client_certificate_bound_access_tokens": self.takes_certificates,
        })
    }
}
