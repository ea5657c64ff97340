//! Browsers, driven by `browser/runner.mjs` with one line of JSON for each command and each answer.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use marque_demo::Result;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long one command may take; the runner's own limit for one page is shorter.
const ANSWER: Duration = Duration::from_secs(100);
/// How long closing the browser may take.
const CLOSE: Duration = Duration::from_secs(20);

/// A runner and its browsers.
pub struct Browser {
    runner: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// What a tab shows.
#[derive(Debug, Clone)]
pub struct Seen(Value);

impl Seen {
    /// A text, empty if there is none: `place`, `state`, `title`, `message` (Keycloak's), `text` (Marque's), `words`…
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The HTTP status of the page.
    pub fn status(&self) -> u64 {
        self.0.get("status").and_then(Value::as_u64).unwrap_or_default()
    }

    /// The lines of the plan.
    pub fn lines(&self) -> Vec<&str> {
        self.0["lines"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Asserts that the approval page is shown.
    #[track_caller]
    pub fn expect_page(&self) {
        assert_eq!(self.text("place"), "page", "{}", self.0);
    }

    /// Asserts that Marque shows the intent's receipt in this state.
    #[track_caller]
    pub fn expect_receipt(&self, state: &str) {
        assert_eq!((self.text("place"), self.status(), self.text("state")), ("marque", 200, state), "{}", self.0);
    }

    /// Asserts that Marque shows a refusal with this status and a sentence that holds `part`.
    #[track_caller]
    pub fn expect_refusal(&self, status: u64, part: &str) {
        assert_eq!((self.text("place"), self.status()), ("marque", status), "{}", self.0);
        assert!(self.text("text").contains(part), "{}", self.0);
    }

    /// Asserts that the plan is shown once more, with a message of Keycloak that holds `part`.
    #[track_caller]
    pub fn expect_again(&self, part: &str) {
        assert_eq!(self.text("place"), "again", "{}", self.0);
        assert!(self.text("message").contains(part), "{}", self.0);
    }

    /// Asserts that Keycloak shows an error page of its own.
    #[track_caller]
    pub fn expect_keycloak_error(&self, status: u64, part: &str) {
        assert_eq!((self.text("place"), self.status()), ("refused", status), "{}", self.0);
        assert!(self.text("message").contains(part), "{}", self.0);
    }
}

/// An answer to a bare request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u64,
    /// Where it redirects to; empty if it does not.
    pub location: String,
    /// The body.
    pub text: String,
}

impl Reply {
    /// Whether it sends an authorization code to Marque.
    pub fn has_code(&self) -> bool {
        self.location.contains("/callback?") && self.location.contains("code=")
    }
}

/// What an approval page would post, and to where.
#[derive(Debug, Clone)]
pub struct Post {
    pub url: String,
    pub form: Value,
}

impl Browser {
    /// Starts the runner.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(root: &Path, marque: &str) -> Result<Self> {
        let mut node = Command::new(root.join("scripts/node"));
        node.arg(root.join("tests/e2e/browser/runner.mjs")).arg(marque);
        let mut runner = node.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let commands = runner.stdin.take().ok_or("the runner takes no commands")?;
        let answers = BufReader::new(runner.stdout.take().ok_or("the runner gives no answers")?).lines();
        Ok(Self { runner, commands, answers })
    }

    /// Closes the browsers.
    ///
    /// # Errors
    /// When they do not end.
    pub async fn close(self) -> Result<()> {
        let Self { mut runner, commands, answers } = self;
        drop((commands, answers));
        timeout(CLOSE, runner.wait()).await??;
        Ok(())
    }

    /// One command.
    ///
    /// # Errors
    /// When it cannot be carried out.
    pub async fn act(&mut self, act: &str, mut command: Value) -> Result<Value> {
        command["act"] = act.into();
        self.commands.write_all(format!("{command}\n").as_bytes()).await?;
        let line = timeout(ANSWER, self.answers.next_line()).await??.ok_or("the runner ended")?;
        let answer: Value = serde_json::from_str(&line)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("{act}: {error}").into()),
            None => Ok(answer),
        }
    }

    /// One command whose answer is what the tab shows then.
    ///
    /// # Errors
    /// As [`Browser::act`].
    pub async fn see(&mut self, act: &str, command: Value) -> Result<Seen> {
        self.act(act, command).await.map(Seen)
    }

    /// What the page of a tab would post for an assertion by the stored passkey, with `change` made to it.
    ///
    /// # Errors
    /// As [`Browser::act`].
    pub async fn sign(&mut self, tab: &str, passkey: &Path, change: Value) -> Result<Post> {
        let answer = self.act("sign", json!({"tab": tab, "passkey": passkey, "change": change})).await?;
        let url = answer["url"].as_str().ok_or("the page has no form")?.to_owned();
        Ok(Post { url, form: answer["form"].clone() })
    }

    /// Posts what a page would have posted, after leaving the page; redirects are not followed.
    ///
    /// # Errors
    /// As [`Browser::act`].
    pub async fn post(&mut self, tab: &str, post: &Post) -> Result<Reply> {
        self.act("leave", json!({"tab": tab})).await?;
        self.request(&post.url, Some(&post.form)).await
    }

    /// One request with a browser's cookies; redirects are not followed.
    ///
    /// # Errors
    /// As [`Browser::act`].
    pub async fn request(&mut self, url: &str, form: Option<&Value>) -> Result<Reply> {
        self.requests(url, form, 1).await?.pop().ok_or_else(|| "there is no answer".into())
    }

    /// The same request so many times at once.
    ///
    /// # Errors
    /// As [`Browser::act`].
    pub async fn requests(&mut self, url: &str, form: Option<&Value>, times: usize) -> Result<Vec<Reply>> {
        let answer = self.act("request", json!({"url": url, "form": form, "times": times})).await?;
        let reply = |value: &Value| Reply {
            status: value["status"].as_u64().unwrap_or_default(),
            location: value["location"].as_str().unwrap_or_default().to_owned(),
            text: value["text"].as_str().unwrap_or_default().to_owned(),
        };
        Ok(answer["answers"].as_array().into_iter().flatten().map(reply).collect())
    }
}
