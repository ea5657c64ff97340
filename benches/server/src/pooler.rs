//! PgBouncer before the bench's Postgres.

use crate::marque::free_port;
use bench_keys::Failure;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where Debian's package puts it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// Sessions that it holds, as where nothing else is said: enough for the connections of a server of Marque's.
const SESSIONS: usize = 20;
/// How long it may take until it listens.
const READY: Duration = Duration::from_secs(5);

/// Whether there is one.
pub fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// A running pooler. It ends with it.
pub struct Pooler {
    /// By which it is reached.
    pub url: String,
    child: Option<Child>,
    dir: PathBuf,
}

impl Pooler {
    /// Starts one before a database, in a mode of PgBouncer's (`session`, `transaction`), as the account of a process of Postgres': it
    /// refuses to be root.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(mode: &str, database: &str, postgres_pid: u32) -> Result<Self, Failure> {
        let (port, account) = (free_port()?, fs::metadata(format!("/proc/{postgres_pid}"))?);
        let url = reqwest::Url::parse(database)?;
        let (name, user) = (url.path().trim_start_matches('/'), url.username());
        let dir = std::env::temp_dir().join(format!("marque-bench-{mode}-{port}"));
        DirBuilder::new().mode(0o700).create(&dir)?;
        let pooler = Self { url: format!("postgres://{user}@127.0.0.1:{port}/{name}"), child: None, dir };
        pooler.run(&config(mode, &url, port)?, &account, port).await
    }

    async fn run(mut self, config: &str, account: &fs::Metadata, port: u16) -> Result<Self, Failure> {
        let (file, log) = (self.dir.join("pgbouncer.ini"), self.dir.join("pgbouncer.log"));
        fs::write(&file, config)?;
        for path in [&self.dir, &file] {
            chown(path, Some(account.uid()), Some(account.gid()))?;
        }
        let mut run = Command::new(PROGRAM);
        run.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
        // Who is not root is that account already.
        if fs::metadata("/proc/self")?.uid() == 0 {
            run.uid(account.uid()).gid(account.gid());
        }
        self.child = Some(run.spawn()?);
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if begun.elapsed() > READY {
                return Err(format!("PgBouncer does not listen: {}", fs::read_to_string(log)?).into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(self)
    }
}

fn config(mode: &str, url: &reqwest::Url, port: u16) -> Result<String, Failure> {
    let name = url.path().trim_start_matches('/');
    let (host, user) = (url.host_str().ok_or("no host")?, url.username());
    let (at, password) = (url.port().ok_or("no port")?, url.password().unwrap_or_default());
    Ok(format!(
        "[databases]\n{name} = host={host} port={at} user={user} password={password}\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
         default_pool_size = {SESSIONS}\nignore_startup_parameters = extra_float_digits\nlog_connections = 0\n\
         log_disconnections = 0\n"
    ))
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
