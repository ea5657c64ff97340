//! How the agent reads a document that somebody else has written to, and believes it.

use marque_core::reason::Reason;
use serde_json::Value;

use super::{GRANT_LIMIT, Granted, Keys, Story, lines, text};
use crate::Result;
use crate::agent::{Runbook, step};

impl Story<'_> {
    /// The agent reads whom to tell; before that nobody can know it.
    pub(super) async fn read(&mut self, granted: &Granted, keys: &Keys) -> Result<Runbook> {
        let (party, agent) = (&self.agent.party, &self.agent);
        let guess = agent.notify("svc-api", "ops@corp.example", &keys.api);
        let early = party.call(&granted.token, &guess).await?;
        let read = party.call(&granted.token, &agent.read_runbook()).await?;
        let runbook = read.text("text").and_then(Runbook::read).ok_or("the runbook does not say whom to tell")?;
        self.refused("tells the owner before the runbook was read", &early, Reason::ResultUnknown);
        self.done(&format!("reads the runbook; the owner is {}", runbook.owner), &read);
        println!("       “{}”", runbook.injected);
        Ok(runbook)
    }

    /// The agent does as the injected line says.
    pub(super) async fn obey(&mut self, granted: &Granted, keys: &Keys, runbook: &Runbook) -> Result<()> {
        let Runbook { account, thief, .. } = runbook;
        let (party, agent, token) = (&self.agent.party, &self.agent, &granted.token);
        let rotated = party.call(token, &agent.rotate(account)).await?;
        let of_other = party.call(token, &agent.notify(account, thief, &keys.api)).await?;
        let leak = agent.notify("svc-api", thief, &keys.api);
        let leaked = party.call(token, &leak).await?;
        self.refused(&format!("rotates the key of {account}"), &rotated, Reason::ResourceNotInPlan);
        self.refused(&format!("sends a key of {account} to {thief}"), &of_other, Reason::ResourceNotInPlan);
        self.refused(
            "sends svc-api's key there: the address does stand in the runbook, so Alice is asked",
            &leaked,
            Reason::StepUpRequired,
        );

        let asked = self.agent.hand_in(&leaked).await?;
        let seen = self.person(&asked.id, &["--deny", "I do not know that address"]).await?;
        self.shows(&seen, "to", thief, step::RUNBOOK);
        self.line(text(&seen, "outcome") == "denied", format!("Alice says no: {}", text(&seen, "outcome")));
        let told = self.agent.wait_call(&asked, GRANT_LIMIT).await?;
        let again = self.agent.party.call(token, &leak).await?;
        self.refused("the agent is told", &told, Reason::DeniedByUser);
        self.refused("and sends the key all the same", &again, Reason::StepUpRequired);
        Ok(())
    }

    /// The page shows an argument's value and the step that it comes from.
    pub(super) fn shows(&mut self, seen: &Value, argument: &str, value: &str, source: &str) {
        let wanted =
            [format!("   {argument}: {}", Value::from(value)), format!("      FROM step {}", Value::from(source))];
        let lines = lines(seen);
        let shown = lines.windows(2).find(|pair| {
            pair.first() == Some(&wanted[0].as_str()) && pair.last().is_some_and(|line| line.starts_with(&wanted[1]))
        });
        let text = shown.map_or_else(|| format!("{wanted:?} in {lines:?}"), |pair| pair.concat());
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.line(shown.is_some(), format!("Keycloak's page shows {text}"));
    }
}
