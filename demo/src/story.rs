//! The story: one task from the plan to the proof, told line by line, each line checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use marque_core::names::{DETAIL_STEP, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use marque_core::reason::Reason;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::agent::{Agent, Submission, TASK, redeem, step};
use crate::clients::{Answer, Exchange, Party};
use crate::processes::Processes;
use crate::stack::Stack;
use crate::{Result, about};

/// How long the scripted person may take for one decision, the start of the browser included.
const PERSON_LIMIT: Duration = Duration::from_secs(90);
/// How long the agent waits for the decision once the person has made it.
const GRANT_LIMIT: Duration = Duration::from_secs(30);
/// How long a revocation may take to reach the gate; it takes some milliseconds.
const REVOCATION_LIMIT: Duration = Duration::from_secs(1);
/// How long a command of `marque` may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Positions in the evidence file at which one byte is changed.
const FLIPS: usize = 64;
/// Commands that run at once.
const PARALLEL: usize = 4;
/// How many lines the story has: one that was not told is one that was not checked.
const LINES: u32 = 43;

/// Tells the story on a running stack, and says whether every line went as it must.
///
/// # Errors
/// When something that a line needs did not happen at all.
pub async fn run(stack: &Stack) -> Result<bool> {
    println!("\n“{TASK}”");
    let mut story = Story::new(stack)?;
    story.tell().await?;
    let complete = story.told == LINES;
    if !complete {
        println!("✘ {} lines were told, not {LINES}", story.told);
    }
    println!("\n{} of {LINES} lines went as they must", story.told - story.failed);
    Ok(complete && story.failed == 0)
}

struct Story<'s> {
    stack: &'s Stack,
    processes: Processes,
    agent: Agent,
    told: u32,
    failed: u32,
}

/// What the agent holds once the person has approved.
struct Granted {
    submission: Submission,
    intent_token: String,
    /// A transaction token for all five steps.
    token: String,
}

impl<'s> Story<'s> {
    fn new(stack: &'s Stack) -> Result<Self> {
        let (agent, processes) = (Agent::new(&stack.env)?, Processes::open(&stack.place.dir)?);
        Ok(Self { stack, processes, agent, told: 0, failed: 0 })
    }

    async fn tell(&mut self) -> Result<()> {
        let mut phase = Phase::new("1  The agent declares its plan before it acts");
        let submission = self.submit().await?;
        phase = phase.next("2  Alice reads the plan and signs it with one gesture");
        self.approve(&submission).await?;
        phase = phase.next("3  The agent gets an intent token, bound to its key");
        let intent_token = self.redeem(&submission).await?;
        let token = self.agent.transaction_token(&intent_token, None).await?;
        let granted = Granted { submission, intent_token, token };
        phase = phase.next("4  The worker carries out the two steps that were delegated to it");
        self.delegate(&granted).await?;
        phase = phase.next("5  The agent carries out the rest");
        self.act(&granted).await?;
        phase = phase.next("6  What Alice did not sign does not run");
        self.misuse_calls(&granted).await?;
        self.misuse_tokens(&granted).await?;
        self.misuse_exchanges(&granted).await?;
        phase = phase.next("7  Alice revokes");
        self.revoke(&granted).await?;
        phase = phase.next("8  The proof, offline");
        self.prove(&granted.submission).await?;
        phase.end();
        Ok(())
    }

    /// One line of the story.
    fn line(&mut self, holds: bool, text: impl std::fmt::Display) {
        self.told += 1;
        self.failed += u32::from(!holds);
        println!("   {} {text}", if holds { '✔' } else { '✘' });
    }

    /// A line about a refusal, which must have exactly this reason.
    fn refused(&mut self, what: &str, answer: &Answer, reason: Reason) {
        let holds = (400..500).contains(&answer.status) && answer.text("reason") == Some(reason.code());
        let description = answer.text("error_description").unwrap_or_default();
        let got = match holds {
            true => format!("{} {reason}", answer.status),
            false => format!("{} {} ({description}), not {reason}", answer.status, answer.reason()),
        };
        self.line(holds, format!("{what}: {got}"));
    }

    /// A line about a call that must have succeeded.
    fn done(&mut self, what: &str, answer: &Answer) {
        match answer.status {
            200 => self.line(true, what),
            status => self.line(false, format!("{what}: {status} {}", answer.body)),
        }
    }

