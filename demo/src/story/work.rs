//! How the worker and the agent do what was signed.

use marque_core::reason::Reason;
use serde_json::{Value, json};

use super::{Granted, Keys, Story};
use crate::agent::step;
use crate::clients::Answer;
use crate::{Result, about};

impl Story<'_> {
    pub(super) async fn delegate(&mut self, granted: &Granted) -> Result<Keys> {
        let work = json!({
            "steps": [step::ROTATE_API, step::ROTATE_WORKER],
            "attempts": [{"action": "update_secret", "resource": {"type": "secret", "id": "API_KEY"}, "args": {"value_from": "svc-api"}}],
        });
        let answer = self.agent.party.post_to(&self.worker_url(), &granted.token, &work).await?;
        let report = answer.success().map_err(about("the worker"))?;
        let given = report.get("given").cloned().unwrap_or_default();
        let holds = given == json!([step::ROTATE_API, step::ROTATE_WORKER]);
        self.line(holds, format!("verified token and proof, and exchanged the token for its own hop: {given}"));
        let mut keys = Vec::new();
        for (index, account) in ["svc-api", "svc-worker"].into_iter().enumerate() {
            let answer = part(&report, "done", index);
            self.done(&format!("rotated the key of {account}"), &answer);
            keys.push(answer.text("key").ok_or("the worker was told no key")?.to_owned());
        }
        let attempt = part(&report, "attempts", 0);
        self.refused("an injected prompt makes it try a secret update", &attempt, Reason::ActionNotInPlan);
        let [api, worker] = <[String; 2]>::try_from(keys).map_err(|_| "the worker rotated other keys")?;
        Ok(Keys { api, worker })
    }

    pub(super) async fn act(&mut self, granted: &Granted) -> Result<()> {
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
}

/// One entry of a list in the worker's report, as the answer that the worker got.
fn part(report: &Value, list: &str, index: usize) -> Answer {
    let entry = report.get(list).and_then(|list| list.get(index)).cloned().unwrap_or_default();
    let status = entry.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    Answer { status: status.unwrap_or(0), body: entry.get("body").cloned().unwrap_or_default(), nonce: None }
}
