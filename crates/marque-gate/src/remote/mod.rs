//! A gate that lives off a Marque server over HTTP: keys, revocation feed, ledger, long envelopes.
//!
//! ```no_run
//! # use marque_gate::{Gate, GateConfig, remote::{AccessTokens, Marque}};
//! # fn start(tokens: impl AccessTokens + 'static) -> Result<(), Box<dyn std::error::Error>> {
//! let config = GateConfig::new("https://keys.example", "https://marque.example/realms/demo", "demo.example")?;
//! let marque = Marque::new(&config, tokens)?;
//! let (gate, feed) = marque.gate(config);
//! // Keep `feed`: when it is dropped nothing is followed any more, and the gate closes.
//! # drop((gate, feed)); Ok(()) }
//! ```
//! Each request has a deadline, no redirect is followed, and whatever does not answer is refused.

mod envelopes;
mod feed;
mod jwks;
mod ledger;
mod open;

use crate::config::GateConfig;
use crate::gate::Gate;
use crate::keys::Pending;
use crate::revocations::Revocations;
pub use envelopes::RemoteEnvelopes;
pub use feed::Following;
pub use jwks::RemoteKeys;
pub use ledger::RemoteLedger;
pub use open::OpenPermit;
use std::sync::Arc;
use std::time::Duration;

/// Until a connection must stand.
const CONNECT: Duration = Duration::from_secs(1);
/// Until a request must be answered: longer than any healthy answer, shorter than a caller's patience.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);

/// Access tokens for the resource server's own calls to Marque: of the realm's Keycloak, for the
/// resource server's client, with Marque as the only audience.
pub trait AccessTokens: Send + Sync {
    /// A token that is good for at least some seconds more. Implementations keep it until shortly
    /// before its end.
    ///
    /// `refused` is a token that Marque has just refused, if this is why one is asked for: another
    /// one is wanted then.
    ///
    /// # Errors
    /// Says why there is none.
    fn access_token<'a>(&'a self, refused: Option<&'a str>) -> Pending<'a, Result<String, String>>;
}

/// One Marque server as seen by one resource server.
#[derive(Clone)]
pub struct Marque {
    issuer: String,
    address: String,
    client: reqwest::Client,
    key_max_age: Duration,
    tokens: Arc<dyn AccessTokens>,
}

impl Marque {
    /// The server whose issuer the configuration names.
    ///
    /// # Errors
    /// When the HTTP client cannot be made, for example without any trusted root certificate.
    pub fn new(config: &GateConfig, tokens: impl AccessTokens + 'static) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()?;
        let (issuer, address) = (config.issuer().into(), config.issuer().into());
        Ok(Self { issuer, address, client, key_max_age: config.key_max_age, tokens: Arc::new(tokens) })
    }

    /// The same server, reached at another base URL than its issuer's, for example inside of a private network. What it
    /// signs still names the issuer.
    #[must_use]
    pub fn reached_at(mut self, base_url: &str) -> Self {
        self.address = base_url.into();
        self
    }

    /// A gate with this server's keys, ledger and envelopes, and the task that follows its revocation feed.
    /// Until the first snapshot the gate is closed.
    ///
    /// # Panics
    /// Never by itself; outside of a tokio runtime `tokio` panics.
    pub fn gate(&self, config: GateConfig) -> (Gate, Following) {
        let revocations = Revocations::new();
        let keys = self.keys();
        let following = self.follow(keys.clone(), revocations.clone(), config.max_staleness);
        let gate = Gate::new(config, keys, revocations).with_ledger(self.ledger()).with_envelopes(self.envelopes());
        (gate, following)
    }

    /// The server's published keys.
    pub fn keys(&self) -> RemoteKeys {
        RemoteKeys::new(self.client.clone(), format!("{}/jwks", self.address), self.key_max_age)
    }

    /// The server's ledger of uses.
    pub fn ledger(&self) -> RemoteLedger {
        RemoteLedger::new(self.clone())
    }

    /// The envelopes that the server keeps for tokens with long steps.
    pub fn envelopes(&self) -> RemoteEnvelopes {
        RemoteEnvelopes::new(self.clone())
    }

    /// Follows the revocation feed until the result is dropped. A connection that is silent for
    /// `silence` is given up and made anew.
    pub fn follow(&self, keys: RemoteKeys, revocations: Revocations, silence: Duration) -> Following {
        feed::follow(self.clone(), keys, revocations, silence)
    }

    /// Sends what `request` builds with an access token, once more with another one if that is refused.
    async fn send(
        &self,
        request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, String> {
        let token = self.tokens.access_token(None).await?;
        let answer = request(&self.client).bearer_auth(&token).send().await.map_err(plainly)?;
        if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let token = self.tokens.access_token(Some(&token)).await?;
        request(&self.client).bearer_auth(&token).send().await.map_err(plainly)
    }
}

/// An HTTP error without the address, which may hold more than a log should.
fn plainly(error: reqwest::Error) -> String {
    error.without_url().to_string()
}
