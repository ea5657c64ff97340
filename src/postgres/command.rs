//! Runs a Postgres program under the chosen account, with a deadline.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::account::Account;
use super::{Error, at};

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 30;

/// A command in `home` under `account`, with an environment that holds no Postgres setting of the caller.
pub(super) fn new(program: &Path, account: &Account, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(home).stdin(Stdio::null());
    if account.is_other() {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Runs `command` to its end; its output goes into the file `output` of `home`.
pub(super) fn run(what: &'static str, mut command: Command, home: &Path, limit: Duration) -> Result<(), Error> {
    let output = home.join("output");
    let file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&output).map_err(at(&output))?;
    let copy = file.try_clone().map_err(at(&output))?;
    let mut child = command.stdout(file).stderr(copy).spawn().map_err(at(Path::new(command.get_program())))?;
    let deadline = Instant::now() + limit;
    let why = loop {
        match child.try_wait().map_err(at(&output))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => break said(status),
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            None => {
                child.kill().and_then(|()| child.wait()).map_err(at(&output))?;
                break format!("not done after {} seconds", limit.as_secs());
            }
        }
    };
    Err(Error::Program { what, why, log: format!("{}{}", tail(&output), tail(&home.join("log"))) })
}

fn said(status: ExitStatus) -> String {
    format!("it ended with {status}")
}

/// The last lines of a file, or nothing where it cannot be read.
pub(super) fn tail(path: &Path) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    lines.iter().skip(skipped).map(|line| format!("  {line}\n")).collect()
}
