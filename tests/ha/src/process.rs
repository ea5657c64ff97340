//! Processes of one run: started under an account that servers accept, ended by their ids.

use bench_keys::Failure;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who servers run as: Postgres refuses root.
#[derive(Clone, Copy)]
pub struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    /// The caller, or `postgres` where the caller is root.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn choose() -> Result<Self, Failure> {
        let id = |args: &[&str]| -> Result<u32, Failure> { Ok(run(Command::new("id").args(args))?.trim().parse()?) };
        match id(&["-u"])? {
            0 => Ok(Self { ids: Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?)) }),
            _ => Ok(Self { ids: None }),
        }
    }

    /// Makes a folder that only this account enters.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_folder(&self, path: &Path) -> Result<(), Failure> {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        self.give(path)
    }

    /// Writes a file of this account's.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        self.give(path)
    }

    fn give(&self, path: &Path) -> Result<(), Failure> {
        Ok(self.ids.map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid)))?)
    }
}

/// A process. It ends with its handle.
pub struct Process(Child);

impl Process {
    /// Starts a program under an account; what it says goes to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(account: &Account, program: &str, args: &[String], log: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.args(args).current_dir("/").env("LC_ALL", "C.UTF-8");
        if let Some((uid, gid)) = account.ids {
            command.uid(uid).gid(gid).env("HOME", "/nonexistent");
        }
        Self::spawn(command, log)
    }

    /// Starts a command; what it says is added to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self, Failure> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        Ok(Self(child))
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// SIGTERM, and SIGKILL after some time.
    pub fn stop(mut self, limit: Duration) {
        self.end(limit);
    }

    fn end(&mut self, limit: Duration) {
        let _ = run(Command::new("kill").args(["-TERM", &self.0.id().to_string()]));
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.end(Duration::from_secs(20));
        }
    }
}

/// SIGKILL to a process and its children, at once.
///
/// # Errors
/// When they cannot be listed.
pub fn kill_tree(pid: u32) -> Result<(), Failure> {
    let children = Command::new("pgrep").args(["-P", &pid.to_string()]).output()?.stdout;
    let children = String::from_utf8(children)?;
    let _ = run(Command::new("kill").arg("-KILL").arg(pid.to_string()).args(children.lines()));
    Ok(())
}

/// What a command says.
///
/// # Errors
/// What it complains of.
pub fn run(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// So many loopback ports that nobody listens at.
///
/// # Errors
/// When there are none.
pub fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    let held = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    Ok(held.iter().map(TcpListener::local_addr).map(|address| address.map(|a| a.port())).collect::<Result<_, _>>()?)
}
