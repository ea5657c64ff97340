//! The servers that are measured: `marque serve` and its private Postgres, both as they are shipped.

use crate::realm::{self, Realm};
use bench_keys::Failure;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until it is ready.
const READY: Duration = Duration::from_secs(20);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(1);
/// The page's relying party id.
pub const RP_ID: &str = "localhost";
/// The trust domain.
pub const TRUST_DOMAIN: &str = "bench.example";
/// The databases: of the server that most figures are about, of two with and without many rows, of one for clients with
/// certificates, of three without and with a pooler, of Keycloak.
pub const DATABASES: [&str; 8] =
    ["bench", "rows_few", "rows_many", "mutual", "direct", "session", "transaction", "keycloak"];

/// Where servers are started: a folder with a private Postgres, which ends with it.
pub struct Site {
    /// Postgres' first process.
    pub postgres_pid: u32,
    program: PathBuf,
    dir: PathBuf,
    databases: Value,
    keycloak_issuer: String,
    origin: String,
}

/// A running server. It ends with it.
pub struct Marque {
    /// Its issuer.
    pub issuer: String,
    /// The process.
    pub pid: u32,
    /// Postgres' first process.
    pub postgres_pid: u32,
    /// From its start until it was ready.
    pub ready: Duration,
    child: Child,
}

impl Site {
    /// Starts Postgres in an empty folder.
    ///
    /// # Errors
    /// When the server was not built, or Postgres does not start.
    pub fn start(program: &Path, dir: &Path, realm: &Realm, origin: &str) -> Result<Self, Failure> {
        let _ = postgres(program, dir, "stop").output();
        fs::remove_dir_all(dir).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        fs::create_dir_all(dir)?;
        let mut start = postgres(program, dir, "start");
        start.args(["-o", "json", "--port", &free_port()?.to_string()]);
        start.args(DATABASES.iter().flat_map(|name| ["--database", name]));
        let output = start.output().map_err(|error| format!("{}: {error}", program.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let running: Value = serde_json::from_slice(&output.stdout)?;
        let pid = running.get("pid").and_then(Value::as_u64).ok_or("no process")?;
        Ok(Self {
            postgres_pid: u32::try_from(pid)?,
            program: program.to_owned(),
            dir: dir.to_owned(),
            databases: running.get("databases").cloned().unwrap_or_default(),
            keycloak_issuer: realm.issuer.clone(),
            origin: origin.to_owned(),
        })
    }

    /// The URL of a database, by which a superuser connects.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn database(&self, name: &str) -> Result<&str, Failure> {
        Ok(self.databases.get(name).and_then(Value::as_str).ok_or_else(|| format!("no database {name}"))?)
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a server on a database and waits until it is ready; `settings` precede the realm's.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn serve(&self, database: &str, settings: &str) -> Result<Marque, Failure> {
        self.serve_by(&[("DATABASE_URL", self.database(database)?)], settings).await
    }

    /// [`Self::serve`], by variables that say how to reach the database.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn serve_by(&self, reached: &[(&str, &str)], settings: &str) -> Result<Marque, Failure> {
        let (port, management) = (free_port()?, free_port()?);
        let issuer = format!("http://127.0.0.1:{port}/realms/{}", realm::NAME);
        let (config, log) = (self.dir.join(format!("{port}.toml")), self.dir.join(format!("{port}.log")));
        fs::write(
            &config,
            format!(
                "listen = \"127.0.0.1:{port}\"\nmanagement = \"127.0.0.1:{management}\"\nkey_file = {:?}\n{settings}\n\n\
                 [[realms]]\nname = \"{}\"\nissuer = {issuer:?}\ntrust_domain = \"{TRUST_DOMAIN}\"\n\
                 keycloak_issuer = {:?}\nkeycloak_client_id = \"marque\"\nweb_client_id = \"marque-web\"\n\
                 rp_id = \"{RP_ID}\"\nrp_origins = [{:?}]\nshared_rp_host_accepted = true\n",
                self.dir.join("development.key"),
                realm::NAME,
                self.keycloak_issuer,
                self.origin,
            ),
        )?;
        let mut serve = Command::new(&self.program);
        serve.args(["serve", "--config"]).arg(&config);
        serve.env_remove("DATABASE_DIRECT_URL").envs(reached.iter().copied());
        serve.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
        let http = reqwest::Client::builder().no_proxy().timeout(READY).build()?;
        let begun = Instant::now();
        let child = serve.spawn()?;
        let mut marque =
            Marque { issuer, pid: child.id(), postgres_pid: self.postgres_pid, ready: Duration::ZERO, child };
        let health = format!("http://127.0.0.1:{management}/health/ready");
        while !http.get(&health).send().await.is_ok_and(|answer| answer.status() == 200) {
            if begun.elapsed() > READY {
                return Err(format!("the server is not ready: {}", fs::read_to_string(log)?).into());
            }
            tokio::time::sleep(LOOK).await;
        }
        marque.ready = begun.elapsed();
        Ok(marque)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = postgres(&self.program, &self.dir, "stop").output();
    }
}

impl Drop for Marque {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn postgres(program: &Path, dir: &Path, action: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["postgres", action, "--dir"]).arg(dir.join("postgres")).stdin(Stdio::null());
    command
}

/// A loopback port that nobody listens at.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
