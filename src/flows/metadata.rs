//! What the issuer says of itself (RFC 8414), its keys, and what a plan looks like.

use super::Context;
use marque_core::{names, schema};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The authorization server metadata. There is no authorization endpoint, hence no response type: the
/// list is required and may not be empty (RFC 8414 §2), so it names the one that OAuth has for "none".
pub fn describe(cx: Context<'_>) -> Value {
    let issuer = cx.issuer();
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "token_endpoint": format!("{issuer}/token"),
        "response_types_supported": ["none"],
        "grant_types_supported": [names::GRANT_INTENT, names::GRANT_TOKEN_EXCHANGE],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "RS256", "PS256"],
        "dpop_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "RS256", "PS256"],
        "authorization_details_types_supported": [names::DETAIL_PLAN, names::DETAIL_STEP, names::DETAIL_CALL],
        "transaction_authorization_endpoint": format!("{issuer}/transaction-authorization"),
        "marque_plan_endpoint": format!("{issuer}/plans"),
        "marque_plan_schema_uri": format!("{issuer}/plan-schema"),
        "marque_access_evaluation_endpoint": format!("{issuer}/access/v1/evaluation"),
        "marque_results_endpoint": format!("{issuer}/results"),
        "marque_catalog_endpoint": format!("{issuer}/catalogs"),
        "marque_revocation_feed": format!("{issuer}/revocations"),
        "marque_txn_token_trust_domains_supported": [cx.realm.config.trust_domain],
    })
}

/// The JSON Schema of the plans that are submitted here, as JSON text.
pub fn plan_schema() -> &'static str {
    static SCHEMA: LazyLock<String> = LazyLock::new(|| schema::plan_schema().to_string());
    &SCHEMA
}

/// The published keys (RFC 7517).
pub fn keys(cx: Context<'_>) -> Value {
    cx.realm.keyring.jwks()
}
