//! Starts the parts of a stack and ends every one of them, by id.
//!
//! Each part runs in a process group of its own, so that Ctrl-C reaches this program alone, which then ends them in
//! order. A record in `pids` outlives this program: a later command ends what an earlier one started. Every part also
//! carries a mark in its environment, because a browser leaves the group of the program that started it.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::{Result, about};

/// How long a part may take to end by itself.
const GRACE: Duration = Duration::from_secs(20);
/// How long a killed part may take to disappear.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How often the state of a part is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// The environment variable with the mark.
const MARK: &str = "MARQUE_DEMO_PART";
/// How many lines of a log a failure shows.
const TAIL_LINES: usize = 40;

/// The records and logs of one stack's parts.
#[derive(Debug, Clone)]
pub(crate) struct Processes {
    dir: PathBuf,
}

/// A part that was started by this program.
pub(crate) struct Part {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Processes {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        for folder in ["pids", "logs"] {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder).map_err(about(folder.display()))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Starts `command`; what it prints goes into the log of `name`.
    pub(crate) fn start(&self, name: &'static str, mut command: Command) -> Result<Part> {
        let log = self.dir.join("logs").join(format!("{name}.log"));
        let mut private = File::options();
        private.write(true).create(true).truncate(true).mode(0o600);
        let output = private.open(&log).map_err(about(log.display()))?;
        let errors = output.try_clone().map_err(about(log.display()))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).env(MARK, self.mark(name));
        let program = command.as_std().get_program().to_owned();
        let child = command.spawn().map_err(about(program.display()))?;
        let part = Part { name, log, child };
        let id = part.child.id().ok_or_else(|| part.failure("ended at once"))?;
        let record = self.record(name);
        fs::write(&record, format!("{id} {}", boot_id())).map_err(about(record.display()))?;
        Ok(part)
    }

    /// Runs `command` to its end, which must be a success and come within `limit`. Returns what it printed.
    pub(crate) async fn run(&self, name: &'static str, command: Command, limit: Duration) -> Result<String> {
        let mut part = self.start(name, command)?;
        let ended = tokio::time::timeout(limit, part.child.wait()).await;
        self.stop(name).await?;
        match ended {
            Ok(status) if status.as_ref().is_ok_and(|status| status.success()) => Ok(fs::read_to_string(&part.log)?),
            Ok(status) => Err(part.failure(&format!("ended with {}", status?)).into()),
            Err(_) => Err(part.failure(&format!("was not done after {} s", limit.as_secs())).into()),
        }
    }

    /// Removes the log of `name`, which holds a secret.
    pub(crate) fn remove_log(&self, name: &str) -> Result<()> {
        let log = self.dir.join("logs").join(format!("{name}.log"));
        fs::remove_file(&log).map_err(about(log.display()))
    }

    /// Lets the part `name` come to its own end, if one is recorded, for at most `limit`.
    pub(crate) async fn finish(&self, name: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !self.alive(name).is_empty() && Instant::now() < deadline {
            sleep(PAUSE).await;
        }
        self.stop(name).await
    }

    /// Ends the part `name`, if one is recorded, and everything it started.
    pub(crate) async fn stop(&self, name: &str) -> Result<()> {
        for (signal, limit) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, KILL_LIMIT)] {
            let deadline = Instant::now() + limit;
            for id in self.alive(name) {
                // It may have ended since: the loop below sees that.
                let _ = kill(Pid::from_raw(id), signal);
            }
            while !self.alive(name).is_empty() && Instant::now() < deadline {
                sleep(PAUSE).await;
            }
        }
        let left = self.alive(name);
        if !left.is_empty() {
            return Err(format!("{name} does not end: processes {left:?}").into());
        }
        let record = self.record(name);
        match fs::remove_file(&record) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(about(record.display())(error)),
            _ => Ok(()),
        }
    }

    /// The living processes of the recorded part `name`.
    fn alive(&self, name: &str) -> Vec<i32> {
        let Ok(record) = fs::read_to_string(self.record(name)) else { return Vec::new() };
        let group = record.split_once(' ').filter(|(_, boot)| *boot == boot_id()).and_then(|(id, _)| id.parse().ok());
        alive(group, &format!("{MARK}={}", self.mark(name)))
    }

    /// The names of the recorded parts.
    pub(crate) fn recorded(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join("pids")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn record(&self, name: &str) -> PathBuf {
        self.dir.join("pids").join(name)
    }

    fn mark(&self, name: &str) -> String {
        format!("{}/{name}", self.dir.display())
    }
}

