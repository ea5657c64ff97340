//! Keycloak: the server distribution from Maven with our jar, built once per version and jar, and its administration.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::place::{Place, REALM, url};
use crate::processes::{Part, Processes};
use crate::{Result, about};

/// The Maven plugin that fetches and unpacks the distribution.
const UNPACK: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack";
/// The options that `kc.sh build` fixes. `local` caches open no cluster port.
const BUILD: [&str; 4] = ["--db=postgres", "--health-enabled=true", "--cache=local", "--metrics-enabled=false"];
const UNPACK_LIMIT: Duration = Duration::from_secs(900);
const BUILD_LIMIT: Duration = Duration::from_secs(300);
/// How long another command may hold the cache: as long as it may unpack and build.
const CACHE_LIMIT: Duration = Duration::from_secs(1200);
/// An empty database takes about a minute on two cores.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// The heap that the demonstration needs.
const HEAP: &str = "-Xms256m -Xmx768m";

/// What the server is made of: its version, our jar, the realm file.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    version: String,
    jar: PathBuf,
    jar_digest: String,
    realm: PathBuf,
}

impl Parts {
    /// Reads them from the project; the version stands in `keycloak-extension/pom.xml`.
    pub(crate) fn find(root: &Path) -> Result<Self> {
        let pom = root.join("keycloak-extension/pom.xml");
        let text = fs::read_to_string(&pom).map_err(about(pom.display()))?;
        let version = between(&text, "<keycloak.version>", "</keycloak.version>");
        let name = between(&text, "<finalName>", "</finalName>");
        let (Some(version), Some(name)) = (version, name) else {
            return Err(format!("{} names no keycloak.version or no finalName", pom.display()).into());
        };
        let jar = root.join(format!("keycloak-extension/target/{name}.jar"));
        let bytes = fs::read(&jar).map_err(about(format!("{} (make jar builds it)", jar.display())))?;
        let jar_digest = short_digest([bytes.as_slice(), BUILD.join(" ").as_bytes()]);
        Ok(Self { version: version.to_owned(), jar, jar_digest, realm: root.join("realm-export.json") })
    }

    /// Everything whose change asks for a fresh database, as bytes.
    pub(crate) fn identity(&self) -> Result<Vec<u8>> {
        let realm = fs::read(&self.realm).map_err(about(self.realm.display()))?;
        Ok([self.version.as_bytes(), b" ", self.jar_digest.as_bytes(), b" ", &realm].concat())
    }

    /// Unpacks and builds the server unless the cache has it; returns its folder.
    pub(crate) async fn prepare(&self, place: &Place, processes: &Processes) -> Result<PathBuf> {
        let cache = place.root.join("target/cache");
        fs::create_dir_all(&cache).map_err(about(cache.display()))?;
        let _lock = lock(&cache.join("keycloak.lock")).await?;
        let home = cache.join(format!("keycloak-{}-{}", self.version, self.jar_digest));
        let stamp = home.join(".built");
        if !stamp.exists() {
            remove_unused(&cache)?;
            self.unpack(&cache, &home, processes).await?;
            let provider = home.join("providers/marque-keycloak.jar");
            fs::copy(&self.jar, &provider).map_err(about(provider.display()))?;
            let mut build = Command::new(home.join("bin/kc.sh"));
            build.arg("build").args(BUILD);
            processes.run("keycloak-build", build, BUILD_LIMIT).await?;
            File::create(&stamp).map_err(about(stamp.display()))?;
        }
        let import = home.join("data/import");
        fs::create_dir_all(&import).map_err(about(import.display()))?;
        let (fresh, realm) = (home.join("data/realm.new"), import.join(format!("{REALM}-realm.json")));
        fs::copy(&self.realm, &fresh).map_err(about(fresh.display()))?;
        fs::rename(&fresh, &realm).map_err(about(realm.display()))?;
        Ok(home)
    }

    async fn unpack(&self, cache: &Path, home: &Path, processes: &Processes) -> Result<()> {
        let fresh = cache.join("keycloak.new");
        for leftover in [&fresh, home] {
            if leftover.exists() {
                fs::remove_dir_all(leftover).map_err(about(leftover.display()))?;
            }
        }
        fs::create_dir(&fresh).map_err(about(fresh.display()))?;
        let mut maven = Command::new("mvn");
        // The plugin notes below the working directory what it has unpacked, and would skip it the next time.
        maven.args(["--quiet", "--batch-mode", UNPACK]).current_dir(&fresh);
        maven.arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{}:zip", self.version));
        maven.arg(format!("-DoutputDirectory={}", fresh.display()));
        processes.run("keycloak-unpack", maven, UNPACK_LIMIT).await?;
        let unpacked = fresh.join(format!("keycloak-{}", self.version));
        fs::rename(&unpacked, home).map_err(about(unpacked.display()))?;
        fs::remove_dir_all(&fresh).map_err(about(fresh.display()))
    }
}

/// What a boot needs beside the built server.
pub(crate) struct Boot<'a> {
    pub(crate) port: u16,
    pub(crate) management_port: u16,
    /// The database, as `postgres://user:password@host:port/name`.
    pub(crate) database: &'a str,
    pub(crate) admin_password: &'a str,
    /// What replaces `${NAME}` in the realm file.
    pub(crate) realm: Vec<(&'static str, String)>,
}

