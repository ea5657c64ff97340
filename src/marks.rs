//! What this server saw of its database, kept in a file outside of it: one line of JSON, written anew each second.

use marque_core::mark::Mark;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// The marks of one server. Without a file they last as long as the server runs.
pub struct Marks {
    file: Option<PathBuf>,
    kept: Mutex<Kept>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    server_id: Uuid,
    realms: BTreeMap<String, Mark>,
}

impl Marks {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file: whoever starts without it takes any database for the right one.
    pub fn open(file: Option<&Path>, new_server_id: Uuid) -> io::Result<Self> {
        let fresh = Kept { server_id: new_server_id, realms: BTreeMap::new() };
        let kept = match file.map(fs::read) {
            None => fresh,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => fresh,
            Some(read) => serde_json::from_slice(&read?)?,
        };
        Ok(Self { file: file.map(Path::to_path_buf), kept: Mutex::new(kept) })
    }

    /// Holds the file for this server, until what is answered is dropped: two with one file would have one row.
    ///
    /// # Errors
    /// When another server holds it, or the lock beside it (`.lock`) cannot be made.
    pub fn hold(&self) -> io::Result<Option<File>> {
        let Some(file) = &self.file else { return Ok(None) };
        let beside = file.with_added_extension("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(beside)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::Error(error)) => Err(error),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::other("another server uses it: each needs a file of its own"))
            }
        }
    }

    /// The server's own id in rows.
    pub fn server_id(&self) -> Uuid {
        self.kept().server_id
    }

    /// What was seen last of a realm.
    pub fn of(&self, realm: &str) -> Option<Mark> {
        self.kept().realms.get(realm).cloned()
    }

    /// The epoch in which a realm's feed was seen last.
    pub fn epoch(&self, realm: &str) -> Option<String> {
        self.kept().realms.get(realm).map(|mark| mark.epoch.clone())
    }

    /// Notes what was seen of a realm.
    pub fn note(&self, realm: &str, mark: Mark) {
        self.kept().realms.insert(realm.into(), mark);
    }

    /// Writes the file anew; returns once it is on disk. A reader finds the former one or this one, and nothing between.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = serde_json::to_vec(&*self.kept())?;
        let new = file.with_added_extension("new");
        let mut written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        written.write_all(&text)?;
        written.sync_all()?;
        fs::rename(&new, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use marque_core::mark::Place;
    use std::os::unix::fs::PermissionsExt;

    fn mark(beat: i64) -> Mark {
        let place = Place { identity: "a".into(), timeline: 1, is_synchronous: false };
        Mark { epoch: "e".into(), seq: 0, beat, at: 0, place }
    }

    #[test]
    fn what_was_saved_is_there_again_and_for_nobody_else() {
        let folder = std::env::temp_dir().join(format!("marque-marks-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let file = folder.join("mark.json");
        let marks = Marks::open(Some(&file), Uuid::from_u128(1)).unwrap();
        assert_eq!(marks.of("demo"), None);
        for beat in [1, 2] {
            marks.note("demo", mark(beat));
            marks.save().unwrap();
            let again = Marks::open(Some(&file), Uuid::from_u128(2)).unwrap();
            assert_eq!((again.of("demo"), again.server_id()), (Some(mark(beat)), Uuid::from_u128(1)));
        }
        let held = marks.hold().unwrap();
        let other = Marks::open(Some(&file), Uuid::from_u128(3)).unwrap();
        assert!(other.hold().is_err_and(|error| error.to_string().contains("another server")));
        drop(held);
        assert!(other.hold().unwrap().is_some());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "{").unwrap();
        assert!(Marks::open(Some(&file), Uuid::from_u128(1)).is_err(), "a broken file is no missing one");
        fs::remove_dir_all(&folder).unwrap();
    }
}
