//! The configuration: one file and a few variables of the environment. Everything is checked once, here.

use crate::environment::variable;
use marque_core::catalog::UnknownActions;
use marque_core::jws::KeySet;
use marque_core::plan::Blocked;
use secrecy::SecretString;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use url::Url;

/// The configuration of one server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the protocol endpoints listen.
    pub listen: SocketAddr,
    /// Where health is answered; not for the public.
    pub management: SocketAddr,
    /// The development key file: made on first start where `MARQUE_KEY` is not set.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Where the server keeps what it saw of its database, so that it notices a restore. Outside of the database and its backups.
    #[serde(default)]
    pub mark_file: Option<PathBuf>,
    /// Client certificates (RFC 8705). Without it none is taken.
    #[serde(default)]
    pub tls: Tls,
    /// Days that custody of tokens is kept at least, from the submission of their intent.
    #[serde(default = "custody_days")]
    pub custody_days: u16,
    /// One entry per Keycloak realm.
    pub realms: Vec<RealmConfig>,
    /// From `DATABASE_URL`, else the private server's.
    #[serde(skip)]
    pub database_url: SecretString,
    /// From `DATABASE_DIRECT_URL`: the database itself, where `DATABASE_URL` is a pooler in transaction mode.
    #[serde(skip)]
    pub database_direct_url: Option<SecretString>,
    /// From `MARQUE_KEY`: 32 bytes in base64url that seal the signing keys.
    #[serde(skip)]
    pub sealing_key: Option<SecretString>,
}

/// Where clients come with certificates: to a listener of this server, or by a proxy that tells their certificate.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Where the listener for certificates listens, with [`Self::certificate`] and [`Self::key`].
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// The server's own certificate chain, PEM.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// The authorities that vouch for clients, PEM. Without it `tls_client_auth` is not offered.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// The origin that clients with certificates know: `mtls_endpoint_aliases` (RFC 8705 §5).
    #[serde(default)]
    pub url: Option<String>,
    /// Addresses of proxies whose field `Client-Cert` (RFC 9440) is believed. From nobody, unless set.
    #[serde(default)]
    pub proxies: Vec<IpAddr>,
}

impl Tls {
    /// Whether clients can come with certificates.
    pub fn is_offered(&self) -> bool {
        self.listen.is_some() || !self.proxies.is_empty()
    }

    fn check(&self) -> Result<(), String> {
        if self.listen.is_some() != self.certificate.is_some() || self.listen.is_some() != self.key.is_some() {
            return Err("tls: listen, certificate and key belong together".into());
        }
        if (self.client_ca.is_some() || self.url.is_some()) && !self.is_offered() {
            return Err("tls: needs listen or proxies: without them no certificate is taken".into());
        }
        let Some(origin) = &self.url else { return Ok(()) };
        let url = Url::parse(origin).map_err(|error| format!("tls.url: {error}"))?;
        match url.scheme() == "https" && url.origin().ascii_serialization() == *origin {
            true => Ok(()),
            false => Err("tls.url: must be an origin like https://mtls.example.com".into()),
        }
    }
}

/// One Marque issuer for one Keycloak realm.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealmConfig {
    /// The last segment of the issuer.
    pub name: String,
    /// The Marque issuer: ends in `/realms/{name}`.
    pub issuer: String,
    /// The audience of transaction tokens.
    pub trust_domain: String,
    /// The realm's issuer.
    pub keycloak_issuer: String,
    /// Marque's client with the plan-approval flow.
    pub keycloak_client_id: String,
    /// Marque's client for signing in at the receipt page.
    pub web_client_id: String,
    /// The client that administrators sign in with: decisions on catalogs are taken from its tokens alone. Without it
    /// nobody decides.
    #[serde(default)]
    pub admin_client_id: Option<String>,
    /// WebAuthn relying party id of the realm's passkeys.
    pub rp_id: String,
    /// Origins at which the realm's approval page is served.
    pub rp_origins: Vec<String>,
    /// States that other realms or applications share the approval page's host name, which lets their pages
    /// ask for the same passkeys. Without this statement the server does not start for a host named `localhost`.
    #[serde(default)]
    pub shared_rp_host_accepted: bool,
    /// What no plan of the realm may do: refused in plans, and at every evaluation.
    #[serde(default)]
    pub blocked: Vec<Blocked>,
    /// What happens to steps whose action no catalog describes: `refuse`, or `show` them as ones that cannot be explained.
    #[serde(default)]
    pub unknown_actions: UnknownActions,
    /// Whether a DPoP proof must repeat a nonce that the server gave out lately (RFC 9449 §8).
    #[serde(default = "yes")]
    pub dpop_nonces: bool,
    /// Whether the holder of a token may name another agent of the realm for its steps (`may_act`). A person who signs reads of the
    /// plan's delegates alone.
    #[serde(default)]
    pub may_act: bool,
    /// Octets of catalogs that are kept for one location, all versions together.
    #[serde(default = "catalog_bytes_per_location")]
    pub catalog_bytes_per_location: u64,
    /// Whose identity assertions prove that a user is there.
    #[serde(default)]
    pub identity_issuers: Vec<IdentityIssuer>,
    /// Issuers outside the trust domain that call chains may leave for, by a signed step. Without an entry none leaves.
    #[serde(default)]
    pub foreign_issuers: Vec<ForeignIssuer>,
}