/// Starts the server and waits until it is ready.
pub(crate) async fn boot(home: &Path, boot: Boot<'_>, processes: &Processes, http: &Client) -> Result<Part> {
    let database = reqwest::Url::parse(boot.database)?;
    let host = database.host_str().zip(database.port()).ok_or("the database URL names no host and port")?;
    let mut server = Command::new(home.join("bin/kc.sh"));
    server.args(["start", "--optimized", "--import-realm", "--http-enabled=true", "--http-host=localhost"]);
    server.arg(format!("--http-port={}", boot.port)).arg(format!("--hostname={}", url(boot.port)));
    server.arg(format!("--http-management-port={}", boot.management_port));
    server.env("KC_DB_URL", format!("jdbc:postgresql://{}:{}{}", host.0, host.1, database.path()));
    server.env("KC_DB_USERNAME", database.username()).env("KC_DB_PASSWORD", database.password().unwrap_or_default());
    server.env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin").env("KC_BOOTSTRAP_ADMIN_PASSWORD", boot.admin_password);
    server.env("JAVA_OPTS_KC_HEAP", HEAP).envs(boot.realm);
    let mut part = processes.start("keycloak", server)?;
    part.ready(http, &format!("{}/health/ready", url(boot.management_port)), BOOT_LIMIT).await?;
    Ok(part)
}

/// Asks Keycloak's administration interface.
pub(crate) struct Administration {
    http: Client,
    base: String,
    token: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credential {
    #[serde(rename = "type")]
    kind: String,
    credential_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasskeyData {
    credential_id: String,
}

impl Administration {
    pub(crate) async fn sign_in(http: &Client, base: &str, password: &str) -> Result<Self> {
        let form =
            [("grant_type", "password"), ("client_id", "admin-cli"), ("username", "admin"), ("password", password)];
        let address = format!("{base}/realms/master/protocol/openid-connect/token");
        let token: Token = http.post(address).form(&form).send().await?.error_for_status()?.json().await?;
        Ok(Self { http: http.clone(), base: base.to_owned(), token: token.access_token })
    }

    /// The id of the user `name`.
    pub(crate) async fn user_id(&self, name: &str) -> Result<String> {
        let users: Vec<User> = self.get(&format!("users?exact=true&username={name}")).await?;
        users.into_iter().next().map(|user| user.id).ok_or_else(|| format!("Keycloak has no user {name}").into())
    }

    /// The ids of the user's passkeys, in standard base64.
    pub(crate) async fn passkeys(&self, user_id: &str) -> Result<Vec<String>> {
        let credentials: Vec<Credential> = self.get(&format!("users/{user_id}/credentials")).await?;
        let passkeys = credentials.into_iter().filter(|credential| credential.kind == "webauthn-passwordless");
        let read = |data: String| serde_json::from_str::<PasskeyData>(&data).map(|data| data.credential_id);
        Ok(passkeys
            .filter_map(|credential| credential.credential_data)
            .map(read)
            .collect::<std::result::Result<_, _>>()?)
    }

    /// Adds a client, in place of an earlier one of the same id.
    pub(crate) async fn put_client(&self, client: &Value) -> Result<()> {
        #[derive(Deserialize)]
        struct Found {
            id: String,
        }
        let name = client.get("clientId").and_then(Value::as_str).ok_or("a client has an id")?;
        let clients = format!("{}/admin/realms/{REALM}/clients", self.base);
        for Found { id } in self.get::<Vec<Found>>(&format!("clients?clientId={name}")).await? {
            self.http.delete(format!("{clients}/{id}")).bearer_auth(&self.token).send().await?.error_for_status()?;
        }
        self.http.post(clients).bearer_auth(&self.token).json(client).send().await?.error_for_status()?;
        Ok(())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let address = format!("{}/admin/realms/{REALM}/{path}", self.base);
        Ok(self.http.get(address).bearer_auth(&self.token).send().await?.error_for_status()?.json().await?)
    }
}

/// The first 12 hexadecimal digits of the SHA-256 of all `pieces`.
pub(crate) fn short_digest<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(piece);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0.trim())
}

async fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(about(path.display()))?;
    let deadline = Instant::now() + CACHE_LIMIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(about(path.display())(error)),
        }
    }
}

/// Removes servers of earlier versions and jars that no process runs from.
fn remove_unused(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache).map_err(about(cache.display()))?.flatten() {
        let is_server = entry.file_name().to_str().is_some_and(|name| name.starts_with("keycloak-"));
        if is_server && !is_in_use(&entry.path()) {
            fs::remove_dir_all(entry.path()).map_err(about(entry.path().display()))?;
        }
    }
    Ok(())
}

/// Says whether some process names `folder` on its command line, as a running Keycloak does.
fn is_in_use(folder: &Path) -> bool {
    let folder = folder.as_os_str().as_encoded_bytes();
    let lines =
        fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| fs::read(entry.path().join("cmdline")));
    lines.flatten().any(|line| line.windows(folder.len()).any(|part| part == folder))
}
