//! Where a stack lives: its folders and its ports.

use std::path::{Path, PathBuf};

use crate::{Result, about};

/// The realm of the demonstration, at Keycloak and at Marque.
pub const REALM: &str = "demo";
/// The person who approves.
pub const USER: &str = "alice";

/// The ports of one stack: fixed distances from a base.
#[derive(Debug, Clone, Copy)]
pub struct Ports(u16);

impl Ports {
    /// The ports above `base`; they end at `base + 20`.
    pub fn new(base: u16) -> Option<Self> {
        (1024..=u16::MAX - 20).contains(&base).then_some(Self(base))
    }

    pub(crate) fn marque(self) -> u16 {
        self.0
    }

    pub(crate) fn management(self) -> u16 {
        self.0 + 1
    }

    pub(crate) fn resource_server(self) -> u16 {
        self.0 + 2
    }

    pub(crate) fn worker(self) -> u16 {
        self.0 + 3
    }

    pub(crate) fn keycloak(self) -> u16 {
        self.0 + 10
    }

    pub(crate) fn keycloak_management(self) -> u16 {
        self.0 + 11
    }

    pub(crate) fn postgres(self) -> u16 {
        self.0 + 20
    }

    pub(crate) fn all(self) -> [u16; 7] {
        [
            self.marque(),
            self.management(),
            self.resource_server(),
            self.worker(),
            self.keycloak(),
            self.keycloak_management(),
            self.postgres(),
        ]
    }
}

/// The base URL of `port` on this machine.
pub(crate) fn url(port: u16) -> String {
    format!("http://localhost:{port}")
}

/// The folders of one stack.
#[derive(Debug, Clone)]
pub struct Place {
    /// The project.
    pub root: PathBuf,
    /// Everything that belongs to this stack.
    pub dir: PathBuf,
    /// The compiled programs.
    pub programs: PathBuf,
}

impl Place {
    /// The place of the stack in `dir`, `target/demo` of the project unless given.
    ///
    /// # Errors
    /// Returns an error where the folder cannot be made or the running program's own cannot be found.
    pub fn new(dir: Option<&Path>) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the project has no folder")?.to_owned();
        let dir = dir.map_or_else(|| root.join("target/demo"), Path::to_owned);
        std::fs::create_dir_all(&dir).map_err(about(dir.display()))?;
        let dir = dir.canonicalize().map_err(about(dir.display()))?;
        let program = std::env::current_exe()?;
        let programs = program.parent().ok_or("the running program has no folder")?.to_owned();
        Ok(Self { root, dir, programs })
    }

    /// The file that tells others where the running stack is.
    pub fn env_file(&self) -> PathBuf {
        self.dir.join("env.json")
    }
}
