//! How the plan is declared, signed and turned into a token.

use marque_core::names::TOKEN_TYPE_INTENT;
use serde_json::Value;

use super::{GRANT_LIMIT, Story, lines, text};
use crate::agent::{Submission, redeem};
use crate::clients::Party;
use crate::{Result, about};

impl Story<'_> {
    pub(super) async fn submit(&mut self) -> Result<Submission> {
        let submission = self.agent.submit().await?;
        self.line(true, format!("seven steps submitted as intent {}", submission.intent_id));
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

    pub(super) async fn approve(&mut self, submission: &Submission) -> Result<()> {
        let seen = self.person(&submission.intent_id, &[]).await?;
        self.same_words(&seen, &submission.digest_words);
        let lines = lines(&seen);
        let is_step = |line: &&&str| line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        let steps: Vec<&&str> = lines.iter().filter(is_step).collect();
        for line in &steps {
            println!("       {line}");
        }
        self.line(steps.len() == 7, format!("it shows {} steps", steps.len()));
        let asks_again: Vec<_> = lines.iter().filter(|line| line.contains("STEP-UP: you are asked again")).collect();
        self.line(asks_again.len() == 1, "and that Alice is asked again before anything is sent");
        self.approved(&seen);
        Ok(())
    }

    /// The page shows what the agent was told that it would.
    pub(super) fn same_words(&mut self, seen: &Value, expected: &str) {
        let words = text(seen, "words");
        self.line(words == expected, format!("Keycloak's page shows the same words: {words}"));
    }

    pub(super) fn approved(&mut self, seen: &Value) {
        let outcome = text(seen, "outcome");
        self.line(outcome == "approved", format!("Keycloak and Marque verified the gesture: {outcome}"));
    }

    pub(super) async fn redeem(&mut self, submission: &Submission) -> Result<String> {
        let answer = self.agent.wait(submission, GRANT_LIMIT).await?;
        let body = answer.success().map_err(about("POST /token"))?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let holds = text("token_type") == Some("DPoP") && text("issued_token_type") == Some(TOKEN_TYPE_INTENT);
        self.line(holds, "polled after the decision: granted");
        let token = text("access_token").ok_or("there is no intent token")?;
        let claims = marque_core::jws::unverified_claims(token)?;
        let bound = claims.get("cnf").and_then(|cnf| cnf.get("jkt")).and_then(Value::as_str);
        self.line(bound == Some(self.agent.party.dpop.thumbprint()), "it is bound to the agent's DPoP key");
        Ok(token.to_owned())
    }
}