    async fn submit(&mut self) -> Result<Submission> {
        let submission = self.agent.submit().await?;
        self.line(true, format!("five steps submitted as intent {}", submission.intent_id));
        let words = &submission.digest_words;
        let has_words = words.split('-').count() == 4 && !submission.plan_digest.is_empty();
        self.line(has_words, format!("the words to compare: {words}"));
        let early = self.agent.poll(&submission.intent_id).await?;
        let holds = early.status == 400 && early.text("error") == Some("authorization_pending");
        self.line(holds, format!("polled before the decision: {}", early.reason()));
        let other = Party::new(&self.stack.env, &self.stack.env.clients.worker)?;
        let foreign = redeem(&other, &submission.intent_id).await?;
        let holds = foreign.status == 400 && foreign.text("error") == Some("invalid_grant");
        self.line(holds, format!("polled by another client: {}", foreign.reason()));
        Ok(submission)
    }

    /// Runs the scripted person to the end and returns what the browser saw.
    async fn person(&self, intent_id: &str, options: &[&str]) -> Result<Value> {
        let mut approve = Command::new(self.stack.place.root.join("demo/approve"));
        approve.arg(intent_id).args(options).env("MARQUE_DEMO_ENV", self.stack.place.env_file());
        let printed = self.processes.run("person", approve, PERSON_LIMIT).await?;
        let seen = printed.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        Ok(seen.ok_or("the scripted person said nothing")?)
    }

    async fn approve(&mut self, submission: &Submission) -> Result<()> {
        let seen = self.person(&submission.intent_id, &[]).await?;
        let text = |name: &str| seen.get(name).and_then(Value::as_str).unwrap_or_default();
        let words = text("words").to_owned();
        self.line(words == submission.digest_words, format!("Keycloak's page shows the same words: {words}"));
        let lines: Vec<&str> =
            seen.get("lines").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let is_step = |line: &&&str| line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        let steps: Vec<&&str> = lines.iter().filter(is_step).collect();
        for line in &steps {
            println!("       {line}");
        }
        self.line(steps.len() == 5, format!("it shows {} steps", steps.len()));
        let outcome = text("outcome").to_owned();
        self.line(outcome == "approved", format!("Keycloak and Marque verified the gesture: {outcome}"));
        Ok(())
    }

    async fn redeem(&mut self, submission: &Submission) -> Result<String> {
        let answer = self.agent.wait(submission, GRANT_LIMIT).await?;
        let body = answer.success().map_err(about("POST /token"))?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let holds = text("token_type") == Some("N_A") && text("issued_token_type") == Some(TOKEN_TYPE_INTENT);
        self.line(holds, "polled after the decision: granted");
        let token = text("access_token").ok_or("there is no intent token")?;
        let claims = marque_core::jws::unverified_claims(token)?;
        let bound = claims.get("cnf").and_then(|cnf| cnf.get("jkt")).and_then(Value::as_str);
        self.line(bound == Some(self.agent.party.dpop.thumbprint()), "it is bound to the agent's DPoP key");
        Ok(token.to_owned())
    }

    fn worker_url(&self) -> String {
        format!("{}/work/rotate-keys", self.stack.env.worker.url)
    }

    async fn delegate(&mut self, granted: &Granted) -> Result<()> {
        let work = json!({
            "steps": [step::ROTATE_API, step::ROTATE_WORKER],
            "attempts": [{"action": "update_secret", "resource": {"type": "secret", "id": "API_KEY"}, "args": {"value_from": "svc-api"}}],
        });
        let answer = self.agent.party.post_to(&self.worker_url(), &granted.token, &work).await?;
        let report = answer.success().map_err(about("the worker"))?;
        let given = report.get("given").cloned().unwrap_or_default();
        let holds = given == json!([step::ROTATE_API, step::ROTATE_WORKER]);
        self.line(holds, format!("verified token and proof, and exchanged the token for its own hop: {given}"));
        for (index, account) in ["svc-api", "svc-worker"].into_iter().enumerate() {
            let answer = part(&report, "done", index);
            self.done(&format!("rotated the key of {account}"), &answer);
        }
        let attempt = part(&report, "attempts", 0);
        self.refused("an injected prompt makes it try a secret update", &attempt, Reason::ActionNotInPlan);
        Ok(())
    }

