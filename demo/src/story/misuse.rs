//! What a thief, a middleman and an agent that was taken over try, and what they are told.

use marque_core::names::{DETAIL_STEP, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use marque_core::reason::Reason;
use serde_json::json;

use super::{Granted, Story};
use crate::Result;
use crate::agent::step;
use crate::clients::{Exchange, Party};

impl Story<'_> {
    pub(super) async fn misuse_calls(&mut self, granted: &Granted) -> Result<()> {
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
            ("a second rotation, by another hop than the first", token, agent.rotate("svc-api"), Reason::UsesExhausted),
            ("a second reading of what a later step depends on", token, agent.read_runbook(), Reason::UsesExhausted),
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

    pub(super) async fn misuse_tokens(&mut self, granted: &Granted) -> Result<()> {
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

    pub(super) async fn misuse_exchanges(&mut self, granted: &Granted) -> Result<()> {
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
