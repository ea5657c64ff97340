//! Another `marque serve` with the stack's issuer and keys, on a copy of its database.

use super::stack::{Stack, connect};
use futures_util::TryStreamExt;
use marque::app::App;
use marque::config::Config;
use marque::http;
use serde_json::Value;
use sqlx::{Connection, PgConnection, PgPool};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// A Postgres server of the test's own, which it may stop.
pub struct Postgres {
    dir: PathBuf,
    home: PathBuf,
    pub port: u16,
    pub pid: u32,
    pub url: String,
}

impl Postgres {
    pub fn start(stack: &Stack) -> Self {
        let dir = stack.dir.join(format!("it/{}", Uuid::new_v4().simple()));
        fs::create_dir_all(&dir).unwrap();
        let (dir, home) = (dir.join("postgres"), PathBuf::new());
        let mut postgres = Self { dir, home, port: free_port(), pid: 0, url: String::new() };
        postgres.restart();
        postgres
    }

    fn command(&self, action: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marque"));
        command.args(["postgres", action, "--dir"]).arg(&self.dir).stdin(Stdio::null());
        command
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        let mut start = self.command("start");
        start.args(["-o", "json", "--database", "copy", "--port", &self.port.to_string()]);
        let output = start.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let running: Value = serde_json::from_slice(&output.stdout).unwrap();
        self.home = PathBuf::from(running["home"].as_str().unwrap());
        self.pid = u32::try_from(running["pid"].as_u64().unwrap()).unwrap();
        self.url = running["databases"]["copy"].as_str().unwrap().to_owned();
    }

