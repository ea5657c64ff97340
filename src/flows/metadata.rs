//! What the issuer says of itself (RFC 8414), its keys, and what a plan looks like.

use super::{Context, FlowError, access_request, status_list};
use crate::keys::Purpose;
use marque_core::{names, schema};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The authorization server metadata. There is no authorization endpoint, hence no response type: the
/// list is required and may not be empty (RFC 8414 §2), so it names the one that OAuth has for "none".
pub fn describe(cx: Context<'_>) -> Value {
    let issuer = cx.issuer();
    let mut metadata = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "token_endpoint": format!("{issuer}/token"),
        "response_types_supported": ["none"],
        "grant_types_supported": [names::GRANT_INTENT, names::GRANT_CIBA, names::GRANT_TOKEN_EXCHANGE],
        "backchannel_authentication_endpoint": format!("{issuer}/bc-authorize"),
        "backchannel_token_delivery_modes_supported": ["poll"],
        "backchannel_user_code_parameter_supported": false,
        "token_endpoint_auth_methods_supported": methods(cx),
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "RS256", "PS256"],
        "dpop_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "RS256", "PS256"],
        "introspection_endpoint": format!("{issuer}/introspect"),
        "introspection_endpoint_auth_methods_supported": (methods(cx).into_iter().chain(["Bearer"]).collect::<Vec<_>>()),
        "introspection_endpoint_auth_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "RS256", "PS256"],
        "introspection_signing_alg_values_supported": ["ES256"],
        "revocation_endpoint": format!("{issuer}/revoke"),
        "revocation_endpoint_auth_methods_supported": methods(cx),
        "revocation_endpoint_auth_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "RS256", "PS256"],
        "status_list_aggregation_endpoint": status_list::aggregation_uri(cx),
        "authorization_details_types_supported": [names::DETAIL_PLAN, names::DETAIL_STEP, names::DETAIL_CALL],
        "transaction_authorization_endpoint": format!("{issuer}/transaction-authorization"),
        "marque_plan_endpoint": format!("{issuer}/plans"),
        "marque_plan_schema_uri": format!("{issuer}/plan-schema"),
        "marque_openapi_uri": format!("{issuer}/openapi.json"),
        "marque_access_evaluation_endpoint": format!("{issuer}/access/v1/evaluation"),
        "marque_decision_point_metadata": format!("{issuer}/.well-known/authzen-configuration"),
        "marque_results_endpoint": format!("{issuer}/results"),
        "marque_ledgers_endpoint": format!("{issuer}/ledgers"),
        "marque_envelopes_endpoint": format!("{issuer}/envelopes"),
        "marque_catalog_endpoint": format!("{issuer}/catalogs"),
        "marque_revocation_feed": format!("{issuer}/revocations"),
        "marque_txn_token_trust_domains_supported": [cx.realm.config.trust_domain],
    });
    if let (Some(members), true) = (metadata.as_object_mut(), cx.app.tls.is_offered()) {
        members.insert("tls_client_certificate_bound_access_tokens".to_owned(), true.into());
    }
    if let (Some(members), Some(aliases)) = (metadata.as_object_mut(), aliases(cx)) {
        members.insert("mtls_endpoint_aliases".to_owned(), aliases);
    }
    if let (Some(members), false) = (metadata.as_object_mut(), cx.realm.config.foreign_issuers.is_empty()) {
        let types = json!([names::TOKEN_TYPE_JWT, names::TOKEN_TYPE_TXN]);
        members.insert("identity_chaining_requested_token_types_supported".to_owned(), types);
    }
    metadata
}

/// How clients authenticate here.
fn methods(cx: Context<'_>) -> Vec<&'static str> {
    let mut methods = vec!["private_key_jwt"];
    if cx.app.tls.is_offered() {
        methods.push("self_signed_tls_client_auth");
        methods.extend(cx.app.authorities.is_some().then_some("tls_client_auth"));
    }
    methods
}

/// The endpoints as clients with certificates know them (RFC 8705 §5).
fn aliases(cx: Context<'_>) -> Option<Value> {
    let base = format!("{}{}", cx.app.tls.url.as_ref()?, cx.realm.config.path());
    Some(json!({
        "token_endpoint": format!("{base}/token"),
        "backchannel_authentication_endpoint": format!("{base}/bc-authorize"),
        "introspection_endpoint": format!("{base}/introspect"),
        "revocation_endpoint": format!("{base}/revoke"),
        "marque_plan_endpoint": format!("{base}/plans"),
        "transaction_authorization_endpoint": format!("{base}/transaction-authorization"),
    }))
}

/// What the decision point says of itself (AuthZEN Authorization API 1.0 §9), plainly and signed by Marque.
///
/// # Errors
/// When the crypto library refuses.
pub fn decision_point(cx: Context<'_>) -> Result<Value, FlowError> {
    let issuer = cx.issuer();
    let plain = [
        ("policy_decision_point", json!(issuer)),
        ("access_evaluation_endpoint", json!(format!("{issuer}/access/v1/evaluation"))),
        ("access_evaluations_endpoint", json!(format!("{issuer}/access/v1/evaluations"))),
        ("search_subject_endpoint", json!(format!("{issuer}/access/v1/search/subject"))),
        ("search_resource_endpoint", json!(format!("{issuer}/access/v1/search/resource"))),
        ("search_action_endpoint", json!(format!("{issuer}/access/v1/search/action"))),
        ("access_request_endpoint", json!(access_request::endpoint(cx))),
        ("jwks_uri", json!(format!("{issuer}/jwks"))),
        ("capabilities", json!(CAPABILITIES)),
    ];
    let mut metadata: Map<String, Value> = plain.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let mut claims = metadata.clone();
    claims.insert("iss".to_owned(), issuer.into());
    metadata.insert("signed_metadata".to_owned(), cx.realm.keyring.sign(Purpose::PdpMetadata, &claims)?.into());
    Ok(metadata.into())
}

/// What the decision point can do beside the API's own.
const CAPABILITIES: [&str; 4] =
    [CAPABILITY_TXN_TOKEN, CAPABILITY_ACCESS_TOKEN, CAPABILITY_BY_SUBJECT, CAPABILITY_ACCESS_REQUEST];
/// Decides about an agent that presents a transaction token and a proof, in `context`.
const CAPABILITY_TXN_TOKEN: &str = "urn:marque:authzen:capability:txn-token";
/// The same with an access token of Marque's for the resource server.
const CAPABILITY_ACCESS_TOKEN: &str = "urn:marque:authzen:capability:access-token";
/// Decides about a user by her name, for resource servers that are switched to it.
const CAPABILITY_BY_SUBJECT: &str = "urn:marque:authzen:capability:resolve-by-subject";
/// Takes requests for what was denied (AuthZEN Access Request and Approval Profile).
const CAPABILITY_ACCESS_REQUEST: &str = "urn:openid:authzen:capability:access-request";

/// The JSON Schema of the plans that are submitted here, as JSON text.
pub fn plan_schema() -> &'static str {
    static SCHEMA: LazyLock<String> = LazyLock::new(|| schema::plan_schema().to_string());
    &SCHEMA
}

/// The published keys (RFC 7517).
pub fn keys(cx: Context<'_>) -> Value {
    cx.realm.keyring.jwks()
}
