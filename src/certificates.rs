//! Client certificates (RFC 8705): what one says, which key it has, and whether a configured authority vouches for it.

use marque_core::canonical::{Digest, encode};
use marque_core::jws::VerificationKey;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

/// Certificates of a chain that are looked at.
const CHAIN: usize = 8;

/// Why a certificate or an authority is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is no X.509 certificate, or the chain is too long.
    #[error("it cannot be read")]
    Unreadable,
    /// No configured authority vouches for it as a client's.
    #[error("no configured authority vouches for it: {0}")]
    NotVouchedFor(String),
    /// The file of authorities cannot be used.
    #[error("{0}")]
    Authorities(String),
}

/// The certificate with which a client proved possession of its key, and what it sent to link it to an authority.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    thumbprint: Digest,
    read: Certificate,
}

impl ClientCertificate {
    /// From DER, the client's own first. Whoever calls this answers for the client's possession of the key.
    ///
    /// # Errors
    /// When there is none or it is no certificate.
    pub fn from_chain(chain: Vec<CertificateDer<'static>>) -> Result<Self, CertificateError> {
        let own = chain.first().filter(|_| chain.len() <= CHAIN).ok_or(CertificateError::Unreadable)?;
        let read = Certificate::from_der(own).map_err(|_| CertificateError::Unreadable)?;
        Ok(Self { thumbprint: Digest::of(own), chain, read })
    }

    /// SHA-256 of the certificate's DER: `x5t#S256` (RFC 8705 §3.1).
    pub const fn thumbprint(&self) -> Digest {
        self.thumbprint
    }

    /// The subject as RFC 4514 writes it: what `openssl x509 -subject -nameopt RFC2253` prints.
    pub fn subject(&self) -> String {
        self.read.tbs_certificate().subject().to_string()
    }

    /// The DNS names and the URIs that it is issued for.
    pub fn alternative_names(&self) -> Vec<AlternativeName> {
        let names = self.read.tbs_certificate().get_extension::<SubjectAltName>();
        let names = names.ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
        let known = |name| match name {
            GeneralName::DnsName(name) => Some(AlternativeName::Dns(name.as_str().to_owned())),
            GeneralName::UniformResourceIdentifier(uri) => Some(AlternativeName::Uri(uri.as_str().to_owned())),
            _ => None,
        };
        names.into_iter().filter_map(known).collect()
    }

    /// RFC 7638 thumbprint of its public key, if the key is of a kind that clients sign with.
    pub fn key_thumbprint(&self) -> Option<String> {
        let jwk = public_jwk(self.read.tbs_certificate().subject_public_key_info())?;
        VerificationKey::from_jwk(&jwk).ok().map(|key| key.thumbprint().to_owned())
    }
}

/// A name of a certificate's subject besides its distinguished name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// `dNSName`.
    Dns(String),
    /// `uniformResourceIdentifier`.
    Uri(String),
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A public key as a JWK (RFC 7518 §6, RFC 8037 §2).
fn public_jwk(key: &SubjectPublicKeyInfoOwned) -> Option<Value> {
    let bits = key.subject_public_key.as_bytes()?;
    match key.algorithm.oid {
        RSA => {
            let mut reader = SliceReader::new(bits).ok()?;
            let number = |number: UintRef<'_>| encode(number.as_bytes());
            let pair = reader
                .sequence(|inner| Ok::<_, x509_cert::der::Error>((UintRef::decode(inner)?, UintRef::decode(inner)?)));
            let (n, e) = pair.ok()?;
            Some(json!({"kty": "RSA", "n": number(n), "e": number(e)}))
        }
        EC => {
            let curve = match key.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok()? {
                P256 => "P-256",
                P384 => "P-384",
                _ => return None,
            };
            let point = bits.strip_prefix(&[4])?;
            let (x, y) = point.split_at_checked(point.len() / 2)?;
            Some(json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)}))
        }
        ED25519 => Some(json!({"kty": "OKP", "crv": "Ed25519", "x": encode(bits)})),
        _ => None,
    }
}

/// Who may vouch for clients (`tls_client_auth`).
#[derive(Clone, Debug)]
pub struct Authorities(Arc<dyn ClientCertVerifier>);

