//! `GET /receipt/{intent_id}`, its sign-in, and "Revoke now".

use super::approve::{RECEIPT_COOKIE, callback, read, to_realm, to_receipt};
use super::error::HttpError;
use super::extract::{Form, InRealm, IntentId, cookie};
use super::pages::{ReceiptPage, error_page, page};
use crate::flows::receipt;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Shows the receipt to a signed-in browser; sends another one to sign in.
pub async fn show(realm: InRealm, IntentId(intent_id): IntentId, headers: HeaderMap) -> Response {
    match receipt::find(realm.context(), &intent_id, cookie(&headers, RECEIPT_COOKIE)).await {
        Ok(Some(receipt)) => {
            let revoke_path = realm.path(&format!("/receipt/{}/revoke", receipt.intent_id));
            page(StatusCode::OK, &ReceiptPage { receipt, revoke_path })
        }
        Ok(None) => match receipt::begin(realm.context(), &intent_id).await {
            Ok(begun) => to_realm(&realm, &begun, "/receipt/callback"),
            Err(error) => error_page(&error.into()),
        },
        Err(error) => error_page(&error.into()),
    }
}

/// Takes the browser's answer from the realm.
pub async fn complete(realm: InRealm, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let signed_in = match read(query.as_deref()) {
        Ok(query) => receipt::complete(realm.context(), &callback(&query, &headers)).await.map_err(HttpError::from),
        Err(error) => Err(error),
    };
    match signed_in {
        Ok(decided) => to_receipt(&realm, &decided),
        Err(error) => error_page(&error),
    }
}

/// "Revoke now".
pub async fn revoke(realm: InRealm, IntentId(intent_id): IntentId, headers: HeaderMap, form: Form) -> Response {
    match receipt::revoke(realm.context(), &intent_id, cookie(&headers, RECEIPT_COOKIE), form.get("csrf")).await {
        Ok(id) => (StatusCode::SEE_OTHER, [(header::LOCATION, realm.path(&format!("/receipt/{id}")))]).into_response(),
        Err(error) => error_page(&error.into()),
    }
}
