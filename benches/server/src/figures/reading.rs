//! What only reads: documents that anyone may fetch, and introspection.

use crate::agent::{Granted, plan};
use crate::bench::Bench;
use crate::client::make;
use crate::load::{Target, authority, request};
use crate::marque::Marque;
use crate::rounds::rounds;
use bench_keys::Failure;
use bytes::Bytes;
use form_urlencoded::Serializer;
use serde_json::Value;

/// Requests of a round.
const READS: usize = 50_000;
/// Introspections of a round.
pub const INTROSPECTIONS: usize = 20_000;
/// Tokens that take turns.
pub const TOKENS: usize = 32;
/// The media type of forms.
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Measures how often the keys and the metadata are fetched.
///
/// # Errors
/// When they are not given.
pub async fn documents(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let mut entries = Vec::new();
    for (name, path, expected) in [
        ("jwks_per_s", "/jwks", r#"{"keys":[{"#),
        ("metadata_per_s", "/.well-known/oauth-authorization-server", r#""jwks_uri":"#),
    ] {
        let target = Target { authority: authority(&bench.marque.issuer)?, tls: None, expected };
        let request = request("GET", &format!("{}{path}", bench.marque.issuer), &[], b"");
        let requests = || async { Ok(vec![request.clone(); bench.requests.unwrap_or(READS)]) };
        entries.push(rounds(name, &bench.marque, &target, bench.rounds, requests).await?.entry(name)?);
    }
    Ok(entries)
}

/// Measures introspection of transaction tokens: by a resource server with its access token, and by their holder with an
/// assertion of its own for each request.
///
/// # Errors
/// When a token is not active.
pub async fn introspection(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let marque = &bench.marque;
    let target = introspected(marque)?;
    let granted = bench.granted(marque, &plan(), TOKENS).await?;
    let count = bench.requests.unwrap_or(INTROSPECTIONS);
    let url = url(marque);
    let by_server = || async { by_resource_server(bench, marque, &granted, count) };
    let by_holder = || async {
        make(count / 4, |index| -> Result<Bytes, Failure> {
            let form = bench.agent.client.form(&marque.issuer, &[("token", token(&granted, index)?)])?;
            Ok(request("POST", &url, &[FORM], form.as_bytes()))
        })
    };
    let by_server = rounds("introspection, access token", marque, &target, bench.rounds, by_server).await?;
    let by_holder = rounds("introspection, private_key_jwt", marque, &target, bench.rounds, by_holder).await?;
    Ok(vec![by_server.entry("introspection_per_s")?, by_holder.entry("introspection_pkjwt_per_s")?])
}

/// Introspection at a server.
///
/// # Errors
/// When its issuer has no host.
pub fn introspected(marque: &Marque) -> Result<Target, Failure> {
    Ok(Target { authority: authority(&marque.issuer)?, tls: None, expected: r#""active":true"# })
}

/// So many questions of a resource server, tokens taking turns.
///
/// # Errors
/// When the realm cannot sign.
pub fn by_resource_server(
    bench: &Bench,
    marque: &Marque,
    granted: &[Granted],
    count: usize,
) -> Result<Vec<Bytes>, Failure> {
    let (url, bearer) = (url(marque), format!("Bearer {}", bench.access_token(marque)?));
    make(count, |index| {
        let body = Serializer::new(String::new()).append_pair("token", token(granted, index)?).finish();
        Ok(request("POST", &url, &[FORM, ("authorization", &bearer)], body.as_bytes()))
    })
}

fn url(marque: &Marque) -> String {
    format!("{}/introspect", marque.issuer)
}

/// One of the tokens in turn.
fn token(granted: &[Granted], index: usize) -> Result<&str, Failure> {
    Ok(&granted.get(index % granted.len()).ok_or("no token")?.token)
}
