//! The one table of routes. `tests/it/routes.rs` holds the list of who may call each.

use self::Caller::{Administrator, Anyone, Browser, Client, Extension, Holder, HolderOrResourceServer, ResourceServer};
use super::{
    access, access_requests, approve, backchannel, catalogs, envelopes, error, health, internal, introspect, ledgers,
    metadata, nonces, openapi, plans, receipt, results, revocations, revoke, search, status, token,
    transaction_authorization,
};
use crate::app::App;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

/// Bytes of a request's body: a plan of 64 KiB, form-encoded, with its assertion; a catalog of 256 KiB in base64.
const BODY_BYTES: usize = 512 * 1024;
/// No request but the feed takes longer; Keycloak's own deadlines are shorter.
const DEADLINE: Duration = Duration::from_secs(20);

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Everybody.
    Anyone,
    /// A client by an assertion or a certificate, and DPoP.
    Client,
    /// A resource server by an access token of the realm for Marque alone.
    ResourceServer,
    /// A client about a token of its own, by an assertion or a certificate: a proof need not be sent.
    Holder,
    /// [`Self::Holder`], or a resource server, each in its own way.
    HolderOrResourceServer,
    /// An administrator by an access token of the realm for Marque alone, with the role for it.
    Administrator,
    /// The realm's extension by a message that the realm signed.
    Extension,
    /// A browser that began here, or is signed in as the plan's user.
    Browser,
}

/// One row of the table: path below the issuer, method, who may call it.
pub struct Route {
    /// The path below `/realms/{realm}`.
    pub path: &'static str,
    /// The method.
    pub method: &'static str,
    /// Who may call it.
    pub caller: Caller,
    handler: fn() -> MethodRouter<Arc<App>>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    caller: Caller,
    handler: fn() -> MethodRouter<Arc<App>>,
) -> Route {
    Route { path, method, caller, handler }
}

/// Every route below a realm's issuer.
pub const ROUTES: &[Route] = &[
    route("GET", "/.well-known/oauth-authorization-server", Anyone, || get(metadata::show)),
    route("GET", "/.well-known/authzen-configuration", Anyone, || get(metadata::decision_point)),
    route("GET", "/jwks", Anyone, || get(metadata::keys)),
    route("GET", "/plan-schema", Anyone, || get(metadata::plan_schema)),
    route("GET", "/openapi.json", Anyone, || get(openapi::show)),
    route("POST", "/plans", Client, || post(plans::submit)),
    route("GET", "/plans/{intent_id}", Client, || get(plans::show).head(error::no_such_method)),
    route("POST", "/bc-authorize", Client, || post(backchannel::authorize)),
    route("POST", "/token", Client, || post(token::answer)),
    route("POST", "/transaction-authorization", Client, || post(transaction_authorization::answer)),
    route("GET", "/status", Anyone, || get(status::list)),
    route("GET", "/status/{list}", Anyone, || get(status::show)),
    route("POST", "/introspect", HolderOrResourceServer, || post(introspect::answer)),
    route("POST", "/revoke", Holder, || post(revoke::answer)),
    route("POST", "/catalogs", ResourceServer, || post(catalogs::publish)),
    route("GET", "/catalogs", Administrator, || get(catalogs::list)),
    route("POST", "/catalogs/decision", Administrator, || post(catalogs::decide)),
    route("POST", "/access/v1/evaluation", ResourceServer, || post(access::evaluate)),
    route("POST", "/access/v1/evaluations", ResourceServer, || post(access::evaluate_all)),
    route("POST", "/access/v1/search/subject", ResourceServer, || post(search::subjects)),
    route("POST", "/access/v1/search/resource", ResourceServer, || post(search::resources)),
    route("POST", "/access/v1/search/action", ResourceServer, || post(search::actions)),
    route("POST", "/access/v1/requests", ResourceServer, || post(access_requests::submit)),
    route("GET", "/access/v1/requests/{request_id}", ResourceServer, || get(access_requests::show)),
    route("POST", "/ledgers", ResourceServer, || post(ledgers::count)),
    route("POST", "/results", ResourceServer, || post(results::settle)),
    route("GET", "/results", ResourceServer, || get(results::list)),
    route("GET", "/envelopes/{digest}", ResourceServer, || get(envelopes::show)),
    route("GET", "/revocations", ResourceServer, || get(revocations::follow)),
    route("GET", "/internal/plans/{intent_id}", Extension, || get(internal::show_plan)),
    route("GET", "/internal/step-ups/{step_up_id}", Extension, || get(internal::show_step_up)),
    route("GET", "/approve/{intent_id}", Browser, || page(approve::begin)),
    route("GET", "/callback", Browser, || page(approve::complete)),
    route("GET", "/receipt/callback", Browser, || page(receipt::complete)),
    route("GET", "/receipt/{intent_id}", Browser, || page(receipt::show)),
    route("POST", "/receipt/{intent_id}/revoke", Browser, || post(receipt::revoke)),
];

/// A page that a browser visits. What follows from a visit does not follow from HEAD, which some programs
/// send to look at a link.
fn page<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    get(handler).head(error::no_such_method)
}

/// What answers for a route. Whoever proves possession of a key is told the nonce for its next proof.
fn handler(route: &Route, app: &Arc<App>) -> MethodRouter<Arc<App>> {
    match route.caller {
        Caller::Client | Caller::Holder | Caller::HolderOrResourceServer => {
            (route.handler)().layer(middleware::from_fn_with_state(app.clone(), nonces::offer))
        }
        _ => (route.handler)(),
    }
}

/// The protocol endpoints of every realm.
pub fn public(app: Arc<App>) -> Router {
    let below_issuer =
        ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, handler(route, &app)));
    let no_store = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Router::new()
        .route("/.well-known/oauth-authorization-server/realms/{realm}", get(metadata::show))
        .route("/.well-known/authzen-configuration/realms/{realm}", get(metadata::decision_point))
        .nest("/realms/{realm}", below_issuer)
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(within_deadline))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn(access::with_request_id))
        .layer(no_store)
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .with_state(app)
}

/// Answers for a request that takes too long, in the form of every other error.
async fn within_deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => error::too_slow().into_response(),
    }
}

/// Health, on the management port.
pub fn management(app: Arc<App>) -> Router {
    Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready)).with_state(app)
}
