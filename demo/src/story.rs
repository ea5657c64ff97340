//! The story: one task from the plan to the proof, told line by line, each line checked.

mod consent;
mod document;
mod misuse;
mod proof;
mod revocation;
mod step_up;
mod work;

use std::time::{Duration, Instant};

use marque_core::reason::Reason;
use serde_json::Value;
use tokio::process::Command;

use crate::Result;
use crate::agent::{Agent, Submission, TASK};
use crate::clients::Answer;
use crate::processes::Processes;
use crate::stack::Stack;

/// How long the scripted person may take for one decision, the start of the browser included.
const PERSON_LIMIT: Duration = Duration::from_secs(90);
/// How long the agent waits for the decision once the person has made it.
const GRANT_LIMIT: Duration = Duration::from_secs(30);
/// How many lines the story has: one that was not told is one that was not checked.
const LINES: u32 = 66;

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
    /// A transaction token for all seven steps.
    token: String,
}

/// The new keys, as the worker heard of them.
struct Keys {
    api: String,
    worker: String,
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
        let keys = self.delegate(&granted).await?;
        phase = phase.next("5  The agent carries out the rest");
        self.act(&granted).await?;
        phase = phase.next("6  A document tells the agent what to do, and the agent obeys");
        let runbook = self.read(&granted, &keys).await?;
        self.obey(&granted, &keys, &runbook).await?;
        phase =
            phase.next("7  The agent needs values that only earlier steps could give, and Alice is asked once more");
        self.bind(&granted, &keys, &runbook).await?;
        self.step_up(&granted, &keys, &runbook).await?;
        phase = phase.next("8  What Alice did not sign does not run");
        self.misuse_calls(&granted).await?;
        self.misuse_tokens(&granted).await?;
        self.misuse_exchanges(&granted).await?;
        phase = phase.next("9  Alice revokes");
        self.revoke(&granted).await?;
        phase = phase.next("10  The proof, offline");
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

    /// Runs the scripted person to the end and returns what the browser saw.
    async fn person(&self, id: &str, options: &[&str]) -> Result<Value> {
        let mut approve = Command::new(self.stack.place.root.join("demo/approve"));
        approve.arg(id).args(options).env("MARQUE_DEMO_ENV", self.stack.place.env_file());
        let printed = self.processes.run("person", approve, PERSON_LIMIT).await?;
        let seen = printed.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        Ok(seen.ok_or("the scripted person said nothing")?)
    }

    fn worker_url(&self) -> String {
        format!("{}/work/rotate-keys", self.stack.env.worker.url)
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

/// A text that the scripted person saw.
fn text<'s>(seen: &'s Value, name: &str) -> &'s str {
    seen.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The lines that the scripted person read.
fn lines(seen: &Value) -> Vec<&str> {
    seen.get("lines").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