/// An authorization server outside the trust domain that takes grants of this issuer (RFC 7523).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignIssuer {
    /// Its issuer identifier: the grants' only audience, and the location of the steps that leave.
    pub issuer: String,
    /// How it knows the realm's users.
    #[serde(default)]
    pub subject: ForeignSubject,
}

/// What a foreign issuer knows a user by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignSubject {
    /// The realm's subject identifier.
    #[default]
    Sub,
    /// Her user name.
    Username,
}

impl ForeignIssuer {
    /// The `sub` that it knows a user by.
    pub fn subject<'s>(&self, sub: &'s str, username: &'s str) -> &'s str {
        match self.subject {
            ForeignSubject::Sub => sub,
            ForeignSubject::Username => username,
        }
    }

    fn check(&self, realm: &RealmConfig) -> Result<(), String> {
        let url = Url::parse(&self.issuer).map_err(|error| format!("issuer: {error}"))?;
        if self.issuer == realm.issuer || url.query().is_some() || url.fragment().is_some() {
            return Err("issuer: must be another issuer than Marque itself, without query and fragment".into());
        }
        Ok(())
    }
}

/// An issuer of identity assertions (draft-ietf-oauth-identity-assertion-authz-grant) that the realm believes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityIssuer {
    /// Its issuer identifier: the assertions' `iss`.
    pub issuer: String,
    /// Its public keys (RFC 7517).
    pub jwks: serde_json::Value,
    /// The claim that holds the Keycloak realm's `sub` of the user.
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
}

/// The claim that the draft has for the user's identifier at the authorization server that is asked.
fn subject_claim() -> String {
    "aud_sub".into()
}

impl IdentityIssuer {
    /// Its keys; none if the document holds none.
    pub fn keys(&self) -> KeySet {
        KeySet::from_jwks(&self.jwks).unwrap_or_default()
    }

    fn check(&self, realm: &RealmConfig) -> Result<(), String> {
        if self.issuer.is_empty() || self.issuer == realm.issuer {
            return Err("issuer: must be another issuer than Marque itself".into());
        }
        let listed = self.jwks.get("keys").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
        if listed == 0 || self.keys().keys().len() != listed {
            return Err("jwks: must be {keys = [...]} with public signature keys alone".into());
        }
        if self.subject_claim.is_empty() { Err("subject_claim: is empty".into()) } else { Ok(()) }
    }
}

const fn yes() -> bool {
    true
}

/// A year, and the time that somebody needs to ask.
const fn custody_days() -> u16 {
    400
}

/// Some hundred versions of a long catalog.
const fn catalog_bytes_per_location() -> u64 {
    16 * 1024 * 1024
}

/// What is wrong with the configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The file is not what it must be.
    #[error("{0}: {1}")]
    Malformed(PathBuf, String),
    /// No database.
    #[error("no database: set DATABASE_URL=postgres://… or start the private server with `marque postgres start`")]
    NoDatabase,
}

