//! What all figures stand on: a running server, the realm's stand-in, a person, an agent.

use crate::agent::{Agent, Granted, RESOURCE_SERVER};
use crate::marque::{Marque, Site};
use crate::person::{ORIGIN, Person, Receipt};
use crate::realm::Realm;
use bench_keys::Failure;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Plans that are approved at once: fewer than may wait for one person.
const AT_ONCE: usize = 8;

/// All of it.
pub struct Bench {
    /// The server.
    pub marque: Marque,
    /// Where it runs; others are started there, too.
    pub site: Site,
    /// The stand-in for its realm.
    pub realm: Arc<Realm>,
    /// Who approves.
    pub person: Person,
    /// Who asks.
    pub agent: Agent,
    /// How often each figure is measured; the median counts.
    pub rounds: usize,
    /// Requests of a round, where the figure's own number is not wanted.
    pub requests: Option<usize>,
    /// How long Keycloak is warmed up.
    pub warm_up: Duration,
    /// Custody rows of the server with many.
    pub rows: u64,
    /// The project's folder.
    pub root: PathBuf,
}

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// See [`Bench`].
    pub rounds: usize,
    /// See [`Bench`].
    pub requests: Option<usize>,
    /// See [`Bench`].
    pub warm_up: Duration,
    /// See [`Bench`].
    pub rows: u64,
}

impl Bench {
    /// Starts a server with an empty database, which knows the resource server's catalog.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(root: &Path, effort: Effort) -> Result<Self, Failure> {
        let realm = Realm::start().await?;
        let person = Person::new(&realm)?;
        let agent = Agent::new(&realm)?;
        let site = Site::start(&root.join("target/release/marque"), &root.join("target/bench/server"), &realm, ORIGIN)?;
        let marque = site.serve("bench", "").await?;
        let Effort { rounds, requests, warm_up, rows } = effort;
        let root = root.to_owned();
        let bench = Self { marque, site, realm, person, agent, rounds, requests, warm_up, rows, root };
        bench.agent.publish(&bench.marque, &bench.access_token(&bench.marque)?).await?;
        Ok(bench)
    }

    /// Another server, on another database.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn another(&self, database: &str, settings: &str) -> Result<Marque, Failure> {
        self.another_by(&[("DATABASE_URL", self.site.database(database)?)], settings).await
    }

    /// [`Self::another`], by variables that say how to reach the database.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn another_by(&self, reached: &[(&str, &str)], settings: &str) -> Result<Marque, Failure> {
        let marque = self.site.serve_by(reached, settings).await?;
        self.agent.publish(&marque, &self.access_token(&marque)?).await?;
        Ok(marque)
    }

    /// The resource server's access token for a server.
    ///
    /// # Errors
    /// When the realm cannot sign.
    pub fn access_token(&self, marque: &Marque) -> Result<String, Failure> {
        self.realm.access_token(RESOURCE_SERVER, &marque.issuer)
    }

    /// A plan that was approved and redeemed: its intent token, and the person's receipt.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn redeemed(&self, marque: &Marque, plan: &Value) -> Result<(Granted, Receipt), Failure> {
        let (intent_id, receipt) = self.approved(marque, plan).await?;
        Ok((self.agent.redeem(marque, intent_id).await?, receipt))
    }

    /// A plan that was approved: its intent, and the person's receipt.
    async fn approved(&self, marque: &Marque, plan: &Value) -> Result<(String, Receipt), Failure> {
        let intent_id = self.agent.submit(marque, plan).await?;
        let receipt = self.person.approve(marque, &intent_id).await?;
        Ok((intent_id, receipt))
    }

    /// So many approved plans that nobody has redeemed yet.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn approvals(&self, marque: &Marque, plan: &Value, count: usize) -> Result<Vec<String>, Failure> {
        let all = stream::iter(0..count).map(|_| async { Ok(self.approved(marque, plan).await?.0) });
        all.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Intent tokens of so many plans.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn intents(&self, marque: &Marque, plan: &Value, count: usize) -> Result<Vec<Granted>, Failure> {
        let all = stream::iter(0..count).map(|_| async { Ok(self.redeemed(marque, plan).await?.0) });
        all.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Transaction tokens of so many plans.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn granted(&self, marque: &Marque, plan: &Value, count: usize) -> Result<Vec<Granted>, Failure> {
        let mut all = Vec::new();
        for intent in self.intents(marque, plan, count).await? {
            all.push(self.agent.exchange(marque, &intent).await?);
        }
        Ok(all)
    }
}
