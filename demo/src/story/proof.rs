//! What can be shown afterwards, offline.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::Story;
use crate::agent::Submission;
use crate::{Result, about};

/// How long a command of `marque` may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Positions in the evidence file at which one byte is changed.
const FLIPS: usize = 64;
/// Commands that run at once.
const PARALLEL: usize = 4;

impl Story<'_> {
    pub(super) async fn prove(&mut self, submission: &Submission) -> Result<()> {
        let (evidence, trust) = (self.stack.place.dir.join("evidence.json"), self.stack.place.dir.join("trust.json"));
        self.export(&["evidence", "export", &submission.intent_id], &evidence).await?;
        self.export(&["trust", "export"], &trust).await?;
        let digest = fs::read(&evidence).map_err(about(evidence.display()))?;
        let file: Value = serde_json::from_slice(&digest)?;
        let holds = file.pointer("/payload/plan_digest").and_then(Value::as_str) == Some(&submission.plan_digest);
        self.line(holds, format!("the evidence is about exactly this plan: {}", evidence.display()));

        let pinned = self.verify(&evidence, Some(&trust)).await?;
        let named = pinned.text.contains(&self.stack.env.user.username) && !pinned.text.contains("unanchored");
        self.line(
            pinned.code == Some(0) && named,
            "marque evidence verify --trust: the pinned realm's Alice signed it with her passkey",
        );
        let loose = self.verify(&evidence, None).await?;
        self.line(loose.code == Some(0) && loose.text.contains("unanchored"), "without --trust it says unanchored");
        let foreign = self.foreign_trust(&trust)?;
        let other = self.verify(&evidence, Some(&foreign)).await?;
        fs::remove_file(&foreign)?;
        self.line(other.code == Some(1), "with another realm's key pinned it fails");
        let failed = self.flip(&evidence, &trust).await?;
        self.line(failed == FLIPS, format!("{failed} of {FLIPS} copies with one changed byte fail"));
        Ok(())
    }

    fn marque(&self) -> Command {
        Command::new(self.stack.place.programs.join("marque"))
    }

    async fn export(&self, what: &[&str], file: &Path) -> Result<()> {
        let mut export = self.marque();
        export.args(what).arg("--config").arg(self.stack.place.dir.join("marque.toml")).arg("-o").arg(file);
        export.env("DATABASE_URL", &self.stack.database);
        self.processes.run("export", export, COMMAND_LIMIT).await.map(drop)
    }

    async fn verify(&self, evidence: &Path, trust: Option<&Path>) -> Result<Verdict> {
        verdict(verification(self.marque(), evidence, trust)).await
    }

    /// The trust file with Marque's keys in the place of the realm's.
    fn foreign_trust(&self, trust: &Path) -> Result<PathBuf> {
        let mut pins: Value = serde_json::from_slice(&fs::read(trust)?)?;
        let keys = pins.pointer("/marque/jwks").cloned().ok_or("the trust file has no keys of Marque")?;
        *pins.pointer_mut("/realm/jwks").ok_or("the trust file has no keys of the realm")? = keys;
        let file = trust.with_extension("foreign");
        fs::write(&file, pins.to_string())?;
        Ok(file)
    }

    /// How many of the copies with one changed byte are refused, at positions spread over the file.
    async fn flip(&self, evidence: &Path, trust: &Path) -> Result<usize> {
        let bytes = fs::read(evidence)?;
        let mut checks = JoinSet::new();
        let mut failed = 0;
        for index in 0..FLIPS {
            let mut copy = bytes.clone();
            let at = index * (bytes.len() - 1) / (FLIPS - 1);
            *copy.get_mut(at).ok_or("the evidence is empty")? ^= 1;
            let file = evidence.with_extension(format!("flip{index}"));
            fs::write(&file, copy)?;
            let command = verification(self.marque(), &file, Some(trust));
            if checks.len() >= PARALLEL {
                failed += usize::from(checks.join_next().await.ok_or("no check runs")???);
            }
            checks.spawn(async move {
                let verdict = verdict(command).await;
                fs::remove_file(&file)?;
                verdict.map(|verdict| verdict.code == Some(1))
            });
        }
        while let Some(check) = checks.join_next().await {
            failed += usize::from(check??);
        }
        Ok(failed)
    }
}

/// How `marque evidence verify` ended and what it said.
struct Verdict {
    code: Option<i32>,
    text: String,
}

fn verification(mut marque: Command, evidence: &Path, trust: Option<&Path>) -> Command {
    marque.args(["evidence", "verify"]).arg(evidence).env_clear().kill_on_drop(true);
    if let Some(trust) = trust {
        marque.arg("--trust").arg(trust);
    }
    marque
}

async fn verdict(mut command: Command) -> Result<Verdict> {
    let output = tokio::time::timeout(COMMAND_LIMIT, command.output()).await??;
    let text = [output.stdout, output.stderr].concat();
    Ok(Verdict { code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() })
}
