//! What is answered, and the one error body.

#![expect(dead_code, reason = "the schemas are all that is read of these types")]

use crate::flows::OAuthError;
use marque_core::names;
use marque_core::reason::Reason;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

/// A text that is one of these.
pub(super) fn codes(codes: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": codes})
}

fn error_codes(_: &mut SchemaGenerator) -> Schema {
    let mut all: Vec<&str> = OAuthError::ALL.iter().map(|error| error.code()).collect();
    all.extend(["temporarily_unavailable", "server_error"]);
    let mut distinct = Vec::new();
    all.into_iter().for_each(|code| {
        if !distinct.contains(&code) {
            distinct.push(code);
        }
    });
    codes(&distinct)
}

pub(super) fn reasons(_: &mut SchemaGenerator) -> Schema {
    codes(&Reason::ALL.iter().map(|reason| reason.code()).collect::<Vec<_>>())
}

pub(in crate::http) fn digest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"})
}

pub(super) fn uuid(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "uuid"})
}

pub(super) fn uri(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "uri"})
}

pub(super) fn timestamp(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// Spelled so that it stays: elsewhere what is not there is left out.
fn text_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"oneOf": [{"type": "string"}, {"type": "null"}]})
}

fn states(_: &mut SchemaGenerator) -> Schema {
    codes(&["pending", "approved", "denied", "active", "revoked", "suspended", "expired"])
}

fn token_types(_: &mut SchemaGenerator) -> Schema {
    codes(&["DPoP", "Bearer", "N_A"])
}

fn issued_types(_: &mut SchemaGenerator) -> Schema {
    codes(&[names::TOKEN_TYPE_INTENT, names::TOKEN_TYPE_TXN, names::TOKEN_TYPE_ACCESS, names::TOKEN_TYPE_JWT])
}

/// An answer that is not what was asked for: `error` and `error_description` of RFC 6749, section 5.2.
#[derive(JsonSchema)]
pub(super) struct Error {
    #[schemars(schema_with = "error_codes", required)]
    error: String,
    /// What is wrong, where, and what would mend it.
    error_description: String,
    /// Marque's own reason, where there is one.
    #[schemars(schema_with = "reasons", default)]
    reason: Option<String>,
    /// The intent it is about, where the caller may know.
    intent_id: Option<String>,
    nearest: Option<NearestStep>,
}

/// The step that came closest to permitting the call, and what differs.
#[derive(JsonSchema)]
pub(super) struct NearestStep {
    step: String,
    /// The argument that differs, if it is an argument.
    argument: Option<String>,
    /// What the step allows.
    expected: Value,
    /// What the call had.
    got: Value,
}

/// A plan that was taken in, and waits for the person.
#[derive(JsonSchema)]
pub(super) struct SubmittedPlan {
    #[schemars(schema_with = "uuid", required)]
    intent_id: String,
    /// Digest of the resolved plan.
    #[schemars(schema_with = "digest", required)]
    plan_digest: String,
    /// The digest in words, which the person sees too.
    digest_words: String,
    /// Where the person decides.
    #[schemars(schema_with = "uri", required)]
    approval_uri: String,
    /// Seconds until the person can no longer decide.
    expires_in: u32,
    /// Seconds between two polls.
    interval: u32,
}

/// The same as CIBA answers it.
#[derive(JsonSchema)]
pub(super) struct SubmittedByBackchannel {
    #[schemars(flatten)]
    submitted: SubmittedPlan,
    /// What the CIBA grant polls with.
    auth_req_id: String,
}

/// A client's own plan.
#[derive(JsonSchema)]
pub(super) struct OwnPlan {
    #[schemars(flatten)]
    submitted: SubmittedPlan,
    #[schemars(schema_with = "states", required)]
    state: String,
    /// The resolved plan.
    plan: Map<String, Value>,
}

/// A token.
#[derive(JsonSchema)]
pub(super) struct Token {
    access_token: String,
    #[schemars(schema_with = "issued_types", required)]
    issued_token_type: String,
    #[schemars(schema_with = "token_types", required)]
    token_type: String,
    /// Seconds.
    expires_in: u32,
    /// Actions, separated by spaces.
    scope: String,
    /// The steps that the token carries.
    authorization_details: Vec<Map<String, Value>>,
}

/// A call that waits for the person.
#[derive(JsonSchema)]
pub(super) struct RequestedApproval {
    #[schemars(schema_with = "uuid", required)]
    transaction_authorization_id: String,
    #[schemars(schema_with = "digest", required)]
    document_digest: String,
    digest_words: String,
    #[schemars(schema_with = "uri", required)]
    approval_uri: String,
    expires_in: u32,
    interval: u32,
}