    pub fn stop(&self) {
        let output = self.command("stop").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Kills the server and all its backends (SIGKILL), and waits until they are gone.
    pub fn crash(&self) {
        self.signal("KILL");
        let stat = format!("/proc/{}/stat", self.pid);
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// A file beside the database, and outside of it, for what a server saw of it.
    pub fn mark(&self, name: &str) -> Option<PathBuf> {
        Some(self.dir.with_file_name(format!("mark-{name}.json")))
    }

    /// Saves the stopped server's files, as a backup does.
    pub fn save(&self) -> PathBuf {
        let backup = self.home.join(format!("backup-{}", Uuid::new_v4().simple()));
        copy_folder(&self.home.join("data"), &backup);
        backup
    }

    /// Puts saved files in the place of the stopped server's.
    pub fn put_back(&self, backup: &Path) {
        fs::remove_dir_all(self.home.join("data")).unwrap();
        copy_folder(backup, &self.home.join("data"));
    }

    /// Sends a signal to the server and all its backends.
    pub fn signal(&self, signal: &str) {
        let listed = Command::new("pgrep").args(["-P", &self.pid.to_string()]).output().unwrap().stdout;
        let children = String::from_utf8(listed).unwrap();
        let ids = children.lines().map(str::to_owned).chain([self.pid.to_string()]);
        let done = Command::new("kill").arg(format!("-{signal}")).args(ids).stderr(Stdio::null()).status().unwrap();
        // A backend may have ended between the two commands.
        let _ = done;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal("CONT");
        let _ = self.command("stop").output();
        let _ = fs::remove_dir_all(&self.home);
        let _ = self.dir.parent().map(fs::remove_dir_all);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// A copy of the stack's database, on the stack's own Postgres or another.
pub struct Copy {
    /// The stack as seen through the copy's pool; its server is still the stack's.
    pub stack: Stack,
    /// Further lines of the realm's configuration.
    pub settings: &'static str,
    /// Where servers keep what they saw of the database.
    pub mark: Option<PathBuf>,
    url: String,
    /// To drop it in the end; not for a Postgres server that ends as a whole.
    admin: Option<(String, String)>,
}

impl Copy {
    /// A copy beside the original.
    pub async fn beside(stack: &Stack) -> Self {
        let options = stack.db.connect_options();
        let name = format!("it_{}", Uuid::new_v4().simple());
        let create = sqlx::AssertSqlSafe(format!("create database {name}"));
        sqlx::query(create).execute(&stack.db).await.unwrap();
        let admin = url_of(&stack.dir, options.get_database().unwrap());
        let url = format!("{}/{name}", admin.rsplit_once('/').unwrap().0);
        Self::fill(stack, url, Some((admin, name))).await
    }

    /// The stack's database itself, for a server with other settings beside the stack's own.
    pub fn original(stack: &Stack) -> Self {
        let url = url_of(&stack.dir, stack.db.connect_options().get_database().unwrap());
        Self { settings: "", mark: None, stack: stack.clone(), url, admin: None }
    }

    /// A copy in another Postgres server.
    pub async fn within(stack: &Stack, postgres: &Postgres) -> Self {
        Self::fill(stack, postgres.url.clone(), None).await
    }

    async fn fill(stack: &Stack, url: String, admin: Option<(String, String)>) -> Self {
        let db = connect(url.clone()).await;
        let copy = Self { settings: "", mark: None, stack: Stack { db: db.clone(), ..stack.clone() }, url, admin };
        marque::store::migrate(&db).await.unwrap();
        copy_rows(&stack.db, &db).await;
        copy
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts a server on the copy and waits until it is ready.
    pub async fn serve(&self) -> Server {
        self.serve_with(&self.stack.env.keycloak.issuer).await
    }

    /// Starts a server on the copy for another realm issuer.
    pub async fn serve_with(&self, keycloak_issuer: &str) -> Server {
        self.serve_as(keycloak_issuer, self.settings).await
    }

    /// Starts a server on the copy for another realm issuer, with other settings.
    pub async fn serve_as(&self, keycloak_issuer: &str, settings: &str) -> Server {
        let mut server = self.start(keycloak_issuer, settings);
        server.until_ready().await;
        server
    }

    /// Serves the copy within the test's own process, whose clock the test can move.
    pub async fn serve_here(&self) -> Here {
        let text = self.config(&self.stack.env.keycloak.issuer, self.settings, 0, 0);
        let mut config: Config = toml::from_str(&text).unwrap();
        config.database_url = self.url.clone().into();
        let app = App::start(&config).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(http::serve(listener, http::router::public(app.clone()), stopped));
        let base = format!("http://{address}/realms/{}", self.stack.env.keycloak.realm);
        Here { stack: Stack { base, ..self.stack.clone() }, app, _stop: stop }
    }

    /// Starts a server that must refuse to run; answers what it said.
    pub async fn refused_start(&self) -> String {
        let mut server = self.start(&self.stack.env.keycloak.issuer, self.settings);
        assert!(!server.ended().await, "it ended well");
        server.log()
    }

    fn start(&self, keycloak_issuer: &str, settings: &str) -> Server {
        let (port, management) = (free_port(), free_port());
        let dir = self.stack.dir.join("it").join(Uuid::new_v4().simple().to_string());
        fs::create_dir_all(&dir).unwrap();
        let config = dir.join("marque.toml");
        fs::write(&config, self.config(keycloak_issuer, settings, port, management)).unwrap();
        let child = spawn(&dir, &self.url);
        let path = format!("/realms/{}", self.stack.env.keycloak.realm);
        let base = format!("http://127.0.0.1:{port}{path}");
        let stack = Stack { base, ..self.stack.clone() };
        Server { stack, management: format!("http://127.0.0.1:{management}"), dir, child, url: self.url.clone() }
    }

    fn config(&self, keycloak_issuer: &str, settings: &str, port: u16, management: u16) -> String {
        let env = &self.stack.env;
        let key_file = self.stack.dir.join("marque-development.key");
        let mark = self.mark.as_ref().map(|mark| format!("mark_file = {mark:?}\n")).unwrap_or_default();
        format!(
            "listen = \"127.0.0.1:{port}\"\nmanagement = \"127.0.0.1:{management}\"\nkey_file = {key_file:?}\n{mark}\n\
             [[realms]]\nname = {:?}\nissuer = {:?}\ntrust_domain = {:?}\nkeycloak_issuer = {keycloak_issuer:?}\n\
             keycloak_client_id = \"marque\"\nweb_client_id = \"marque-web\"\nrp_id = \"localhost\"\n\
             rp_origins = [{:?}]\nshared_rp_host_accepted = true\n{}\n",
            env.keycloak.realm, env.marque.issuer, env.marque.trust_domain, env.keycloak.base, settings,
        )
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let Some((admin, name)) = self.admin.take() else { return };
        let dropping = async move {
            let mut conn = PgConnection::connect(&admin).await?;
            let drop = sqlx::AssertSqlSafe(format!("drop database {name} with (force)"));
            sqlx::query(drop).execute(&mut conn).await.map(|_| ())
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(dropping)
        });
        let _ = thread.join();
    }
}

/// A server within the test's process.
pub struct Here {
    pub stack: Stack,
    pub app: Arc<App>,
    _stop: watch::Sender<bool>,
}

/// A running server. `stack` sends requests to it and sees its database.
pub struct Server {
    pub stack: Stack,
    pub management: String,
    dir: PathBuf,
    child: Child,
    url: String,
}

impl Server {
    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// What an operator's command for it says.
    ///
    /// # Errors
    /// What it says where it fails.
    pub fn command(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marque"));
        command.args(args).arg("--config").arg(self.dir.join("marque.toml"));
        tell_database(&mut command, &self.url);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    async fn until_ready(&mut self) {
        let (ready, http) = (format!("{}/health/ready", self.management), self.stack.http.clone());
        super::until("the server is ready", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended with {ended:?}: {}", self.log());
            let request = http.get(&ready).send();
            async { request.await.is_ok_and(|answer| answer.status() == 200) }
        })
        .await;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success(), "no {signal}");
    }

    /// Kills it (SIGKILL) and starts it again, at the same address.
    pub async fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.dir, &self.url);
        self.until_ready().await;
    }

    /// Waits until it has ended by itself; answers whether it ended well.
    pub async fn ended(&mut self) -> bool {
        let mut status = None;
        super::until("the server ends", || {
            status = self.child.try_wait().unwrap();
            std::future::ready(status.is_some())
        })
        .await;
        status.unwrap().success()
    }

    /// Whether it still runs.
    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Starts a server that was configured in a folder; what it logs is added to what was logged there.
fn spawn(dir: &Path, url: &str) -> Child {
    let log = fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_marque"));
    serve.args(["serve", "--config"]).arg(dir.join("marque.toml")).env("NO_COLOR", "1");
    tell_database(&mut serve, url);
    serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// How a server gets to its database: straight; or, where `MARQUE_POOLER=FROM=TO` says that a pooler in transaction mode
/// listens at TO for the Postgres at FROM (both HOST:PORT), by that.
fn tell_database(command: &mut Command, url: &str) {
    let pooler = std::env::var("MARQUE_POOLER").ok();
    let by_pooler = pooler.as_deref().and_then(|pooler| pooler.split_once('=')).filter(|(from, _)| url.contains(from));
    match by_pooler {
        Some((from, to)) => command.env("DATABASE_URL", url.replace(from, to)).env("DATABASE_DIRECT_URL", url),
        None => command.env("DATABASE_URL", url).env_remove("DATABASE_DIRECT_URL"),
    };
}

/// A loopback port that nobody listens at.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn url_of(dir: &Path, database: &str) -> String {
    let mut status = Command::new(env!("CARGO_BIN_EXE_marque"));
    let output = status.args(["postgres", "status", "--dir"]).arg(dir.join("postgres")).output().unwrap();
    let url = String::from_utf8(output.stdout).unwrap();
    format!("{}/{database}", url.trim().rsplit_once('/').unwrap().0)
}

/// Copies every row, as of one instant.
async fn copy_rows(from: &PgPool, to: &PgPool) {
    // What Postgres makes of other columns is made anew.
    let tables = "select relname::text, string_agg(attname::text, ', ') from pg_class
                  join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped and attgenerated = ''
                  where relnamespace = 'public'::regnamespace
                  and relkind in ('r', 'p') and not relispartition and relname not like '\\_%' group by relname";
    let mut from = from.begin().await.unwrap();
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *from).await.unwrap();
    let tables: Vec<(String, String)> = sqlx::query_as(tables).fetch_all(&mut *from).await.unwrap();
    let mut to = to.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *to).await.unwrap();
    for (table, columns) in tables {
        let out = from.copy_out_raw(&format!("copy (select {columns} from {table}) to stdout")).await.unwrap();
        let rows: Vec<_> = out.try_collect().await.unwrap();
        let mut into = to.copy_in_raw(&format!("copy {table} ({columns}) from stdin")).await.unwrap();
        for row in rows {
            into.send(row).await.unwrap();
        }
        into.finish().await.unwrap();
    }
    sqlx::query("set session_replication_role = default").execute(&mut *to).await.unwrap();
}
