//! PgBouncer before the bench's Postgres.

use crate::marque::free_port;
use bench_keys::Failure;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where Debian's package puts it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// Sessions that it holds, as where nothing else is said: enough for the connections of a server of Marque's.
const SESSIONS: usize = 20;

/// Whether there is one.
pub fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// A running pooler. It ends with it.
pub struct Pooler {
    /// By which it is reached.
    pub url: String,
    child: Child,
    dir: PathBuf,
}

impl Pooler {
    /// Starts one before a database, in a mode of PgBouncer's (`session`, `transaction`), as the account of a process of Postgres': it
    /// refuses to be root.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(mode: &str, database: &str, postgres_pid: u32) -> Result<Self, Failure> {
        let (port, process) = (free_port()?, fs::metadata(format!("/proc/{postgres_pid}"))?);
        let url = reqwest::Url::parse(database)?;
        let name = url.path().trim_start_matches('/');
        let (host, user) = (url.host_str().ok_or("no host")?, url.username());
        let (at, password) = (url.port().ok_or("no port")?, url.password().unwrap_or_default());
        let dir = std::env::temp_dir().join(format!("marque-bench-{mode}-{port}"));
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        let file = dir.join("pgbouncer.ini");
        fs::write(
            &file,
            format!(
                "[databases]\n{name} = host={host} port={at} user={user} password={password}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
                 default_pool_size = {SESSIONS}\nignore_startup_parameters = extra_float_digits\nlog_connections = 0\n\
                 log_disconnections = 0\n"
            ),
        )?;
        for path in [&dir, &file] {
            chown(path, Some(process.uid()), Some(process.gid()))?;
        }
        let mut run = Command::new(PROGRAM);
        run.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Who is not root is that account already.
        if fs::metadata("/proc/self")?.uid() == 0 {
            run.uid(process.uid()).gid(process.gid());
        }
        let child = run.spawn()?;
        Ok(Self { url: format!("postgres://{user}@127.0.0.1:{port}/{name}"), child, dir })
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
