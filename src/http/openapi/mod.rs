//! `GET /openapi.json`: the OpenAPI 3.1 document of a realm's endpoints.
//!
//! Methods, paths and callers are those of [`ROUTES`]; what each is sent and answers stands beside it in the other files here.
//! The schemas are derived from types: those of request bodies from the ones that read them.

mod answers;
mod decisions;
mod describe;
mod forms;
mod metadata;
mod routes;

pub(in crate::http) use self::answers::{OutcomeWord, digest};
use self::describe::{Schemas, operation};
use super::error::HttpError;
use super::extract::InRealm;
use super::router::{Caller, ROUTES};
use axum::Json;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use utoipa::openapi::path::{HttpMethod, Paths};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder};

/// What the document says of all endpoints together.
const ABOUT: &str = "A plan-before-execute authorization server for AI agents. Paths are below a realm's issuer. Parameters are sent in \
     the body, each once, and none twice; a parameter without a value counts as left out; parameters that are not known are let \
     be. An error is one JSON object, `Error`. Answers are `Cache-Control: no-store` where nothing else is said. Both kinds of \
     metadata are also answered at the inserted well-known path (RFC 8414, section 3).";

/// Serves the document for the realm.
pub async fn show(realm: InRealm) -> Result<impl IntoResponse, HttpError> {
    let document = document(realm.context().issuer())?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(document)))
}

/// The document for an issuer.
///
/// # Errors
/// When a route is not described; `tests/reference.rs` sees to it that none is left out.
pub fn document(issuer: &str) -> Result<Value, crate::flows::FlowError> {
    static DOCUMENT: LazyLock<Result<Map<String, Value>, String>> = LazyLock::new(described);
    let mut document = DOCUMENT.clone().map_err(crate::flows::FlowError::Internal)?;
    document.insert("servers".to_owned(), json!([{"url": issuer}]));
    Ok(document.into())
}

fn described() -> Result<Map<String, Value>, String> {
    let mut schemas = Schemas::default();
    let mut paths = Paths::new();
    for route in ROUTES {
        let row = || format!("{} {} is not described", route.method, route.path);
        let method = method(route.method).ok_or_else(row)?;
        let description = routes::describe(&mut schemas, route.method, route.path).ok_or_else(row)?;
        paths.add_path_operation(route.path, vec![method], operation(&mut schemas, route, description));
    }
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new().title("Marque").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT));
    let document = OpenApiBuilder::new().info(info.license(Some(license)).build()).paths(paths);
    let document = document.components(Some(securities().build())).build();
    let mut document = match serde_json::to_value(&document) {
        Ok(Value::Object(document)) => document,
        other => return Err(format!("the document is no object: {other:?}")),
    };
    if let Some(Value::Object(components)) = document.get_mut("components") {
        components.insert("schemas".to_owned(), schemas.definitions().into());
    }
    Ok(document)
}

fn method(name: &str) -> Option<HttpMethod> {
    match name {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        _ => None,
    }
}

/// Names of the security schemes.
pub(super) const PROOF: &str = "dpop";
pub(super) const ASSERTION: &str = "client_assertion";
pub(super) const CERTIFICATE: &str = "certificate";
pub(super) const REALM_TOKEN: &str = "realm_token";
pub(super) const ADMINISTRATOR: &str = "administrator_token";
pub(super) const EXTENSION: &str = "realm_message";
pub(super) const SESSION: &str = "receipt_session";

/// What each [`Caller`] proves, and how.
fn securities() -> ComponentsBuilder {
    let header = |name: &'static str, text: &'static str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, text)))
    };
    let bearer = |format: &'static str, text: &'static str| {
        let http = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).description(Some(text));
        SecurityScheme::Http(http.build())
    };
    let mutual = SecurityScheme::MutualTls {
        description: Some(
            "The client's certificate (RFC 8705), at the endpoints that the metadata lists as mtls_endpoint_aliases."
                .to_owned(),
        ),
        extensions: None,
        deprecated: None,
    };
    let session = ApiKeyValue::with_description("marque_receipt", "The browser's own session with one receipt.");
    ComponentsBuilder::new()
        .security_scheme(
            PROOF,
            header(
                "DPoP",
                "A proof of possession (RFC 9449) for this request, with the server's nonce where it asks for one. A form \
                 carries client_assertion beside it, unless the client has a certificate.",
            ),
        )
        .security_scheme(ASSERTION, header("Client-Assertion", "The client's assertion, for requests without a form."))
        .security_scheme(CERTIFICATE, mutual)
        .security_scheme(REALM_TOKEN, bearer("JWT", "An access token of the realm whose only audience is the issuer."))
        .security_scheme(
            ADMINISTRATOR,
            bearer("JWT", "A fresh access token of the realm for an administrator, whose only audience is the issuer."),
        )
        .security_scheme(EXTENSION, bearer("JWT", "A message that the realm signed for this very thing."))
        .security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(session)))
}

/// The security schemes that a caller has the choice of; each a list of those that go together. What travels in a form or begins
/// a session is no scheme: there the list is empty.
fn choices(method: &str, path: &str, caller: Caller) -> &'static [&'static [&'static str]] {
    match (caller, method) {
        (Caller::Anyone, _) => &[],
        (Caller::Client, "GET") => &[&[ASSERTION, PROOF]],
        // A submission may name the key by dpop_jkt, without a proof.
        (Caller::Client, _) if ["/plans", "/bc-authorize"].contains(&path) => {
            &[&[PROOF], &[], &[CERTIFICATE, PROOF], &[CERTIFICATE]]
        }
        // Without a proof, tokens are bound to the certificate.
        (Caller::Client, _) => &[&[PROOF], &[CERTIFICATE, PROOF], &[CERTIFICATE]],
        (Caller::ResourceServer, _) => &[&[REALM_TOKEN]],
        (Caller::Holder, _) => &[&[], &[PROOF], &[CERTIFICATE]],
        (Caller::HolderOrResourceServer, _) => &[&[], &[PROOF], &[CERTIFICATE], &[REALM_TOKEN]],
        (Caller::Administrator, _) => &[&[ADMINISTRATOR]],
        (Caller::Extension, _) => &[&[EXTENSION]],
        (Caller::Browser, _) => &[&[], &[SESSION]],
    }
}
