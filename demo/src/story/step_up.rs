//! How late values are bound to what earlier steps gave, and how one call is approved.

use marque_core::call::Call;
use marque_core::reason::Reason;
use serde_json::{Value, json};

use super::{GRANT_LIMIT, Granted, Keys, Story};
use crate::Result;
use crate::agent::{Runbook, step};
use crate::clients::Answer;

impl Story<'_> {
    /// Values that no earlier result holds.
    pub(super) async fn bind(&mut self, granted: &Granted, keys: &Keys, runbook: &Runbook) -> Result<()> {
        let (party, agent, token) = (&self.agent.party, &self.agent, &granted.token);
        let other_key = party.call(token, &agent.notify("svc-api", &runbook.owner, &keys.worker)).await?;
        let other_owner = party.call(token, &agent.notify("svc-api", "ops@corp.test", &keys.api)).await?;
        let (key, owner) = (agent.new_key(), agent.owner());
        self.mismatch("svc-worker's key in the place of svc-api's", &other_key, "key", &key);
        self.mismatch("an address that is not in the runbook", &other_owner, "to", &owner);
        Ok(())
    }

    /// A line about a refusal that must say where the argument's value should have come from.
    fn mismatch(&mut self, what: &str, answer: &Answer, argument: &str, source: &Value) {
        let near = |name: &str| answer.body.pointer(&format!("/nearest/{name}"));
        if near("argument") == Some(&json!(argument)) && near("expected") == Some(source) {
            self.refused(&format!("{what}; {argument} must be {source}"), answer, Reason::ArgumentMismatch);
        } else {
            self.line(false, format!("{what}: {} does not name {source}", answer.body));
        }
    }

    /// The right call: Alice sees its values and where they came from, and approves it once.
    pub(super) async fn step_up(&mut self, granted: &Granted, keys: &Keys, runbook: &Runbook) -> Result<()> {
        let call = self.agent.notify("svc-api", &runbook.owner, &keys.api);
        let challenged = self.agent.party.call(&granted.token, &call).await?;
        self.refused(&format!("tells {} the new key of svc-api", runbook.owner), &challenged, Reason::StepUpRequired);
        let asked = self.agent.hand_in(&challenged).await?;
        let early = self.agent.poll_call(&asked.id).await?;
        let waits = early.status == 400 && early.text("error") == Some("authorization_pending");
        self.line(waits, format!("handed in the challenge, and polled before the decision: {}", early.reason()));

        let seen = self.person(&asked.id, &[]).await?;
        self.same_words(&seen, &asked.digest_words);
        self.shows(&seen, "to", &runbook.owner, step::RUNBOOK);
        self.shows(&seen, "key", &keys.api, step::ROTATE_API);
        self.approved(&seen);
        let decided = self.agent.wait_call(&asked, GRANT_LIMIT).await?;
        let digest = call.digest().to_base64();
        let holds = decided.status == 200 && decided.text("call_digest") == Some(digest.as_str());
        self.line(
            holds,
            format!("polled after the decision: {} for exactly this call", decided.text("state").unwrap_or_default()),
        );
        self.go_on(granted, &call, runbook).await?;
        let used = self.agent.poll_call(&asked.id).await?;
        let holds = used.status == 400 && used.text("error") == Some("invalid_grant");
        self.line(holds, format!("polled once more: {}", used.reason()));
        Ok(())
    }

    async fn go_on(&mut self, granted: &Granted, call: &Call, runbook: &Runbook) -> Result<()> {
        let (party, token) = (&self.agent.party, &granted.token);
        let sent = party.call(token, call).await?;
        let again = party.call(token, call).await?;
        let only = sent.body.get("sent_to") == Some(&json!([runbook.owner]));
        self.done("the same call goes through", &sent);
        self.line(only, format!("and nobody else was ever told: {}", sent.body.get("sent_to").unwrap_or(&Value::Null)));
        self.refused("a second use of the same approval", &again, Reason::StepUpRequired);
        Ok(())
    }
}
