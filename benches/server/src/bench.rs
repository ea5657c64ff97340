//! What all figures stand on: a running server, the realm's stand-in, a person, an agent.

use crate::agent::{Agent, Granted, RESOURCE_SERVER};
use crate::marque::Marque;
use crate::person::{ORIGIN, Person, Receipt};
use crate::realm::Realm;
use bench_keys::Failure;
use std::path::Path;

/// All of it.
pub struct Bench {
    /// The server.
    pub marque: Marque,
    /// Who approves.
    pub person: Person,
    /// Who asks.
    pub agent: Agent,
    /// The resource server's access token.
    pub access_token: String,
    /// How often each figure is measured; the median counts.
    pub rounds: usize,
    /// Requests of a round, where the figure's own number is not wanted.
    pub requests: Option<usize>,
}

impl Bench {
    /// Starts a server with an empty database, which knows the resource server's catalog.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(root: &Path, rounds: usize, requests: Option<usize>) -> Result<Self, Failure> {
        let realm = Realm::start().await?;
        let person = Person::new(&realm)?;
        let agent = Agent::new(&realm)?;
        let program = root.join("target/release/marque");
        let marque = Marque::start(&program, &root.join("target/bench/server"), &realm, ORIGIN).await?;
        let access_token = realm.access_token(RESOURCE_SERVER, &marque.issuer)?;
        agent.publish(&marque, &access_token).await?;
        Ok(Self { marque, person, agent, access_token, rounds, requests })
    }

    /// A plan that was approved and redeemed: its intent token, and the person's receipt.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn redeemed(&self) -> Result<(Granted, Receipt), Failure> {
        let intent_id = self.agent.submit(&self.marque).await?;
        let receipt = self.person.approve(&self.marque, &intent_id).await?;
        Ok((self.agent.redeem(&self.marque, intent_id).await?, receipt))
    }

    /// Intent tokens of so many plans.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn intents(&self, count: usize) -> Result<Vec<Granted>, Failure> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.redeemed().await?.0);
        }
        Ok(all)
    }

    /// Transaction tokens of so many plans.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn granted(&self, count: usize) -> Result<Vec<Granted>, Failure> {
        let mut all = Vec::new();
        for intent in self.intents(count).await? {
            all.push(self.agent.exchange(&self.marque, &intent).await?);
        }
        Ok(all)
    }
}
