//! Who sits in front of the browser.

use std::path::{Path, PathBuf};

use marque_demo::Result;
use marque_demo::env::Env;
use serde_json::{Value, json};
use tokio::process::Command;

/// A user of the realm with a stored passkey.
#[derive(Debug, Clone)]
pub struct Person {
    /// The user name.
    pub name: String,
    /// Keycloak's id.
    pub sub: String,
    /// The file with the passkey.
    pub passkey: PathBuf,
    /// The password.
    pub password: String,
}

impl Person {
    /// The demonstration's own user.
    pub fn alice(env: &Env) -> Self {
        let user = &env.user;
        Self {
            name: user.username.clone(),
            sub: user.sub.clone(),
            passkey: user.passkey.clone(),
            password: user.password.clone(),
        }
    }

    /// Another user, with or without a passkey yet, who has the same password.
    pub fn other(env: &Env, name: &str, sub: &str, folder: &Path) -> Self {
        let passkey = folder.join(format!("{name}.json"));
        Self { name: name.into(), sub: sub.into(), passkey, password: env.user.password.clone() }
    }

    /// What the runner signs in with.
    pub fn sign_in(&self) -> Value {
        json!({"username": self.name, "password": self.password})
    }

    /// Registers a passkey at Keycloak and stores it in `file`.
    ///
    /// # Errors
    /// When the browser does not succeed.
    pub async fn register(&self, env: &Env, root: &Path, file: &Path) -> Result<()> {
        let mut node = Command::new(root.join("scripts/node"));
        node.arg(root.join("demo/browser/register.mjs")).args(["--keycloak", &env.keycloak.base]);
        node.args(["--realm", &env.keycloak.realm, "--user", &self.name, "--passkey"]).arg(file);
        let ended = node.env("MARQUE_DEMO_PASSWORD", &self.password).kill_on_drop(true).output().await?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(format!("{}: no passkey: {}", self.name, String::from_utf8_lossy(&ended.stderr)).into()),
        }
    }
}
