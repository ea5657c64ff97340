//! `GET /approve/{intent_id}` and `GET /callback`: the browser goes to the realm and comes back.

use super::error::HttpError;
use super::extract::{Form, InRealm, IntentId, cookie};
use super::pages::error_page;
use crate::flows::approve_plan::{self, Decided};
use crate::flows::realm_login::{self, Begun, Callback};
use crate::flows::receipt::SESSION;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};

/// Knows a browser again that was sent to the realm; the name of the sign-in follows.
const LOGIN_COOKIE: &str = "marque_login_";
/// Knows a browser that is signed in at the receipt page.
pub(super) const RECEIPT_COOKIE: &str = "marque_receipt";
/// Seconds that a browser may take to the realm and back.
const LOGIN_SECS: i64 = 900;

/// Sends the browser to the realm to decide on a plan.
pub async fn begin(realm: InRealm, IntentId(intent_id): IntentId) -> Response {
    match approve_plan::begin(realm.context(), &intent_id).await {
        Ok(begun) => to_realm(&realm, &begun, "/callback"),
        Err(error) => error_page(&error.into()),
    }
}

/// Takes the browser's answer from the realm.
pub async fn complete(realm: InRealm, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let decided = match read(query.as_deref()) {
        Ok(query) => {
            approve_plan::complete(realm.context(), &callback(&query, &headers)).await.map_err(HttpError::from)
        }
        Err(error) => Err(error),
    };
    match decided {
        Ok(decided) => to_receipt(&realm, &decided),
        Err(error) => error_page(&error),
    }
}

pub(super) fn read(query: Option<&str>) -> Result<Form, HttpError> {
    Ok(Form::parse(query.unwrap_or_default().as_bytes())?)
}

pub(super) fn callback<'a>(query: &'a Form, headers: &'a HeaderMap) -> Callback<'a> {
    let state = query.get("state");
    let cookie_name = state.map(|state| format!("{LOGIN_COOKIE}{}", realm_login::login_name(state)));
    Callback {
        state,
        code: query.get("code"),
        iss: query.get("iss"),
        refusal: query.get("error_description").or(query.get("error")),
        browser: cookie_name.and_then(|name| cookie(headers, &name)),
    }
}

pub(super) fn to_realm(realm: &InRealm, begun: &Begun, callback: &str) -> Response {
    let cookie = set_cookie(
        realm,
        &format!("{LOGIN_COOKIE}{}", begun.login_name),
        &begun.browser,
        &realm.path(callback),
        LOGIN_SECS,
    );
    let headers = [(header::LOCATION, begun.redirect_to.clone()), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, AppendHeaders(headers)).into_response()
}

pub(super) fn to_receipt(realm: &InRealm, decided: &Decided) -> Response {
    let path = realm.path(&format!("/receipt/{}", decided.intent_id));
    let cookie = set_cookie(realm, RECEIPT_COOKIE, &decided.receipt_cookie, &path, SESSION.whole_seconds());
    (StatusCode::SEE_OTHER, AppendHeaders([(header::LOCATION, path), (header::SET_COOKIE, cookie)])).into_response()
}

/// `Lax`: the browser arrives from the realm, another site, by a top-level navigation.
fn set_cookie(realm: &InRealm, name: &str, value: &str, path: &str, secs: i64) -> String {
    let secure = if realm.is_https() { "; Secure" } else { "" };
    format!("{name}={value}; Path={path}; Max-Age={secs}; HttpOnly; SameSite=Lax{secure}")
}
