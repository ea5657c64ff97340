//! A private Postgres server for development and the demonstration.
//!
//! Marque needs a Postgres server. `DATABASE_URL` names one; where it is unset, this room starts a private
//! server from binaries that are already on the machine. The server listens on a loopback port and on a socket
//! in a directory of mode 700, asks for a random SCRAM password, and never runs as root.
//!
//! A server is known by its directory. Postgres and its files live in that directory, or, where the account
//! that runs Postgres cannot reach it, in a private directory below `/var/tmp` that the file `location` names.

mod account;
mod binaries;
mod command;
mod place;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sqlx::migrate::MigrateDatabase;

use account::Account;
use binaries::Binaries;
use place::{claim_home, located, lock};

/// The database superuser of the private server, and the database that a URL without another name points at.
const OWNER: &str = "marque";
/// How long `initdb` may take.
const INITDB_LIMIT: Duration = Duration::from_secs(120);
/// How long a start or a stop may take.
const SWITCH_LIMIT: Duration = Duration::from_secs(60);
/// How long to wait for the backends of a killed server to end.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(20);
/// The longest path of a Unix socket that every supported system accepts, in bytes.
const SOCKET_PATH_MAX_BYTES: usize = 100;

/// Why the private server could not be started, stopped or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Postgres binaries were found; the text is the one line that installs them.
    #[error("no Postgres server was found; install one with: {0}")]
    NotInstalled(&'static str),
    /// Root may not run Postgres, and neither `postgres` nor `nobody` exists.
    #[error("running as root, and neither the account `postgres` nor `nobody` exists")]
    NoAccount,
    /// The directory holds something else.
    #[error("{0} is not empty and holds no private Postgres server")]
    Occupied(PathBuf),
    /// The directory belongs to somebody else.
    #[error("{0} is not a directory of the account that runs Postgres")]
    Foreign(PathBuf),
    /// A database name that is not a lower-case identifier.
    #[error("{0:?} is no database name: use a to z, 0 to 9 and _, a letter first, at most 63 characters")]
    DatabaseName(String),
    /// Backends of a killed server do not end.
    #[error("processes of a killed Postgres server still work in {0}")]
    Leftover(PathBuf),
    /// Another `start` or `stop` holds the lock.
    #[error("another command has held {0} for {1} seconds")]
    Locked(PathBuf, u64),
    /// A Postgres program failed or ran out of time.
    #[error("{what}: {why}\n{log}")]
    Program {
        /// The program and what it was to do.
        what: &'static str,
        /// Its exit status, or the deadline it missed.
        why: String,
        /// The end of what it printed.
        log: String,
    },
    /// The running server refused a database command.
    #[error("the private Postgres server refused: {0}")]
    Database(#[from] sqlx::Error),
    /// A file of the server could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::File { path: path.to_owned(), source }
}

/// A running private server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The loopback TCP port.
    pub port: u16,
    /// The process id of the postmaster.
    pub pid: u32,
    /// Where the server's files are: data, log, password, socket.
    pub home: PathBuf,
    password: String,
}

impl Running {
    /// The connection URL of `database`, password included.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{OWNER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The connection URL of the database `marque`.
    pub fn default_url(&self) -> String {
        self.url(OWNER)
    }
}

/// The server's directory when none is given: `$XDG_STATE_HOME/marque/postgres`, else `~/.local/state/marque/postgres`.
/// `None` where neither `XDG_STATE_HOME` nor `HOME` is an absolute path.
pub fn default_dir() -> Option<PathBuf> {
    let absolute = |name| crate::environment::variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("marque/postgres"))
}

/// The URL of the database `marque` in the private server of `dir`, if that server runs.
pub fn running_url(dir: &Path) -> Option<String> {
    status(dir).ok().flatten().map(|running| running.default_url())
}

/// Says whether the private server of `dir` runs, and where.
///
/// # Errors
/// Returns an error where the server's files exist but cannot be read.
pub fn status(dir: &Path) -> Result<Option<Running>, Error> {
    match located(dir)? {
        Some(home) => running_in(&home),
        None => Ok(None),
    }
}

/// Starts the private server of `dir` unless it runs already, and creates those of `databases` that are missing.
/// The database `marque` always exists afterwards. Without `port` the server keeps its last port if that is free,
/// and takes a random one otherwise.
///
/// # Errors
/// Returns an error where no binaries are found, the directory cannot be used, or a program fails or is too slow.
pub async fn start(dir: &Path, port: Option<u16>, databases: &[String]) -> Result<Running, Error> {
    if let Some(bad) = databases.iter().find(|name| !is_database_name(name)) {
        return Err(Error::DatabaseName(bad.clone()));
    }
    let account = Account::choose()?;
    let home = claim_home(dir, &account)?;
    let lock = lock(&home)?;
    let running = match running_in(&home)? {
        Some(running) => running,
        None => boot(&home, &account, port)?,
    };
    for name in std::iter::once(OWNER).chain(databases.iter().map(String::as_str)) {
        let url = running.url(name);
        if !sqlx::Postgres::database_exists(&url).await? {
            sqlx::Postgres::create_database(&url).await?;
        }
    }
    drop(lock);
    Ok(running)
}

/// Stops the private server of `dir`; says whether one was running.
///
/// # Errors
/// Returns an error where the server does not end within its deadline.
pub fn stop(dir: &Path) -> Result<bool, Error> {
    let Some(home) = located(dir)? else {
        return Ok(false);
    };
    let _lock = lock(&home)?;
    if running_in(&home)?.is_none() {
        return Ok(false);
    }
    let account = Account::choose()?;
    let binaries = Binaries::find(&account)?;
    let mut pg_ctl = command::new(&binaries.pg_ctl(), &account, &home);
    pg_ctl.args(["stop", "--mode=fast", "--wait", "--timeout=45", "--pgdata"]).arg(home.join("data"));
    command::run("stopping Postgres", pg_ctl, &home, SWITCH_LIMIT)?;
    Ok(true)
}

