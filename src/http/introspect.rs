//! `POST /introspect` (RFC 7662), in JSON or as a signed JWT (RFC 9701).

use super::error::HttpError;
use super::extract::{Form, InRealm, bearer};
use super::plans::identify;
use crate::app::App;
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::introspect_token::{Asking, introspect_token, sign_answer};
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The media type of a signed answer.
const SIGNED: &str = "application/token-introspection+jwt";

/// Parameters by which a client authenticates, or tries to.
const CLIENT_CREDENTIALS: [&str; 3] = ["client_assertion", "client_assertion_type", "client_secret"];

/// Answers what a token means for the caller.
pub async fn answer(
    realm: InRealm,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, HttpError> {
    let (asking, form) = caller(&realm, &headers, Form::from_request(request, &app).await).await?;
    let answer = introspect_token(realm.context(), &asking, form.require("token")?).await?;
    if !wants_signed(&headers) {
        return Ok(Json(answer).into_response());
    }
    let signed = sign_answer(realm.context(), &asking, &answer)?;
    Ok(([(header::CONTENT_TYPE, SIGNED)], signed).into_response())
}

/// A resource server by its access token, or a client as at the token endpoint; never both. What is wrong with a form is
/// told to those alone who may ask.
async fn caller(
    realm: &InRealm,
    headers: &HeaderMap,
    form: Result<Form, HttpError>,
) -> Result<(Asking, Form), HttpError> {
    if !headers.contains_key(header::AUTHORIZATION) {
        let form = form?;
        let client = identify(realm, headers, &form, "/introspect").await?;
        return Ok((Asking::Client(client), form));
    }
    if form.as_ref().is_ok_and(|form| CLIENT_CREDENTIALS.iter().any(|name| form.get(name).is_some())) {
        let text = "authenticate in one way: an access token in the Authorization header, or client_assertion";
        return Err(Refusal::new(OAuthError::InvalidRequest, text).into());
    }
    let resource_server = authenticate_resource_server(realm.context(), bearer(headers)?).await?;
    Ok((Asking::ResourceServer(resource_server), form?))
}

/// Whether the signed form is asked for by name, and no less than JSON (RFC 9110 §12.5.1).
fn wants_signed(headers: &HeaderMap) -> bool {
    let accepted: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let weight = |wanted: &str| {
        let ranges = accepted.iter().flat_map(|line| line.split(','));
        ranges.filter_map(|range| weight_of(range, wanted)).fold(0, u32::max)
    };
    let signed = weight(SIGNED);
    signed > 0 && signed >= weight("application/json")
}

/// The weight of a media range for exactly this type, in thousandths; one that cannot be read is none.
fn weight_of(range: &str, wanted: &str) -> Option<u32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let stated = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("q"));
    let Some((_, weight)) = stated else { return Some(1000) };
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    let is_number = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "0" if is_number => format!("{rest:0<3}").parse().ok(),
        "1" => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_signed_form_is_given_to_who_asks_for_it_by_name() {
        for (accept, signed) in [
            (&["application/token-introspection+jwt"][..], true),
            (&["application/json, Application/Token-Introspection+JWT;q=1.0"], true),
            (&["application/json", "application/token-introspection+jwt"], true),
            (&["application/token-introspection+jwt;q=0.9, application/json;q=0.8"], true),
            (&["application/token-introspection+jwt;q=0.5, application/json"], false),
            (&["application/token-introspection+jwt;q=0"], false),
            (&["application/token-introspection+jwt;q=0.000"], false),
            (&["application/token-introspection+jwt;q=x"], false),
            (&["application/jwt"], false),
            (&["*/*"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            accept.iter().for_each(|line| {
                headers.append(header::ACCEPT, HeaderValue::from_static(line));
            });
            assert_eq!(wants_signed(&headers), signed, "{accept:?}");
        }
    }
}
