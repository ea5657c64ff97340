//! The account that runs Postgres: the caller's own, or an unprivileged one when the caller is root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{User, geteuid};

use super::{Error, at};

/// A user and group id that Postgres runs under.
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    is_other: bool,
}

impl Account {
    /// The caller's account, or `postgres`, or `nobody` where the caller is root: Postgres refuses to run as root.
    pub(super) fn choose() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self { uid: geteuid().as_raw(), gid: nix::unistd::getegid().as_raw(), is_other: false });
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map(|user| Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), is_other: true })
            .ok_or(Error::NoAccount)
    }

    /// Says whether programs have to be started under another account than the caller's.
    pub(super) fn is_other(&self) -> bool {
        self.is_other
    }

    /// Makes `path` belong to this account.
    pub(super) fn give(&self, path: &Path) -> Result<(), Error> {
        if !self.is_other {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid)).map_err(at(path))
    }

    /// Says whether `path` is a directory of this account; a symbolic link is not.
    pub(super) fn is_owner(&self, path: &Path) -> Result<bool, Error> {
        let found = fs::symlink_metadata(path).map_err(at(path))?;
        Ok(found.is_dir() && found.uid() == self.uid)
    }

    /// Says whether `path` is a directory of the caller, who may hand it over; a symbolic link is not.
    pub(super) fn may_take(&self, path: &Path) -> Result<bool, Error> {
        let found = fs::symlink_metadata(path).map_err(at(path))?;
        Ok(found.is_dir() && found.uid() == geteuid().as_raw())
    }

    /// Says whether this account may enter every directory above `path`.
    pub(super) fn can_reach(&self, path: &Path) -> Result<bool, Error> {
        let real = fs::canonicalize(path).map_err(at(path))?;
        for above in real.ancestors().skip(1) {
            let found = fs::metadata(above).map_err(at(above))?;
            let shift = match (found.uid() == self.uid, found.gid() == self.gid) {
                (true, _) => 6,
                (false, true) => 3,
                (false, false) => 0,
            };
            if (found.mode() >> shift) & 1 == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