/// A call that the person approved.
#[derive(JsonSchema)]
pub(super) struct ApprovedCall {
    #[schemars(schema_with = "uuid", required)]
    transaction_authorization_id: String,
    /// `approved`.
    state: String,
    #[schemars(schema_with = "uuid", required)]
    intent_id: String,
    step: String,
    #[schemars(schema_with = "digest", required)]
    call_digest: String,
    expires_in: u32,
}

/// What a token means for the caller (RFC 7662): with `active: false`, nothing more.
#[derive(JsonSchema)]
pub(super) struct Introspection {
    active: bool,
    iss: Option<String>,
    aud: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    iat: Option<i64>,
    exp: Option<i64>,
    jti: Option<String>,
    #[schemars(schema_with = "token_types", default)]
    token_type: Option<String>,
    #[schemars(schema_with = "issued_types", default)]
    issued_token_type: Option<String>,
    scope: Option<String>,
    /// The signed plan: its id and digest.
    intent: Option<Map<String, Value>>,
    /// The steps that concern the caller.
    authorization_details: Option<Vec<Map<String, Value>>>,
    txn: Option<String>,
    acr: Option<String>,
    auth_time: Option<i64>,
    act: Option<Map<String, Value>>,
    cnf: Option<Map<String, Value>>,
}

/// A catalog that counts.
#[derive(JsonSchema)]
pub(super) struct CatalogReference {
    /// URI of the resource server.
    location: String,
    version: u64,
    /// Digest of the payload octets.
    #[schemars(schema_with = "digest", required)]
    sha256: String,
}

/// One thing that a catalog makes milder.
#[derive(JsonSchema)]
pub(super) struct Milder {
    /// Where, as a path of the newer catalog.
    path: String,
    action: Option<String>,
    what: String,
    /// What the earlier catalog said.
    before: Value,
    /// What the newer one says; null where it says nothing.
    after: Value,
}

/// A catalog that waits for an administrator.
#[derive(JsonSchema)]
pub(super) struct WaitingCatalog {
    #[schemars(flatten)]
    reference: CatalogReference,
    /// `waiting`.
    state: String,
    milder: Vec<Milder>,
}

/// One that is listed.
#[derive(JsonSchema)]
struct ListedCatalog {
    #[schemars(flatten)]
    waiting: WaitingCatalog,
    client_id: String,
    #[schemars(schema_with = "timestamp", required)]
    uploaded_at: String,
    /// The whole catalog, as it was signed.
    jws: String,
}

/// Every list of tokens' states.
#[derive(JsonSchema)]
pub(super) struct StatusLists {
    status_lists: Vec<String>,
}

/// The catalogs that wait.
#[derive(JsonSchema)]
pub(super) struct WaitingCatalogs {
    catalogs: Vec<ListedCatalog>,
}

/// Who decided.
#[derive(JsonSchema)]
struct Decider {
    sub: String,
    #[schemars(schema_with = "text_or_null", required)]
    username: Option<String>,
}

/// What was decided on a catalog.
#[derive(JsonSchema)]
pub(super) struct DecidedCatalog {
    #[schemars(flatten)]
    reference: CatalogReference,
    /// `accepted` or `refused`.
    state: String,
    decided_by: Decider,
    #[schemars(schema_with = "timestamp", required)]
    decided_at: String,
}

/// A permit that was settled.
#[derive(JsonSchema)]
pub(super) struct Settled {
    permit_id: String,
    state: OutcomeWord,
}

/// What became of a permitted call.
#[derive(JsonSchema)]
#[schemars(rename = "Outcome", rename_all = "snake_case")]
pub enum OutcomeWord {
    /// It happened, or may have happened: the use counts.
    Committed,
    /// It certainly did not happen: the use is free again.
    Released,
}

/// A permit that is reserved or unknown.
#[derive(JsonSchema)]
struct OpenPermit {
    #[schemars(schema_with = "uuid", required)]
    permit_id: String,
    #[schemars(schema_with = "uuid", required)]
    intent_id: String,
    step: String,
    seq: i64,
    call_id: String,
    #[schemars(schema_with = "digest", required)]
    call_digest: String,
    state: String,
    /// Seconds since the Unix epoch.
    reserved_at: i64,
}

/// A page of open permits.
#[derive(JsonSchema)]
pub(super) struct OpenPermits {
    permits: Vec<OpenPermit>,
    /// `after` of the next page; absent on the last.
    next: Option<String>,
}

/// Steps and what holds for them together, in canonical form.
#[derive(JsonSchema)]
pub(super) struct Envelope {
    steps: Vec<Map<String, Value>>,
    bounds: Map<String, Value>,
}