    async fn act(&mut self, granted: &Granted) -> Result<()> {
        let (party, token) = (&self.agent.party, &granted.token);
        let listed = party.call(token, &self.agent.list()).await?;
        let again = party.call(token, &self.agent.list()).await?;
        let api = party.call(token, &self.agent.update("API_KEY", "svc-api")).await?;
        let swapped = self.swap(granted).await?;
        let worker = party.call(token, &self.agent.update("WORKER_KEY", "svc-worker")).await?;
        let rotations = |answer: &Answer| answer.body.pointer("/service_accounts/0/rotations").cloned();
        self.done(
            &format!(
                "listed the service accounts; svc-api was rotated {} time",
                rotations(&listed).unwrap_or_default()
            ),
            &listed,
        );
        self.done("listed them again: a read that Alice left uncounted", &again);
        self.done("updated secret API_KEY", &api);
        self.refused(
            "a middleman swaps WORKER_KEY's source for another that the plan allows",
            &swapped,
            Reason::CallDigestMismatch,
        );
        self.done("updated secret WORKER_KEY", &worker);
        Ok(())
    }

    /// One allowed value in the proof, another allowed value in the request.
    async fn swap(&self, granted: &Granted) -> Result<Answer> {
        let (party, agent) = (&self.agent.party, &self.agent);
        let (meant, sent) = (agent.update("WORKER_KEY", "svc-worker"), agent.update("WORKER_KEY", "svc-api"));
        let proof = party.prove_call(&granted.token, &meant)?;
        party.send(&granted.token, &proof, &sent).await
    }

    async fn misuse_calls(&mut self, granted: &Granted) -> Result<()> {
        let (agent, token) = (&self.agent, &granted.token);
        let narrow = agent.transaction_token(&granted.intent_token, Some(&[step::UPDATE_API])).await?;
        let calls = [
            ("a secret outside the plan", token, agent.update("BILLING_KEY", "svc-billing"), Reason::ResourceNotInPlan),
            (
                "the right action with another secret's name",
                &narrow,
                agent.update("WORKER_KEY", "svc-api"),
                Reason::ResourceNotInPlan,
            ),
            (
                "the right secret from another source",
                token,
                agent.update("API_KEY", "svc-billing"),
                Reason::ArgumentMismatch,
            ),
            ("a service account outside the plan", token, agent.rotate("svc-billing"), Reason::ResourceNotInPlan),
            ("a second rotation, by another hop than the first", token, agent.rotate("svc-api"), Reason::UsesExhausted),
            ("a second update", token, agent.update("WORKER_KEY", "svc-worker"), Reason::UsesExhausted),
        ];
        let mut answers = Vec::new();
        for (what, token, call, reason) in calls {
            answers.push((what, self.agent.party.call(token, &call).await?, reason));
        }
        for (what, answer, reason) in answers {
            self.refused(what, &answer, reason);
        }
        Ok(())
    }

    async fn misuse_tokens(&mut self, granted: &Granted) -> Result<()> {
        let (party, token, list) = (&self.agent.party, &granted.token, self.agent.list());
        let thief = Party::new(&self.stack.env, &self.stack.env.clients.worker)?;
        let stolen = thief.call(token, &list).await?;
        let unasked = thief.post_to(&self.worker_url(), token, &json!({"steps": [step::ROTATE_API]})).await?;
        let tampered = tampered(token)?;
        let answer = party.call(&tampered, &list).await?;
        let proof = party.prove_call(token, &list)?;
        let (first, second) = (party.send(token, &proof, &list).await?, party.send(token, &proof, &list).await?);
        let intent = party.call(&granted.intent_token, &list).await?;
        self.refused("the same token from another key", &stolen, Reason::ProofKeyMismatch);
        self.refused("the worker, asked with the same token from another key", &unasked, Reason::ProofKeyMismatch);
        self.refused("a token with one character changed", &answer, Reason::TokenInvalid);
        self.refused("the intent token itself", &intent, Reason::TokenInvalid);
        self.done("a proof is good for one call", &first);
        self.refused("the same proof once more", &second, Reason::ProofReplayed);
        Ok(())
    }