impl Authorities {
    /// From a file of certificates in PEM.
    ///
    /// # Errors
    /// When it cannot be read, or holds none.
    pub fn from_file(path: &Path) -> Result<Self, CertificateError> {
        let failed = |error: String| CertificateError::Authorities(format!("{}: {error}", path.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self(verifier.map_err(|error| failed(error.to_string()))?))
    }

    /// Whether one of them vouches for a certificate as a client's; `now` in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Says why none does.
    pub fn check(&self, certificate: &ClientCertificate, now: i64) -> Result<(), CertificateError> {
        let (own, others) = certificate.chain.split_first().ok_or(CertificateError::Unreadable)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into().unwrap_or(0)));
        let checked = self.0.verify_client_cert(own, others, now);
        checked.map(drop).map_err(|error| CertificateError::NotVouchedFor(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
        date_time_ymd,
    };

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn params() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Corp, Inc.");
        params.distinguished_name.push(DnType::CommonName, "agent");
        params.subject_alt_names = vec![
            SanType::DnsName("agent.example".try_into().unwrap()),
            SanType::URI("spiffe://example/agent".try_into().unwrap()),
        ];
        params
    }

    fn issued(params: &CertificateParams, by: &CertifiedIssuer<'static, KeyPair>) -> ClientCertificate {
        let own = params.signed_by(&KeyPair::generate().unwrap(), by).unwrap();
        ClientCertificate::from_chain(vec![own.der().clone()]).unwrap()
    }

    fn trusting(authority: &CertifiedIssuer<'static, KeyPair>) -> Authorities {
        let file = std::env::temp_dir().join(format!("marque-{}-{:p}.pem", std::process::id(), authority));
        std::fs::write(&file, authority.pem()).unwrap();
        let authorities = Authorities::from_file(&file);
        std::fs::remove_file(&file).unwrap();
        authorities.unwrap()
    }

    const NOW: i64 = 1_795_316_400;

    #[test]
    fn names_are_read_as_the_standards_write_them() {
        let certificate = issued(&params(), &authority());
        assert_eq!(certificate.subject(), "CN=agent,O=Corp\\, Inc.", "RFC 4514");
        let names = ["agent.example".to_owned(), "spiffe://example/agent".to_owned()];
        let [dns, uri] = names;
        assert_eq!(certificate.alternative_names(), [AlternativeName::Dns(dns), AlternativeName::Uri(uri)]);
        assert_eq!(certificate.thumbprint().to_base64().len(), 43);
    }

    #[test]
    fn an_authority_vouches_for_its_own_clients_while_they_last() {
        let (ours, other) = (authority(), authority());
        let authorities = trusting(&ours);
        assert_eq!(authorities.check(&issued(&params(), &ours), NOW), Ok(()));
        assert!(authorities.check(&issued(&params(), &other), NOW).is_err(), "another authority's");
        let mut servers = params();
        servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        assert!(authorities.check(&issued(&servers, &ours), NOW).is_err(), "a server's");
        let mut over = params();
        over.not_after = date_time_ymd(2026, 1, 1);
        assert!(authorities.check(&issued(&over, &ours), NOW).is_err(), "one that is over");
        let own = KeyPair::generate().unwrap();
        let own = params().self_signed(&own).unwrap();
        let own = ClientCertificate::from_chain(vec![own.der().clone()]).unwrap();
        assert!(authorities.check(&own, NOW).is_err(), "nobody's");
    }

    #[test]
    fn a_key_is_the_same_in_a_certificate_and_as_a_jwk() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
            let pair = KeyPair::generate_for(algorithm).unwrap();
            let certificate = params().self_signed(&pair).unwrap();
            let certificate = ClientCertificate::from_chain(vec![certificate.der().clone()]).unwrap();
            let raw = pair.public_key_raw();
            let jwk = match raw.len() {
                32 => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}),
                65 => json!({"kty": "EC", "crv": "P-256", "x": encode(&raw[1..33]), "y": encode(&raw[33..])}),
                _ => json!({"kty": "EC", "crv": "P-384", "x": encode(&raw[1..49]), "y": encode(&raw[49..])}),
            };
            let key = VerificationKey::from_jwk(&jwk).unwrap();
            assert_eq!(certificate.key_thumbprint().as_deref(), Some(key.thumbprint()));
        }
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let der = |bytes: &[u8]| CertificateDer::from(bytes.to_vec());
        let right = params().self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        for chain in
            [vec![], vec![der(b"")], vec![der(b"x")], vec![der(&right[..right.len() - 1])], vec![der(&right); 9]]
        {
            assert_eq!(ClientCertificate::from_chain(chain).err(), Some(CertificateError::Unreadable));
        }
        assert!(Authorities::from_file(Path::new("/nowhere.pem")).is_err());
    }
}
