//! The certificate that a request comes with: proven at our own listener, or told by a proxy that proved it (RFC 9440).
//!
//! Anybody can send the field `Client-Cert`. It is believed from the configured addresses of proxies alone; from anybody else
//! it is refused where proxies are configured, and not looked at where none is.

use super::extract::single;
use super::tls::Peer;
use crate::app::App;
use crate::certificates::ClientCertificate;
use crate::flows::{OAuthError, Refusal};
use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

const CLIENT_CERT: &str = "client-cert";
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";

/// What a request says of its client's certificate.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    /// The certificate.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Whether the request came to where certificates are asked for.
    pub is_mutual: bool,
}

impl Presented {
    /// Reads it.
    ///
    /// # Errors
    /// When the fields come from who is no proxy, or are no certificates.
    pub fn of(parts: &Parts, app: &App) -> Result<Self, Refusal> {
        let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<Peer>>() else { return Ok(Self::default()) };
        let named = [CLIENT_CERT, CLIENT_CERT_CHAIN].iter().any(|name| parts.headers.contains_key(*name));
        if app.tls.proxies.is_empty() || !named {
            return Ok(Self { certificate: peer.certificate.clone(), is_mutual: peer.is_mutual });
        }
        if !app.tls.proxies.contains(&peer.address) || peer.is_mutual {
            return Err(malformed("Client-Cert is taken from the configured proxies alone"));
        }
        Ok(Self { certificate: Some(Arc::new(told(&parts.headers)?)), is_mutual: true })
    }
}

/// RFC 9440 §2.2, §2.3: one byte sequence, and a list of them.
fn told(headers: &HeaderMap) -> Result<ClientCertificate, Refusal> {
    let own = single(headers, CLIENT_CERT)?.ok_or_else(|| malformed("Client-Cert-Chain comes without Client-Cert"))?;
    let others = single(headers, CLIENT_CERT_CHAIN)?;
    let all = [own].into_iter().chain(others.into_iter().flat_map(|list| list.split(',')));
    let chain = all.map(byte_sequence).collect::<Option<Vec<_>>>();
    let chain = chain.ok_or_else(|| malformed("Client-Cert must be :base64:, as RFC 9440 says"))?;
    ClientCertificate::from_chain(chain).map_err(|error| malformed(&format!("Client-Cert: {error}")))
}

/// RFC 9651 §3.3.5.
fn byte_sequence(item: &str) -> Option<CertificateDer<'static>> {
    let encoded = item.trim_matches([' ', '\t']).strip_prefix(':')?.strip_suffix(':')?;
    BASE64_STANDARD.decode(encoded).ok().map(CertificateDer::from)
}

fn malformed(text: &str) -> Refusal {
    Refusal::new(OAuthError::InvalidRequest, text)
}
