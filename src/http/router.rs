//! The one table of routes. `tests/it/routes.rs` holds the list of who may call each.

use super::{
    access, approve, catalogs, error, health, internal, metadata, plans, receipt, results, revocations, token,
};
use crate::app::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

/// Bytes of a request's body: a plan of 64 KiB, form-encoded, with its assertion; a catalog of 256 KiB in base64.
const BODY_BYTES: usize = 512 * 1024;
/// No request but the feed takes longer; Keycloak's own deadlines are shorter.
const DEADLINE: Duration = Duration::from_secs(20);

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Everybody.
    Anyone,
    /// A client by `private_key_jwt` and DPoP.
    Client,
    /// A resource server by an access token of the realm for Marque alone.
    ResourceServer,
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

/// Every route below a realm's issuer.
pub const ROUTES: &[Route] = &[
    Route {
        path: "/.well-known/oauth-authorization-server",
        method: "GET",
        caller: Caller::Anyone,
        handler: || get(metadata::show),
    },
    Route { path: "/jwks", method: "GET", caller: Caller::Anyone, handler: || get(metadata::keys) },
    Route { path: "/plans", method: "POST", caller: Caller::Client, handler: || post(plans::submit) },
    Route { path: "/token", method: "POST", caller: Caller::Client, handler: || post(token::answer) },
    Route { path: "/catalogs", method: "POST", caller: Caller::ResourceServer, handler: || post(catalogs::publish) },
    Route {
        path: "/access/v1/evaluation",
        method: "POST",
        caller: Caller::ResourceServer,
        handler: || post(access::evaluate),
    },
    Route { path: "/results", method: "POST", caller: Caller::ResourceServer, handler: || post(results::settle) },
    Route { path: "/revocations", method: "GET", caller: Caller::ResourceServer, handler: || get(revocations::follow) },
    Route {
        path: "/internal/plans/{intent_id}",
        method: "GET",
        caller: Caller::Extension,
        handler: || get(internal::show_plan),
    },
    Route { path: "/approve/{intent_id}", method: "GET", caller: Caller::Browser, handler: || get(approve::begin) },
    Route { path: "/callback", method: "GET", caller: Caller::Browser, handler: || get(approve::complete) },
    Route { path: "/receipt/callback", method: "GET", caller: Caller::Browser, handler: || get(receipt::complete) },
    Route { path: "/receipt/{intent_id}", method: "GET", caller: Caller::Browser, handler: || get(receipt::show) },
    Route {
        path: "/receipt/{intent_id}/revoke",
        method: "POST",
        caller: Caller::Browser,
        handler: || post(receipt::revoke),
    },
];

/// The protocol endpoints of every realm.
pub fn public(app: Arc<App>) -> Router {
    let below_issuer = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    let no_store = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Router::new()
        .route("/.well-known/oauth-authorization-server/realms/{realm}", get(metadata::show))
        .nest("/realms/{realm}", below_issuer)
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(no_store)
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, DEADLINE))
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(app)
}

/// Health, on the management port.
pub fn management(app: Arc<App>) -> Router {
    Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready)).with_state(app)
}
