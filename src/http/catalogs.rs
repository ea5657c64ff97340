//! `POST /catalogs`: a resource server publishes its catalog, a compact JWS as the whole body.

use super::error::HttpError;
use super::extract::{InRealm, bearer, body_of_type};
use crate::app::App;
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::publish_catalog::publish_catalog;
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use marque_core::plan::CatalogRef;
use std::sync::Arc;

/// Publishes a catalog.
pub async fn publish(
    realm: InRealm,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<CatalogRef>), HttpError> {
    let token = bearer(request.headers())?.map(str::to_owned);
    let resource_server = authenticate_resource_server(realm.context(), token.as_deref()).await?;
    let body = body_of_type(request, &app, "application/jose").await?;
    let compact = std::str::from_utf8(&body)
        .map_err(|_| Refusal::new(OAuthError::InvalidRequest, "the body is no compact JWS"))?;
    let published = publish_catalog(realm.context(), &resource_server, compact).await?;
    Ok((StatusCode::CREATED, Json(published)))
}
