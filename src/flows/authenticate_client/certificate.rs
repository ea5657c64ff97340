//! Mutual TLS (RFC 8705 §2): the client is who its certificate says, by an authority's word or by a registered key.
//!
//! 1. `client_id` names an enabled client of the realm.
//! 2. Where the realm says what its certificate must name (`marque.tls_subject_dn`, `marque.tls_san_dns`, or
//!    `marque.tls_san_uri`), a configured authority vouches for a certificate that names it (`tls_client_auth`).
//! 3. Otherwise the certificate's key is one of the client's registered keys (`self_signed_tls_client_auth`).

use super::{Context, FlowError, Refusal, refuse};
use crate::certificates::{AlternativeName, ClientCertificate};
use crate::keycloak::ClientRecord;
use std::sync::Arc;

/// What a certificate must name.
enum Expected<'r> {
    Subject(&'r str),
    Alternative(AlternativeName),
}

/// The client whose certificate it is.
pub(super) async fn check(
    cx: Context<'_>,
    client_id: &str,
    certificate: &ClientCertificate,
) -> Result<Arc<ClientRecord>, FlowError> {
    let record = cx.realm.directory.find_client(&cx.realm.keycloak, client_id).await?;
    // One answer for a client that is not there and for a certificate that is not its own: strangers learn no ids.
    let record = record.filter(|record| record.enabled).ok_or_else(not_its_own)?;
    let checked = match expected(&record) {
        Ok(Some(expected)) => vouched_for(cx, certificate, &expected),
        Ok(None) => registered(&record, certificate),
        Err(problem) => Err(problem),
    };
    checked.map_err(|problem| {
        tracing::info!(client = client_id, problem, "certificate.refused");
        not_its_own()
    })?;
    Ok(record)
}

fn not_its_own() -> Refusal {
    refuse("the certificate is none of an enabled client of this realm whose id is client_id")
}

/// RFC 8705 §2.1.2: one of them, exactly. Two would leave open which one counts.
fn expected(record: &ClientRecord) -> Result<Option<Expected<'_>>, String> {
    let get = |name: &str| record.attributes.get(name).map(String::as_str).filter(|value| !value.is_empty());
    match (get("marque.tls_subject_dn"), get("marque.tls_san_dns"), get("marque.tls_san_uri")) {
        (None, None, None) => Ok(None),
        (Some(subject), None, None) => Ok(Some(Expected::Subject(subject))),
        (None, Some(name), None) => Ok(Some(Expected::Alternative(AlternativeName::Dns(name.to_owned())))),
        (None, None, Some(uri)) => Ok(Some(Expected::Alternative(AlternativeName::Uri(uri.to_owned())))),
        _ => Err("the client has several of marque.tls_subject_dn, marque.tls_san_dns and marque.tls_san_uri".into()),
    }
}

fn vouched_for(cx: Context<'_>, certificate: &ClientCertificate, expected: &Expected<'_>) -> Result<(), String> {
    let authorities = cx.app.authorities.as_ref();
    let authorities = authorities.ok_or("no authority for client certificates is configured here")?;
    authorities.check(certificate, cx.now_secs()).map_err(|error| error.to_string())?;
    let names_it = match expected {
        Expected::Subject(subject) => certificate.subject() == *subject,
        Expected::Alternative(name) => certificate.alternative_names().contains(name),
    };
    if names_it { Ok(()) } else { Err("it does not name the client".into()) }
}

fn registered(record: &ClientRecord, certificate: &ClientCertificate) -> Result<(), String> {
    let own = certificate.key_thumbprint();
    if record.keys.keys().iter().any(|key| own.as_deref() == Some(key.thumbprint())) {
        Ok(())
    } else {
        Err("its key is none of the client's".into())
    }
}
