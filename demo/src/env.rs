//! `env.json`: where the running demonstration is, for everything that drives it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Result, about};

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Env {
    /// The version of this form: 1.
    pub version: u32,
    pub marque: Marque,
    pub keycloak: Keycloak,
    pub resource_server: ResourceServer,
    pub worker: Worker,
    pub clients: Clients,
    pub user: User,
}

/// The running `marque serve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Marque {
    /// The issuer URL of the demo realm at Marque.
    pub issuer: String,
    /// The base URL of the management port.
    pub management: String,
    pub trust_domain: String,
}

/// The running Keycloak.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keycloak {
    /// The base URL.
    pub base: String,
    pub realm: String,
    /// The issuer URL of the realm.
    pub issuer: String,
    pub admin: Admin,
}

/// Keycloak's administrator, in the realm `master`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Admin {
    pub username: String,
    pub password: String,
}

/// The demo resource server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResourceServer {
    /// Its location: the base URL, without a slash at the end.
    pub url: String,
    pub client_id: String,
}

/// The demo worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Worker {
    /// The base URL, without a slash at the end.
    pub url: String,
}

/// The Keycloak clients of the demonstration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Clients {
    pub agent: Client,
    pub worker: Client,
    pub rs: Client,
}

/// One client with its private keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    pub client_id: String,
    /// The file with the private JWK of `private_key_jwt`.
    pub key: PathBuf,
    /// The file with the private JWK of DPoP.
    pub dpop_key: PathBuf,
}

/// The person who approves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    pub username: String,
    pub password: String,
    /// Keycloak's id of the user.
    pub sub: String,
    /// The file with the output of CDP `WebAuthn.getCredentials`.
    pub passkey: PathBuf,
}

impl Env {
    /// Reads the file.
    ///
    /// # Errors
    /// Returns an error where the file cannot be read or is of another form or version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(about(path.display()))?;
        let env: Self = serde_json::from_slice(&text).map_err(about(path.display()))?;
        if env.version != 1 {
            return Err(format!("{}: version {} is unknown", path.display(), env.version).into());
        }
        Ok(env)
    }

    /// Writes the file, readable by its owner alone: it holds passwords.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_private(path, serde_json::to_string_pretty(self)?.as_bytes())
    }
}

/// Replaces `path` at one stroke by a file of mode 600.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(about(fresh.display()))?;
    file.write_all(bytes).map_err(about(fresh.display()))?;
    fs::rename(&fresh, path).map_err(about(path.display()))
}