/// Initializes the data where there are none, and starts the server.
fn boot(home: &Path, account: &Account, port: Option<u16>) -> Result<Running, Error> {
    let binaries = Binaries::find(account)?;
    let data = home.join("data");
    if !data.join("PG_VERSION").exists() {
        initialize(home, account, &binaries)?;
    }
    remove_stale_locks(home)?;
    start_new_log(home)?;
    let port = port.map_or_else(|| choose_port(home), Ok)?;
    let mut pg_ctl = command::new(&binaries.pg_ctl(), account, home);
    pg_ctl.args(["start", "--wait", "--timeout=45", "--pgdata"]).arg(&data);
    pg_ctl.arg("--log").arg(home.join("log")).arg("--options").arg(options(home, port)?);
    command::run("starting Postgres", pg_ctl, home, SWITCH_LIMIT)?;
    fs::write(home.join("port"), port.to_string()).map_err(at(home))?;
    running_in(home)?.ok_or_else(|| Error::Program {
        what: "starting Postgres",
        why: "it ended at once".to_owned(),
        log: command::tail(&home.join("log")),
    })
}

/// Runs `initdb` beside the final place, so that an interrupted run leaves no half-made data directory behind.
fn initialize(home: &Path, account: &Account, binaries: &Binaries) -> Result<(), Error> {
    let (fresh, data, password) = (home.join("data.new"), home.join("data"), home.join("password"));
    for leftover in [&fresh, &data] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(at(leftover))?;
        }
    }
    write_password(&password, account)?;
    let mut initdb = command::new(&binaries.initdb(), account, home);
    initdb.args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--username", OWNER, "--pwfile"]);
    initdb.arg(&password).arg("--pgdata").arg(&fresh);
    command::run("initdb", initdb, home, INITDB_LIMIT)?;
    fs::rename(&fresh, &data).map_err(at(&data))
}

fn write_password(path: &Path, account: &Account) -> Result<(), Error> {
    let mut random = [0_u8; 24];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| at(path)(io::Error::other("no random numbers")))?;
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(at(path))?;
    file.write_all(BASE64_URL_SAFE_NO_PAD.encode(random).as_bytes()).map_err(at(path))?;
    account.give(path)
}

/// Keeps one earlier log, so that the end of the log always speaks of this start.
fn start_new_log(home: &Path) -> Result<(), Error> {
    let log = home.join("log");
    match fs::rename(&log, home.join("log.old")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&log)(error)),
        _ => Ok(()),
    }
}

/// The server options that depend on the place: port, loopback address, private socket.
fn options(home: &Path, port: u16) -> Result<String, Error> {
    let socket = home.join("socket");
    let directory = if socket.as_os_str().len() + "/.s.PGSQL.65535.lock".len() <= SOCKET_PATH_MAX_BYTES {
        socket.to_str().filter(|path| path.bytes().all(is_plain)).unwrap_or_default()
    } else {
        ""
    };
    Ok(format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{directory}'"))
}

/// Says whether `byte` means itself in a shell word and in a Postgres list.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte)
}

/// The last port, where it is free, else a random free one.
fn choose_port(home: &Path) -> Result<u16, Error> {
    let last = fs::read_to_string(home.join("port")).ok().and_then(|text| text.parse::<u16>().ok());
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    last.map(free).and_then(Result::ok).map_or_else(|| free(0), Ok).map(|address| address.port()).map_err(at(home))
}

/// Reads `postmaster.pid`: line 1 is the process id, line 4 the port. `None` unless that process is this server.
fn running_in(home: &Path) -> Result<Option<Running>, Error> {
    let data = home.join("data");
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return Ok(None);
    };
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.trim().parse().ok());
    let port = lines.nth(2).and_then(|line| line.trim().parse().ok());
    let (Some(pid), Some(port)) = (pid, port) else {
        return Ok(None);
    };
    if !serves(pid, &data) {
        return Ok(None);
    }
    let file = home.join("password");
    let password = fs::read_to_string(&file).map_err(at(&file))?;
    Ok(Some(Running { port, pid, home: home.to_owned(), password }))
}

/// Says whether process `pid` is a Postgres server on `data`: a process id outlives its process in a pid file.
fn serves(pid: u32, data: &Path) -> bool {
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(line) => line.split(|byte| *byte == 0).any(|word| word == data.as_os_str().as_encoded_bytes()),
        Err(_) if Path::new("/proc/self").exists() => false,
        Err(_) => {
            i32::try_from(pid).is_ok_and(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok())
        }
    }
}

/// Removes what a killed server left: its pid file and socket lock name a process that is not this server any more.
/// The pid file is also Postgres's guard against old backends, so their end is awaited first.
fn remove_stale_locks(home: &Path) -> Result<(), Error> {
    let data = home.join("data");
    let deadline = Instant::now() + LEFTOVER_LIMIT;
    while works_in(&data) {
        if Instant::now() >= deadline {
            return Err(Error::Leftover(data));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let socket = home.join("socket");
    let locks = fs::read_dir(&socket).map_err(at(&socket))?.flatten().map(|entry| entry.path());
    for file in locks.chain([data.join("postmaster.pid")]) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&file)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Says whether any process works in `data`, as every Postgres backend does. Where there is no `/proc`, none is seen.
fn works_in(data: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == data))
}

fn is_database_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests;
