//! A person who signs in at Keycloak through a client, with her password in Keycloak's own form.

use super::keys::Client;
use super::stack::{Form, Stack};
use marque_core::canonical::{Digest, encode};
use marque_core::names::ASSERTION_TYPE_JWT;
use reqwest::{Response, Url, header};
use serde_json::Value;
use uuid::Uuid;

/// Where the client would be sent back to; nobody listens there.
pub const REDIRECT: &str = "http://localhost:9/back";

/// What the client is answered for the code of a sign-in (code flow with PKCE).
pub async fn by_browser(stack: &Stack, client: &Client, name: &str, password: &str) -> Value {
    let verifier = encode(Uuid::new_v4().as_bytes()).repeat(2);
    let challenge = Digest::of(verifier.as_bytes()).to_base64();
    let parameters = [
        ("response_type", "code"),
        ("client_id", &client.id),
        ("redirect_uri", REDIRECT),
        ("scope", "openid"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let realm = format!("{}/protocol/openid-connect/auth", stack.env.keycloak.issuer);
    let page = stack.http.get(Url::parse_with_params(&realm, parameters).unwrap()).send().await.unwrap();
    let cookies = cookies(&page);
    let page = page.text().await.unwrap();
    let form = page.split("<form").find(|form| form.contains("kc-form-login")).expect("a form to sign in");
    let action = form.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().replace("&amp;", "&");
    let sent = stack.http.post(action).header(header::COOKIE, cookies);
    let back = sent.form(&[("username", name), ("password", password)]).send().await.unwrap();
    let place = back.headers().get(header::LOCATION).map(|place| place.to_str().unwrap().to_owned());
    let place = Url::parse(&place.expect("Keycloak sends her back")).unwrap();
    let code = place.query_pairs().find(|(name, _)| name == "code");
    let code = code.unwrap_or_else(|| panic!("no code: {place}")).1.into_owned();
    let form = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code),
        ("redirect_uri", REDIRECT.to_owned()),
        ("code_verifier", verifier),
    ];
    token(stack, client, form).await
}

fn cookies(page: &Response) -> String {
    let set = page.headers().get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    set.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
}

/// What the realm's token endpoint answers to a client.
pub async fn token(stack: &Stack, client: &Client, mut form: Form<'static>) -> Value {
    let realm = &stack.env.keycloak.issuer;
    form.push(("client_assertion_type", ASSERTION_TYPE_JWT.to_owned()));
    form.push(("client_assertion", client.assert(&client.assertion_claims(realm))));
    let request = stack.http.post(format!("{realm}/protocol/openid-connect/token")).form(&form);
    request.send().await.unwrap().json().await.unwrap()
}
