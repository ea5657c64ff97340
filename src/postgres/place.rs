//! The directory of a private server: found or claimed, private, and locked while it changes.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::account::Account;
use super::{Error, at};

/// How long to wait for another `start` or `stop` of the same server.
const LOCK_LIMIT: Duration = Duration::from_secs(180);

/// The directory that holds the server's files, without creating anything. `None` where there is no server.
pub(super) fn located(dir: &Path) -> Result<Option<PathBuf>, Error> {
    let Ok(dir) = dir.canonicalize() else { return Ok(None) };
    let file = dir.join("location");
    let home = match fs::read_to_string(&file) {
        Ok(path) => PathBuf::from(path.trim_end()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => dir,
        Err(error) => return Err(at(&file)(error)),
    };
    Ok(home.join("data").exists().then_some(home))
}

/// Creates or recognizes the directory that holds the server's files; only the running account may enter it.
///
/// Its path has no `..` and no link in it: Postgres writes it down like that, and it is known again by it.
pub(super) fn claim_home(dir: &Path, account: &Account) -> Result<PathBuf, Error> {
    fs::create_dir_all(dir).map_err(at(dir))?;
    let dir = dir.canonicalize().map_err(at(dir))?;
    let home = if account.can_reach(&dir)? {
        dir
    } else {
        let home = elsewhere(&dir);
        fs::write(dir.join("location"), home.as_os_str().as_encoded_bytes()).map_err(at(&dir))?;
        home
    };
    take(&home, account)?;
    let socket = home.join("socket");
    fs::create_dir_all(&socket).map_err(at(&socket))?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o700)).map_err(at(&socket))?;
    account.give(&socket)?;
    Ok(home)
}

/// A directory below `/var/tmp` that always belongs to the same `dir`.
fn elsewhere(dir: &Path) -> PathBuf {
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new("/var/tmp").join(format!("marque-postgres-{name}"))
}

/// Makes `home` a directory of mode 700 that belongs to `account`; refuses one that is somebody else's or in use.
fn take(home: &Path, account: &Account) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(home) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(home)(error)),
        _ => {}
    }
    if !account.is_owner(home)? {
        if !account.may_take(home)? {
            return Err(Error::Foreign(home.to_owned()));
        }
        if fs::read_dir(home).map_err(at(home))?.next().is_some() {
            return Err(Error::Occupied(home.to_owned()));
        }
        account.give(home)?;
    }
    fs::set_permissions(home, fs::Permissions::from_mode(0o700)).map_err(at(home))
}

/// Holds the server's lock until the file is dropped.
pub(super) fn lock(home: &Path) -> Result<File, Error> {
    let path = home.join("lock");
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(at(&path))?;
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(100))
            }
            Err(TryLockError::WouldBlock) => return Err(Error::Locked(path, LOCK_LIMIT.as_secs())),
            Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
        }
    }
}
