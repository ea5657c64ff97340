//! `POST /revoke` (RFC 7009). The answer is the same whether there was anything to revoke or not.

use super::error::HttpError;
use super::extract::{Form, InRealm};
use super::plans::identify;
use crate::flows::revoke_token::revoke_token;
use axum::http::{HeaderMap, StatusCode};

/// Revokes a token of the client's.
pub async fn answer(realm: InRealm, headers: HeaderMap, form: Form) -> Result<StatusCode, HttpError> {
    let client = identify(&realm, &headers, &form, "/revoke").await?;
    revoke_token(realm.context(), &client, form.require("token")?).await?;
    Ok(StatusCode::OK)
}
