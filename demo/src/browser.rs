//! The scripted person's passkey.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use crate::keycloak::Administration;
use crate::place::{Place, REALM};
use crate::processes::Processes;
use crate::{Result, about};

/// How long the browser may take, its own tries included.
const REGISTER_LIMIT: Duration = Duration::from_secs(180);

/// How long one approval may take, the start of the browser included.
const APPROVE_LIMIT: Duration = Duration::from_secs(90);

/// The output of CDP `WebAuthn.getCredentials`.
#[derive(Deserialize)]
struct Stored {
    credentials: Vec<StoredPasskey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredPasskey {
    credential_id: String,
}

/// Where and as whom to register.
pub(crate) struct Registration<'a> {
    pub(crate) keycloak: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) file: PathBuf,
}

impl Registration<'_> {
    /// Registers a passkey with a headless browser, unless Keycloak knows the stored one. Says whether it was new.
    pub(crate) async fn ensure(&self, place: &Place, processes: &Processes, admin: &Administration) -> Result<bool> {
        let known = admin.passkeys(self.user_id).await?;
        if stored(&self.file)?.is_some_and(|id| known.contains(&id)) {
            return Ok(false);
        }
        let folder = self.file.parent().ok_or("the passkey file has no folder")?;
        fs::create_dir_all(folder).map_err(about(folder.display()))?;
        let mut node = Command::new(place.root.join("scripts/node"));
        node.arg(place.root.join("demo/browser/register.mjs"));
        node.args(["--keycloak", self.keycloak, "--realm", REALM, "--user", self.user, "--passkey"]).arg(&self.file);
        node.env("MARQUE_DEMO_PASSWORD", self.password);
        processes.run("passkey", node, REGISTER_LIMIT).await?;
        let id = stored(&self.file)?.ok_or("the browser stored no passkey")?;
        match admin.passkeys(self.user_id).await?.contains(&id) {
            true => Ok(true),
            false => Err("Keycloak does not know the passkey that the browser registered".into()),
        }
    }
}

/// Lets the scripted person approve an intent: a real browser, with the user's stored passkey.
pub(crate) async fn approve(place: &Place, processes: &Processes, intent_id: &str, user: &str) -> Result<()> {
    let mut person = Command::new(place.root.join("demo/approve"));
    person.args([intent_id, "--user", user]).env("MARQUE_DEMO_ENV", place.env_file());
    processes.run("person", person, APPROVE_LIMIT).await.map(drop)
}

/// The id of the stored passkey, in standard base64.
fn stored(file: &Path) -> Result<Option<String>> {
    let Ok(text) = fs::read(file) else { return Ok(None) };
    let stored: Stored = serde_json::from_slice(&text).map_err(about(file.display()))?;
    Ok(stored.credentials.into_iter().next().map(|passkey| passkey.credential_id))
}
