//! The server that is measured: `marque serve` and its private Postgres, both as they are shipped.

use crate::realm::{self, Realm};
use bench_keys::Failure;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take until it is ready.
const READY: Duration = Duration::from_secs(20);
/// The page's relying party id.
pub const RP_ID: &str = "localhost";
/// The trust domain.
pub const TRUST_DOMAIN: &str = "bench.example";

/// The running server. It and its database end with it.
pub struct Marque {
    /// Its issuer.
    pub issuer: String,
    /// The process.
    pub pid: u32,
    /// Postgres' first process.
    pub postgres_pid: u32,
    program: PathBuf,
    dir: PathBuf,
    child: Child,
}

impl Marque {
    /// Starts a server with an empty database in an empty folder.
    ///
    /// # Errors
    /// When it was not built, or does not start.
    pub async fn start(program: &Path, dir: &Path, realm: &Realm, origin: &str) -> Result<Self, Failure> {
        let _ = postgres(program, dir, "stop").output();
        fs::remove_dir_all(dir).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        fs::create_dir_all(dir)?;
        let (port, management, database_port) = (free_port()?, free_port()?, free_port()?);
        let mut start = postgres(program, dir, "start");
        start.args(["-o", "json", "--database", "bench", "--port", &database_port.to_string()]);
        let output = start.output().map_err(|error| format!("{}: {error}", program.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let running: Value = serde_json::from_slice(&output.stdout)?;
        let url = running.pointer("/databases/bench").and_then(Value::as_str).ok_or("no database")?;
        let postgres_pid = running.get("pid").and_then(Value::as_u64).ok_or("no process")?;
        let issuer = format!("http://127.0.0.1:{port}/realms/{}", realm::NAME);
        let config = dir.join("marque.toml");
        fs::write(
            &config,
            format!(
                "listen = \"127.0.0.1:{port}\"\nmanagement = \"127.0.0.1:{management}\"\nkey_file = {:?}\n\n[[realms]]\n\
                 name = \"{}\"\nissuer = {issuer:?}\ntrust_domain = \"{TRUST_DOMAIN}\"\nkeycloak_issuer = {:?}\n\
                 keycloak_client_id = \"marque\"\nweb_client_id = \"marque-web\"\nrp_id = \"{RP_ID}\"\n\
                 rp_origins = [{origin:?}]\nshared_rp_host_accepted = true\n",
                dir.join("development.key"),
                realm::NAME,
                realm.issuer,
            ),
        )?;
        let mut serve = Command::new(program);
        serve.args(["serve", "--config"]).arg(&config).env("DATABASE_URL", url).env("RUST_LOG", "warn");
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(dir.join("log"))?);
        let child = serve.spawn()?;
        let postgres_pid = u32::try_from(postgres_pid)?;
        let marque =
            Self { issuer, pid: child.id(), postgres_pid, program: program.to_owned(), dir: dir.to_owned(), child };
        marque.wait_until_ready(&format!("http://127.0.0.1:{management}/health/ready")).await?;
        Ok(marque)
    }

    async fn wait_until_ready(&self, health: &str) -> Result<(), Failure> {
        let http = reqwest::Client::builder().no_proxy().timeout(READY).build()?;
        let deadline = Instant::now() + READY;
        while Instant::now() < deadline {
            if http.get(health).send().await.is_ok_and(|answer| answer.status() == 200) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("the server is not ready: {}", fs::read_to_string(self.dir.join("log")).unwrap_or_default()).into())
    }
}

impl Drop for Marque {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = postgres(&self.program, &self.dir, "stop").output();
    }
}

fn postgres(program: &Path, dir: &Path, action: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["postgres", action, "--dir"]).arg(dir.join("postgres")).stdin(Stdio::null());
    command
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
