//! These start real servers, each in a directory of its own.

use std::os::unix::fs::PermissionsExt;

use super::*;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("marque-test-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    fn server(&self) -> PathBuf {
        self.0.join("postgres")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stopped = stop(&self.server());
        fs::remove_dir_all(&self.0).unwrap();
        stopped.unwrap();
    }
}

#[tokio::test]
async fn starts_once_creates_databases_and_stops() {
    let place = Place::new("start");
    let dir = place.server();
    assert_eq!(running_url(&dir), None);
    let first = start(&dir, None, &["demo_1".to_owned()]).await.unwrap();
    let second = start(&dir, None, &["demo_1".to_owned()]).await.unwrap();
    assert_eq!(first, second);
    assert!(sqlx::Postgres::database_exists(&first.url("demo_1")).await.unwrap());
    assert_eq!(running_url(&dir), Some(first.default_url()));
    assert!(stop(&dir).unwrap());
    assert!(!stop(&dir).unwrap());
    assert_eq!(running_url(&dir), None);
    assert_eq!(start(&dir, None, &[]).await.unwrap().port, first.port);
}

#[tokio::test]
async fn asks_for_the_password_and_keeps_it_private() {
    let place = Place::new("password");
    let running = start(&place.server(), None, &[]).await.unwrap();
    let wrong = running.default_url().replace(&running.password, "wrong");
    assert!(sqlx::Postgres::database_exists(&wrong).await.is_err());
    let mode = fs::metadata(running.home.join("password")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn starts_again_after_a_kill_and_after_its_process_id_was_reused() {
    let place = Place::new("stale");
    let dir = place.server();
    let running = start(&dir, None, &[]).await.unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while running_url(&dir).is_some() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let again = start(&dir, None, &[]).await.unwrap();
    assert_ne!(again.pid, running.pid);
    assert!(stop(&dir).unwrap());
    let stale = format!("{}\n{}\n0\n{}\n", std::process::id(), dir.display(), again.port);
    fs::write(dir.join("data/postmaster.pid"), stale).unwrap();
    assert_eq!(status(&dir).unwrap(), None);
    start(&dir, None, &[]).await.unwrap();
}

#[tokio::test]
async fn refuses_a_directory_that_holds_something_else() {
    let place = Place::new("occupied");
    fs::write(place.0.join("letter"), "mine").unwrap();
    assert!(matches!(start(&place.0, None, &[]).await, Err(Error::Occupied(_))));
}

#[tokio::test]
async fn refuses_database_names_that_would_need_quoting() {
    for name in ["", "1a", "A", "a-b", "a\"b", "ä"] {
        let refused = start(Path::new("/nonexistent"), None, &[name.to_owned()]).await;
        assert!(matches!(refused, Err(Error::DatabaseName(_))), "{name}");
    }
}
