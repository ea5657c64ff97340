//! Connections: where one comes from, and the listener for clients that prove who they are by a certificate (RFC 8705).
//!
//! A client may send a certificate, and has then proven that it holds its key: TLS says so. Who vouches for it is not asked
//! here but where the client is authenticated, since a registered key needs nobody who vouches for it.

use super::shares::Shares;
use crate::certificates::ClientCertificate;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::DistinguishedName;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, ServerConfig, SignatureScheme};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take, with the time that it waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Whether it came to the listener for certificates.
    pub is_mutual: bool,
    /// The certificate that it proved to be its own.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self { address: stream.remote_addr().ip(), is_mutual: false, certificate: None }
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let (_, connection) = stream.io().get_ref();
        let chain =
            connection.peer_certificates().map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect());
        let certificate = chain.and_then(|chain| ClientCertificate::from_chain(chain).ok()).map(Arc::new);
        Self { address: stream.remote_addr().ip(), is_mutual: true, certificate }
    }
}

/// Takes connections whose handshake is over.
pub struct TlsListener {
    established: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Listens with a certificate chain and a key, both PEM.
    ///
    /// # Errors
    /// When the address is taken, or a file does not hold what it must.
    pub async fn bind(address: SocketAddr, certificate: &Path, key: &Path) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(settings(certificate, key)?));
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (done, established) = mpsc::channel(1);
        tokio::spawn(shake_hands(listener, acceptor, done));
        Ok(Self { established, address })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.established.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Accepts until nobody takes connections any more. One that dawdles keeps no other waiting, and an address that begins many
/// handshakes and goes on with none keeps its own connections waiting alone.
async fn shake_hands(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let shares = Arc::new(Shares::default());
    loop {
        let room = shares.room().await;
        let (stream, address) = tokio::select! {
            () = done.closed() => return,
            accepted = Listener::accept(&mut listener) => accepted,
        };
        // Whoever has too many connections here has this one closed.
        let Some(seat) = shares.seat(address.ip()) else { continue };
        let (acceptor, done) = (acceptor.clone(), done.clone());
        tokio::spawn(async move {
            let handshake = async {
                let _turn = seat.turn().await;
                acceptor.accept(stream).await
            };
            let established = tokio::time::timeout(PATIENCE, handshake).await;
            drop((seat, room));
            if let Ok(Ok(stream)) = established {
                let _ = done.send((stream, address)).await;
            }
        });
    }
}

fn settings(certificate: &Path, key: &Path) -> io::Result<ServerConfig> {
    let failed = |path: &Path, error: String| io::Error::other(format!("{}: {error}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| failed(certificate, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error.to_string()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyClient(provider.signature_verification_algorithms));
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?.with_client_cert_verifier(verifier);
    let mut settings = builder.with_single_cert(chain, private).map_err(|error| failed(key, error.to_string()))?;
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(settings)
}

/// Takes every certificate whose key the client proves to hold, and clients without one.
#[derive(Debug)]
struct AnyClient(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _own: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