impl Part {
    /// Waits until `url` answers 200.
    pub(crate) async fn ready(&mut self, http: &reqwest::Client, url: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("ended with {status}")).into());
            }
            let answer = http.get(url).timeout(Duration::from_secs(2)).send().await;
            let answer = match answer {
                Ok(answer) if answer.status() == 200 => return Ok(()),
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.without_url().to_string(),
            };
            if Instant::now() >= deadline {
                let why = format!("was not ready after {} s ({url}: {answer})", limit.as_secs());
                return Err(self.failure(&why).into());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn failure(&self, why: &str) -> String {
        format!("{} {why}; the end of {}:\n{}", self.name, self.log.display(), tail(&self.log))
    }
}

/// One process as `/proc` shows it.
struct Process {
    id: i32,
    group: i32,
    is_zombie: bool,
}

/// All processes. A zombie counts as ended: nothing but its parent can remove it.
fn processes() -> impl Iterator<Item = Process> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let is_zombie = fields.next()? == "Z";
        Some(Process { id, group: fields.nth(1)?.parse().ok()?, is_zombie })
    })
}

/// The living processes that carry the mark, and those of the group. A group whose leader lives without the mark is
/// not the recorded one any more: the id was given out again.
fn alive(group: Option<i32>, mark: &str) -> Vec<i32> {
    let group = group.filter(|leader| has_mark(*leader, mark) || !Path::new(&format!("/proc/{leader}")).exists());
    processes()
        .filter(|process| !process.is_zombie && (Some(process.group) == group || has_mark(process.id, mark)))
        .map(|process| process.id)
        .collect()
}

fn has_mark(id: i32, mark: &str) -> bool {
    fs::read(format!("/proc/{id}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()))
}

/// Names this run of the machine, so that a record from before a restart ends nothing.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    lines.iter().skip(skipped).map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell that leaves one child in its group and one in a group of its own, and waits for both.
    fn family() -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 300 & setsid sleep 300 & wait"]);
        shell
    }

    fn fresh(name: &str) -> (PathBuf, Processes) {
        let dir = std::env::temp_dir().join(format!("marque-demo-{name}-{}", std::process::id()));
        let processes = Processes::open(&dir).unwrap();
        (dir, processes)
    }

    #[tokio::test]
    async fn ends_a_part_with_everything_it_started() {
        let (dir, processes) = fresh("family");
        let mut part = processes.start("family", family()).unwrap();
        let deadline = Instant::now() + GRACE;
        while processes.alive("family").len() < 3 && Instant::now() < deadline {
            sleep(PAUSE).await;
        }
        let ids = processes.alive("family");
        assert_eq!(ids.len(), 3);
        processes.stop("family").await.unwrap();
        part.child.wait().await.unwrap();
        assert!(!ids.iter().any(|id| has_mark(*id, &format!("{MARK}={}", processes.mark("family")))));
        assert_eq!(processes.recorded(), Vec::<String>::new());
        fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn leaves_a_foreign_process_with_a_recorded_id_alone() {
        let (dir, processes) = fresh("foreign");
        let mut foreign = Command::new("sleep").arg("300").process_group(0).kill_on_drop(true).spawn().unwrap();
        fs::write(processes.record("part"), format!("{} {}", foreign.id().unwrap(), boot_id())).unwrap();
        processes.stop("part").await.unwrap();
        assert_eq!(foreign.try_wait().unwrap(), None);
        fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn shows_the_end_of_the_log_of_what_fails_or_is_too_slow() {
        let (dir, processes) = fresh("failure");
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo the reason; exit 3"]);
        let failure = processes.run("failing", failing, GRACE).await.unwrap_err().to_string();
        assert!(failure.contains("exit status: 3") && failure.contains("the reason"), "{failure}");
        let slow = processes.run("slow", family(), Duration::from_millis(100)).await.unwrap_err().to_string();
        assert!(slow.contains("not done after 0 s"), "{slow}");
        assert_eq!(processes.recorded(), Vec::<String>::new());
        fs::remove_dir_all(dir).unwrap();
    }
}
