//! How Alice revokes.

use std::time::{Duration, Instant, SystemTime};

use marque_core::names::TOKEN_TYPE_INTENT;
use marque_core::reason::Reason;
use serde_json::{Value, json};

use super::{Granted, PERSON_LIMIT, Story};
use crate::Result;
use crate::agent::Agent;
use crate::clients::{Answer, Exchange};

/// How long a revocation may take to reach the gate; it takes some milliseconds.
const REVOCATION_LIMIT: Duration = Duration::from_secs(1);

impl Story<'_> {
    /// Alice revokes in her browser while the agent lists again and again.
    pub(super) async fn revoke(&mut self, granted: &Granted) -> Result<()> {
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
