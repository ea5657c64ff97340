//! Two servers of one issuer on one database.

use crate::process::{Process, free_ports, run};
use crate::realm::{self, Realm};
use bench_keys::Failure;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The page's relying party id.
pub const RP_ID: &str = "localhost";
/// The trust domain.
pub const TRUST_DOMAIN: &str = "bench.example";
/// How long a server may take until it is ready.
const READY: Duration = Duration::from_secs(30);

/// How a server gets to the database.
#[derive(Clone)]
pub struct Way {
    /// `DATABASE_URL`.
    pub url: String,
    /// `DATABASE_DIRECT_URL`.
    pub direct: Option<String>,
}

impl Way {
    fn tell(&self, command: &mut Command) {
        command.env("DATABASE_URL", &self.url);
        match &self.direct {
            Some(direct) => command.env("DATABASE_DIRECT_URL", direct),
            None => command.env_remove("DATABASE_DIRECT_URL"),
        };
    }
}

/// One of them.
pub struct Marque {
    /// The issuer: the address of the first one.
    pub issuer: String,
    /// This one's own address for it.
    pub base: String,
    config: PathBuf,
    database: Way,
    program: PathBuf,
    _process: Process,
}

impl Marque {
    /// Starts both.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start_two(dir: &Path, ways: [Way; 2], realm: &Realm, origin: &str) -> Result<[Self; 2], Failure> {
        let ports = free_ports(4)?;
        let [one, other, one_health, other_health] = ports.as_slice() else { return Err("no ports".into()) };
        let issuer = format!("http://127.0.0.1:{one}/realms/{}", realm::NAME);
        let start = async |way: Way, port: &u16, health: &u16| {
            Self::start(dir, way, realm, origin, &issuer, (*port, *health)).await
        };
        let [first, second] = ways;
        Ok([start(first, one, one_health).await?, start(second, other, other_health).await?])
    }

    async fn start(
        dir: &Path,
        database: Way,
        realm: &Realm,
        origin: &str,
        issuer: &str,
        (port, health): (u16, u16),
    ) -> Result<Self, Failure> {
        let config = dir.join(format!("marque-{port}.toml"));
        fs::write(
            &config,
            format!(
                "listen = \"127.0.0.1:{port}\"\nmanagement = \"127.0.0.1:{health}\"\nkey_file = {:?}\nmark_file = {:?}\n\n\
                 [[realms]]\nname = \"{}\"\nissuer = {issuer:?}\ntrust_domain = \"{TRUST_DOMAIN}\"\n\
                 keycloak_issuer = {:?}\nkeycloak_client_id = \"marque\"\nweb_client_id = \"marque-web\"\n\
                 rp_id = \"{RP_ID}\"\nrp_origins = [{origin:?}]\nshared_rp_host_accepted = true\n",
                dir.join("development.key"),
                dir.join(format!("mark-{port}.json")),
                realm::NAME,
                realm.issuer,
            ),
        )?;
        let program = std::env::current_exe()?.with_file_name("marque");
        let mut serve = Command::new(&program);
        serve.args(["serve", "--config"]).arg(&config).env("RUST_LOG", "info");
        database.tell(&mut serve);
        let log = dir.join(format!("marque-{port}.log"));
        let process = Process::spawn(serve, &log)?;
        let ready = format!("http://127.0.0.1:{health}/health/ready");
        let deadline = Instant::now() + READY;
        while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status() == 200) {
            if Instant::now() > deadline {
                return Err(format!("the server is not ready: {}", fs::read_to_string(log)?).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let base = format!("http://127.0.0.1:{port}/realms/{}", realm::NAME);
        Ok(Self { issuer: issuer.into(), base, config, database, program, _process: process })
    }

    /// What an operator's command says.
    ///
    /// # Errors
    /// What it complains of.
    pub fn command(&self, args: &[&str]) -> Result<String, Failure> {
        self.command_at(&self.database, args)
    }

    /// [`Self::command`] with another way to the database.
    ///
    /// # Errors
    /// What it complains of.
    pub fn command_at(&self, database: &Way, args: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(&self.program);
        database.tell(&mut command);
        run(command.args(args).arg("--config").arg(&self.config))
    }
}