impl Config {
    /// Reads the file and the environment (`DATABASE_URL`, `DATABASE_DIRECT_URL`, `MARQUE_KEY`).
    ///
    /// # Errors
    /// Names the file, the member and what is expected.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable(path.into(), error))?;
        let mut config: Self =
            toml::from_str(&text).map_err(|error| ConfigError::Malformed(path.into(), error.to_string()))?;
        config.check().map_err(|message| ConfigError::Malformed(path.into(), message))?;
        let private = || crate::postgres::default_dir().and_then(|dir| crate::postgres::running_url(&dir));
        config.database_url =
            variable("DATABASE_URL").or_else(private).map(SecretString::from).ok_or(ConfigError::NoDatabase)?;
        config.database_direct_url = variable("DATABASE_DIRECT_URL").map(SecretString::from);
        config.sealing_key = variable("MARQUE_KEY").map(SecretString::from);
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        self.tls.check()?;
        // No plan outlives it (limits::LIFETIME_SECS): no token in use loses its row.
        if self.custody_days < 8 {
            return Err("custody_days: must be at least 8".into());
        }
        if self.realms.is_empty() {
            return Err("realms: needs at least one [[realms]] entry".into());
        }
        for (index, realm) in self.realms.iter().enumerate() {
            realm.check().map_err(|message| format!("realms[{index}].{message}"))?;
            for other in self.realms.iter().take(index) {
                realm.check_beside(other).map_err(|message| format!("realms[{index}].{message}"))?;
            }
        }
        Ok(())
    }
}