    async fn misuse_exchanges(&mut self, granted: &Granted) -> Result<()> {
        let rotations = [step::ROTATE_API, step::ROTATE_WORKER];
        let narrow = self.agent.transaction_token(&granted.intent_token, Some(&rotations)).await?;
        let work = json!({"steps": [], "exchange": [step::UPDATE_API]});
        let wider = self.agent.party.post_to(&self.worker_url(), &narrow, &work).await?;
        self.refused("the worker exchanges a token for a step that its parent lacks", &wider, Reason::WiderThanParent);
        let widened = json!([{"type": DETAIL_STEP, "id": step::UPDATE_API, "args": {"value_from": {"any": true}}}]);
        let ask = Exchange { steps: Some(widened), resource: None };
        let wider = self.agent.party.exchange(&granted.intent_token, TOKEN_TYPE_INTENT, &ask).await?;
        self.refused("the agent exchanges its token for one with an open argument", &wider, Reason::WiderThanParent);
        let stranger = Party::new(&self.stack.env, &self.stack.env.clients.rs)?;
        let answer = stranger.exchange(&granted.token, TOKEN_TYPE_TXN, &Exchange::default()).await?;
        self.refused(
            "a resource server exchanges a token that it received, being no delegate",
            &answer,
            Reason::NotADelegate,
        );
        Ok(())
    }

    /// Alice revokes in her browser while the agent lists again and again.
    async fn revoke(&mut self, granted: &Granted) -> Result<()> {
        let list = self.agent.list();
        let before = self.agent.party.call(&granted.token, &list).await?;
        self.done("the list call is permitted", &before);
        let until = Instant::now() + PERSON_LIMIT + REVOCATION_LIMIT;
        let (seen, first_refusal) = tokio::try_join!(
            self.person(&granted.submission.intent_id, &["--revoke"]),
            first_refusal(&self.agent, &granted.token, until),
        )?;
        let (answer, refused_ms) = first_refusal;
        let instant = |name: &str| seen.get(name).and_then(Value::as_i64);
        self.line(seen.get("outcome") == Some(&json!("revoked")), "Alice pressed “Revoke now” on the receipt page");
        self.refused("the very next list call, without a restart", &answer, Reason::IntentRevoked);
        let after = |name: &str| instant(name).map(|at| refused_ms - at);
        let limit = i64::try_from(REVOCATION_LIMIT.as_millis()).unwrap_or(i64::MAX);
        let pressed = after("pressed_at_ms");
        let since_pressed =
            pressed.map_or_else(|| "at an unknown time".into(), |ms| format!("{ms} ms after the button was pressed"));
        let since_confirmed = match after("confirmed_at_ms") {
            Some(ms) if ms < 0 => format!("{} ms before the page had confirmed it", -ms),
            Some(ms) => format!("{ms} ms after the page had confirmed it"),
            None => "the page never confirmed it".to_owned(),
        };
        let holds = pressed.is_some_and(|ms| (0..limit).contains(&ms));
        self.line(holds, format!("the first refusal came {since_pressed}, {since_confirmed}"));
        let exchange =
            self.agent.party.exchange(&granted.intent_token, TOKEN_TYPE_INTENT, &Exchange::default()).await?;
        self.refused("an exchange after the revocation", &exchange, Reason::IntentRevoked);
        Ok(())
    }

    async fn prove(&mut self, submission: &Submission) -> Result<()> {
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

/// One phase of the story and when it began.
struct Phase(Instant);

impl Phase {
    fn new(title: &str) -> Self {
        println!("\n{title}");
        Self(Instant::now())
    }

    fn end(self) {
        println!("   {:.2} s", self.0.elapsed().as_secs_f64());
    }

    fn next(self, title: &str) -> Self {
        self.end();
        Self::new(title)
    }
}

/// One entry of a list in the worker's report, as the answer that the worker got.
fn part(report: &Value, list: &str, index: usize) -> Answer {
    let entry = report.get(list).and_then(|list| list.get(index)).cloned().unwrap_or_default();
    let status = entry.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    Answer { status: status.unwrap_or(0), body: entry.get("body").cloned().unwrap_or_default() }
}

/// A token whose payload differs in one character.
fn tampered(token: &str) -> Result<String> {
    let at = token.find('.').ok_or("the token is no JWS")? + 20;
    let (before, after) = (token.get(..at), token.get(at + 1..));
    let other = if token.as_bytes().get(at) == Some(&b'A') { 'B' } else { 'A' };
    match (before, after) {
        (Some(before), Some(after)) => Ok(format!("{before}{other}{after}")),
        _ => Err("the token is too short".into()),
    }
}

/// Lists again and again until the call is refused. Returns the refusal and its instant in
/// milliseconds since the Unix epoch.
async fn first_refusal(agent: &Agent, token: &str, until: Instant) -> Result<(Answer, i64)> {
    loop {
        let answer = agent.party.call(token, &agent.list()).await?;
        if answer.status != 200 {
            return Ok((answer, now_ms()));
        }
        if Instant::now() >= until {
            return Err("the list call is still permitted long after the revocation".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
