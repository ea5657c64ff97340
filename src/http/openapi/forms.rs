//! The forms of clients. What is left out counts as not sent; what is not named here is let be.

#![expect(dead_code, reason = "the schemas are all that is read of these types")]

use super::answers::codes;
use marque_core::names;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

fn assertion_type(_: &mut SchemaGenerator) -> Schema {
    codes(&[names::ASSERTION_TYPE_JWT])
}

fn grants(_: &mut SchemaGenerator) -> Schema {
    codes(&[names::GRANT_INTENT, names::GRANT_CIBA, names::GRANT_TOKEN_EXCHANGE])
}

fn requested(_: &mut SchemaGenerator) -> Schema {
    codes(&[names::TOKEN_TYPE_TXN, names::TOKEN_TYPE_ACCESS, names::TOKEN_TYPE_JWT])
}

fn seconds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[1-9][0-9]{0,8}$"})
}

fn openid(_: &mut SchemaGenerator) -> Schema {
    codes(&["openid"])
}

fn repeatable(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "string"}})
}

fn details(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "contentMediaType": "application/json"})
}

/// How a client says who it is, where it does not by a certificate.
#[derive(JsonSchema)]
struct Credentials {
    /// The client's id; with `client_assertion` it may be left out.
    client_id: Option<String>,
    #[schemars(schema_with = "assertion_type", default)]
    client_assertion_type: Option<String>,
    /// A JWT by the client: issuer and subject are its id, the one audience is the issuer (RFC 7523).
    client_assertion: Option<String>,
}

/// A plan to be approved.
#[derive(JsonSchema)]
pub(super) struct SubmissionForm {
    #[schemars(flatten)]
    credentials: Credentials,
    /// `[{"type": "agent_intent_plan", "plan": {…}}]`, one plan as `/plan-schema` describes it.
    #[schemars(schema_with = "details", required)]
    authorization_details: String,
    /// Thumbprint of the key that the tokens will be bound to, where no proof shows it (RFC 9449, section 10).
    dpop_jkt: Option<String>,
    /// The plan's user by name. One of the three hints at most.
    login_hint: Option<String>,
    /// An ID token of the realm for this client.
    id_token_hint: Option<String>,
    /// An identity assertion of a configured issuer, for this client.
    login_hint_token: Option<String>,
}

/// A plan to be approved, as CIBA submits it. One of the three hints is needed.
#[derive(JsonSchema)]
pub(super) struct BackchannelForm {
    #[schemars(flatten)]
    submission: SubmissionForm,
    /// Not shown to anybody, and hence refused.
    binding_message: Option<String>,
    /// Seconds that the person may take, as digits.
    #[schemars(schema_with = "seconds", default)]
    requested_expiry: Option<String>,
    /// What is asked for stands in `authorization_details`.
    #[schemars(schema_with = "openid", default)]
    scope: Option<String>,
}

/// A token request: which parameters are needed depends on the grant.
#[derive(JsonSchema)]
pub(super) struct TokenForm {
    #[schemars(flatten)]
    credentials: Credentials,
    #[schemars(schema_with = "grants", required)]
    grant_type: String,
    /// The approved plan, for the intent grant.
    intent_id: Option<String>,
    /// The same for the CIBA grant.
    auth_req_id: Option<String>,
    /// What is exchanged, for token exchange.
    subject_token: Option<String>,
    /// What it is.
    subject_token_type: Option<String>,
    #[schemars(schema_with = "requested", default)]
    requested_token_type: Option<String>,
    /// The trust domain, for a transaction token; a foreign issuer, for a grant that leaves the domain.
    #[schemars(schema_with = "repeatable", default)]
    audience: Option<Vec<String>>,
    /// The resource server, for an access token.
    #[schemars(schema_with = "repeatable", default)]
    resource: Option<Vec<String>>,
    /// Actions, separated by spaces; all of the subject token's where it is left out.
    scope: Option<String>,
    /// The steps that are passed on, as `[{"type": "agent_intent_step", …}]`; all where it is left out.
    #[schemars(schema_with = "details", default)]
    authorization_details: Option<String>,
    /// A JSON object that the token carries, for workloads that may say so.
    #[schemars(schema_with = "details", default)]
    request_context: Option<String>,
    /// Who may act next, as a JSON object.
    #[schemars(schema_with = "details", default)]
    may_act: Option<String>,
}

/// Either a resource server's challenge, or the id of one that was handed in, to poll for the decision.
#[derive(JsonSchema)]
pub(super) struct TransactionForm {
    #[schemars(flatten)]
    credentials: Credentials,
    /// The challenge, as the resource server gave it.
    transaction_challenge: Option<String>,
    /// The id that it was answered with.
    transaction_authorization_id: Option<String>,
}

/// A token, as RFC 7662 and RFC 7009 send it.
#[derive(JsonSchema)]
pub(super) struct OneTokenForm {
    #[schemars(flatten)]
    credentials: Credentials,
    token: String,
    /// Not looked at: what a token is stands in it.
    token_type_hint: Option<String>,
}

/// "Revoke now".
#[derive(JsonSchema)]
pub(super) struct ReceiptForm {
    /// The value from the page.
    csrf: String,
}
