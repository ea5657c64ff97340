//! What the issuer says of itself.

#![expect(dead_code, reason = "the schemas are all that is read of these types")]

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

fn uri(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "uri"})
}

/// Text that is a URL.
struct Url;

impl JsonSchema for Url {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Url".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        uri(generator)
    }
}

/// Authorization server metadata (RFC 8414). Further members may follow.
#[derive(JsonSchema)]
pub(super) struct ServerMetadata {
    issuer: Url,
    jwks_uri: Url,
    token_endpoint: Url,
    response_types_supported: Vec<String>,
    grant_types_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Vec<String>,
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    dpop_signing_alg_values_supported: Vec<String>,
    introspection_endpoint: Url,
    introspection_endpoint_auth_methods_supported: Vec<String>,
    introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    introspection_signing_alg_values_supported: Vec<String>,
    revocation_endpoint: Url,
    revocation_endpoint_auth_methods_supported: Vec<String>,
    revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    status_list_aggregation_endpoint: Url,
    authorization_details_types_supported: Vec<String>,
    backchannel_authentication_endpoint: Url,
    backchannel_token_delivery_modes_supported: Vec<String>,
    backchannel_user_code_parameter_supported: bool,
    transaction_authorization_endpoint: Url,
    marque_plan_endpoint: Url,
    marque_plan_schema_uri: Url,
    /// This document.
    marque_openapi_uri: Url,
    marque_access_evaluation_endpoint: Url,
    marque_decision_point_metadata: Url,
    marque_results_endpoint: Url,
    marque_ledgers_endpoint: Url,
    marque_envelopes_endpoint: Url,
    marque_catalog_endpoint: Url,
    marque_revocation_feed: Url,
    marque_txn_token_trust_domains_supported: Vec<String>,
    /// Where the realm knows foreign issuers.
    identity_chaining_requested_token_types_supported: Option<Vec<String>>,
    mtls_endpoint_aliases: Option<Aliases>,
    tls_client_certificate_bound_access_tokens: Option<bool>,
}

/// The endpoints as clients with certificates know them (RFC 8705, section 5).
#[derive(JsonSchema)]
struct Aliases {
    token_endpoint: Url,
    backchannel_authentication_endpoint: Url,
    introspection_endpoint: Url,
    revocation_endpoint: Url,
    marque_plan_endpoint: Url,
    transaction_authorization_endpoint: Url,
}

/// Metadata of the decision point (AuthZEN Authorization API 1.0, section 9).
#[derive(JsonSchema)]
pub(super) struct DecisionPointMetadata {
    policy_decision_point: Url,
    access_evaluation_endpoint: Url,
    access_evaluations_endpoint: Url,
    search_subject_endpoint: Url,
    search_resource_endpoint: Url,
    search_action_endpoint: Url,
    access_request_endpoint: Url,
    jwks_uri: Url,
    capabilities: Vec<String>,
    /// The same, signed.
    signed_metadata: String,
}

/// The keys that Marque signs with (RFC 7517).
#[derive(JsonSchema)]
pub(super) struct KeySet {
    keys: Vec<PublicKey>,
}

/// A public key, for one type of token.
#[derive(JsonSchema)]
struct PublicKey {
    kty: String,
    crv: String,
    x: String,
    y: String,
    kid: String,
    alg: String,
    #[schemars(rename = "use")]
    purpose: String,
    /// The type of the tokens that it signs.
    marque_typ: String,
}

/// A JSON Schema, or an OpenAPI document.
#[derive(JsonSchema)]
pub(super) struct Document {}