impl RealmConfig {
    /// Nothing crosses from one realm to another, so they share nothing that tokens tell them apart by.
    fn check_beside(&self, other: &Self) -> Result<(), String> {
        let pairs = [
            ("name", &self.name, &other.name),
            ("issuer", &self.issuer, &other.issuer),
            ("trust_domain", &self.trust_domain, &other.trust_domain),
            ("keycloak_issuer", &self.keycloak_issuer, &other.keycloak_issuer),
        ];
        match pairs.into_iter().find(|(_, own, others)| own == others) {
            Some((name, own, _)) => Err(format!("{name}: {own:?} is configured twice")),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), String> {
        let is_segment = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if self.name.is_empty() || !self.name.chars().all(is_segment) {
            return Err("name: must be letters, digits and -._~: it is one segment of the issuer".into());
        }
        let issuer = Url::parse(&self.issuer).map_err(|error| format!("issuer: {error}"))?;
        if issuer.path() != format!("/realms/{}", self.name) || issuer.query().is_some() {
            return Err(format!("issuer: must end in /realms/{}", self.name));
        }
        Url::parse(&self.keycloak_issuer).map_err(|error| format!("keycloak_issuer: {error}"))?;
        if [&self.keycloak_client_id, &self.web_client_id]
            .into_iter()
            .any(|own| self.admin_client_id.as_ref() == Some(own))
        {
            return Err("admin_client_id: must be a client of its own, not one of Marque's".into());
        }
        for (index, issuer) in self.identity_issuers.iter().enumerate() {
            issuer.check(self).map_err(|message| format!("identity_issuers[{index}].{message}"))?;
            if self.identity_issuers.iter().take(index).any(|other| other.issuer == issuer.issuer) {
                return Err(format!("identity_issuers[{index}].issuer: {:?} is configured twice", issuer.issuer));
            }
        }
        for (index, foreign) in self.foreign_issuers.iter().enumerate() {
            foreign.check(self).map_err(|message| format!("foreign_issuers[{index}].{message}"))?;
            if self.foreign_issuers.iter().take(index).any(|other| other.issuer == foreign.issuer) {
                return Err(format!("foreign_issuers[{index}].issuer: {:?} is configured twice", foreign.issuer));
            }
        }
        self.check_relying_party()
    }

    fn check_relying_party(&self) -> Result<(), String> {
        if self.rp_origins.is_empty() {
            return Err("rp_origins: needs the origin of the approval page".into());
        }
        for origin in &self.rp_origins {
            let url = Url::parse(origin).map_err(|error| format!("rp_origins: {error}"))?;
            if url.origin().ascii_serialization() != *origin {
                return Err(format!("rp_origins: {origin:?} is not an origin like https://login.example.com"));
            }
        }
        if self.rp_id == "localhost" && !self.shared_rp_host_accepted {
            return Err("rp_id: localhost is shared by every program on this machine; give the approval realm a host \
                name of its own, or state shared_rp_host_accepted = true for development"
                .into());
        }
        Ok(())
    }

    /// The path below the server's root: `/realms/{name}`.
    pub fn path(&self) -> String {
        format!("/realms/{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        listen = "127.0.0.1:7400"
        management = "127.0.0.1:7401"
        [[realms]]
        name = "demo"
        issuer = "http://localhost:7400/realms/demo"
        trust_domain = "demo.marque.test"
        keycloak_issuer = "http://localhost:7410/realms/demo"
        keycloak_client_id = "marque"
        web_client_id = "marque-web"
        rp_id = "localhost"
        rp_origins = ["http://localhost:7410"]
        shared_rp_host_accepted = true
    "#;

    fn check(text: &str) -> Result<(), String> {
        toml::from_str::<Config>(text).map_err(|error| error.to_string())?.check()
    }

    #[test]
    fn names_what_is_wrong_and_where() {
        assert_eq!(check(GOOD), Ok(()));
        let refused = |from: &str, to: &str| check(&GOOD.replace(from, to)).unwrap_err();
        assert!(refused("/realms/demo\"", "/demo\"").contains("realms[0].issuer"));
        assert!(refused("shared_rp_host_accepted = true", "").contains("rp_id"));
        assert!(refused("http://localhost:7410\"]", "http://localhost:7410/\"]").contains("not an origin"));
        assert!(refused("trust_domain", "trust_domian").contains("trust_domian"));
        let administered = |client: &str| check(&format!("{GOOD}\nadmin_client_id = \"{client}\""));
        assert_eq!(administered("marque-console"), Ok(()));
        for own in ["marque", "marque-web"] {
            assert!(administered(own).is_err_and(|message| message.contains("realms[0].admin_client_id")), "{own}");
        }
        let believing = |jwks: &str| {
            check(&format!("{GOOD}\n[[realms.identity_issuers]]\nissuer = \"https://idp.example\"\njwks = {jwks}"))
        };
        let key = "kty = \"EC\", crv = \"P-256\", x = \"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\", \
                   y = \"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"";
        assert_eq!(believing(&format!("{{keys = [{{{key}}}]}}")), Ok(()));
        for wrong in ["{}", "{keys = []}", &format!("{{keys = [{{{key}, d = \"AAAA\"}}]}}")] {
            let place = "realms[0].identity_issuers[0].jwks";
            assert!(believing(wrong).is_err_and(|message| message.contains(place)), "{wrong}");
        }
        let unknown = |word: &str| check(&format!("{GOOD}\nunknown_actions = \"{word}\""));
        assert!(toml::from_str::<Config>(GOOD).unwrap().realms[0].dpop_nonces, "unless it is switched off");
        assert_eq!((unknown("refuse"), unknown("show")), (Ok(()), Ok(())));
        assert!(unknown("allow").is_err_and(|message| message.contains("unknown_actions")));
    }

    #[test]
    fn realms_share_nothing_that_tells_them_apart() {
        let second = GOOD.split_once("[[realms]]").unwrap().1.replace("demo", "other");
        let both = |second: &str| check(&format!("{GOOD}\n[[realms]]{second}"));
        assert_eq!(both(&second), Ok(()));
        for (member, from, to) in [
            ("trust_domain", "\"other.marque.test\"", "\"demo.marque.test\""),
            ("keycloak_issuer", "7410/realms/other", "7410/realms/demo"),
        ] {
            let refused = both(&second.replace(from, to)).unwrap_err();
            assert!(refused.starts_with(&format!("realms[1].{member}: ")), "{refused}");
        }
        assert!(
            both(GOOD.split_once("[[realms]]").unwrap().1).is_err_and(|message| message.contains("realms[1].name"))
        );
        let nested = check(&GOOD.replace("name = \"demo\"", "name = \"de/mo\"").replace("/demo\"", "/de/mo\""));
        assert!(nested.is_err_and(|message| message.contains("realms[0].name")));
    }

    #[test]
    fn certificates_are_taken_where_a_listener_or_a_proxy_is_named_in_full() {
        let tls = |text: &str| check(&format!("{GOOD}\n[tls]\n{text}"));
        let listen = "listen = \"127.0.0.1:7443\"\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
        let proxies = "proxies = [\"10.0.0.1\", \"::1\"]\n";
        assert_eq!((tls(""), tls(listen), tls(proxies)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(tls(&format!("{listen}client_ca = \"ca.pem\"\nurl = \"https://mtls.example\"")), Ok(()));
        for (what, text) in [
            ("an address alone", "listen = \"127.0.0.1:7443\"".to_owned()),
            ("a certificate alone", "certificate = \"c.pem\"".to_owned()),
            ("no key", listen.replace("key = ", "client_ca = ")),
            ("authorities for nobody", "client_ca = \"ca.pem\"".to_owned()),
            ("aliases of nothing", "url = \"https://mtls.example\"".to_owned()),
            ("a path", format!("{listen}url = \"https://mtls.example/x\"")),
            ("no TLS", format!("{proxies}url = \"http://mtls.example\"")),
            ("no address", "proxies = [\"proxy.example\"]".to_owned()),
            ("an unknown member", format!("{proxies}prxies = []")),
        ] {
            assert!(tls(&text).is_err_and(|message| message.contains("tls") || message.contains("prox")), "{what}");
        }
    }
}
