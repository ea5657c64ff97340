//! Which process used how much processor time: where the time of a request goes.

use bench_keys::Failure;
use std::fs;
use std::time::Duration;

/// Processor time of the three parties so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// `marque serve`.
    pub server: Duration,
    /// All processes of Postgres.
    pub database: Duration,
    /// This program.
    pub client: Duration,
}

impl Times {
    /// What they have used until now.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn now(server: u32, database: u32) -> Result<Self, Failure> {
        let mut of_database = used(database)?;
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let pid: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
            if let Some(pid) = pid.filter(|pid| parent(*pid) == Some(database)) {
                of_database += used(pid).unwrap_or_default();
            }
        }
        Ok(Self { server: used(server)?, database: of_database, client: used(std::process::id())? })
    }

    /// What they have used since.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            server: self.server.saturating_sub(earlier.server),
            database: self.database.saturating_sub(earlier.database),
            client: self.client.saturating_sub(earlier.client),
        }
    }
}

/// The fields of `/proc/PID/stat` after the program's name, the process' state being the first (proc(5)).
fn fields(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

fn parent(pid: u32) -> Option<u32> {
    fields(pid)?.get(1).and_then(|parent| u32::try_from(*parent).ok())
}

/// User and system time.
fn used(pid: u32) -> Result<Duration, Failure> {
    let fields = fields(pid).ok_or_else(|| format!("process {pid} is gone"))?;
    let ticks: u64 = fields.get(11..13).ok_or("the process says nothing of its time")?.iter().sum();
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// Resident memory of a process in megabytes.
///
/// # Errors
/// When it is gone.
pub fn resident_mb(pid: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the process says nothing of its memory")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
