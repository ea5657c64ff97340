//! What a gate must be told before it can check anything.

use std::time::Duration;

/// Where a gate stands and whom it believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateConfig {
    pub(crate) location: String,
    pub(crate) environment: Option<String>,
    pub(crate) issuer: String,
    pub(crate) trust_domain: String,
    pub(crate) max_staleness: Duration,
    pub(crate) key_max_age: Duration,
    pub(crate) replay_capacity: usize,
    pub(crate) token_capacity: usize,
    pub(crate) step_up_reason: String,
    pub(crate) takes_certificates: bool,
    pub(crate) takes_workloads: bool,
}

/// A setting that a gate cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct ConfigError {
    /// Name of the setting.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl GateConfig {
    /// How old the knowledge of revocations may be unless configured otherwise.
    pub const MAX_STALENESS: Duration = Duration::from_secs(5);
    /// How long Marque's keys are believed unless configured otherwise when they cannot be read again.
    pub const KEY_MAX_AGE: Duration = Duration::from_secs(600);
    /// Proofs remembered unless configured otherwise, in some 16 MiB: over the 70 seconds that a proof is kept at most,
    /// about 1,400 calls a second of all clients together, 530 of one client alone, and 3 of each however busy a hundred
    /// others are. See [`GateConfig::with_replay_capacity`].
    pub const REPLAY_CAPACITY: usize = 100_000;
    /// Bytes of the heap for verified tokens unless configured otherwise: some 2,000 tokens of ten steps, callers that are
    /// busy at one resource server within the five minutes that a token lives. See [`GateConfig::with_token_capacity`].
    pub const TOKEN_CAPACITY: usize = 64 * 1024 * 1024;

    /// Why a person is asked about a call, unless the resource server has better words.
    pub const STEP_UP_REASON: &str = "The plan asks for the person's approval of each such call.";

    /// A gate for one resource server.
    ///
    /// `location` is the resource server's URI exactly as plans name it (RFC 9396 §2.2 `locations`),
    /// `issuer` the Marque issuer (claim `iss`), `trust_domain` the audience of its transaction
    /// tokens (claim `aud`, draft-ietf-oauth-transaction-tokens).
    ///
    /// # Errors
    /// When the location or the issuer is no plain http(s) URI, or the trust domain is empty.
    pub fn new(location: &str, issuer: &str, trust_domain: &str) -> Result<Self, ConfigError> {
        plain_uri("location", location)?;
        plain_uri("issuer", issuer)?;
        if trust_domain.is_empty() {
            return Err(ConfigError { setting: "trust_domain", problem: "is empty" });
        }
        Ok(Self {
            location: location.into(),
            environment: None,
            issuer: issuer.into(),
            trust_domain: trust_domain.into(),
            max_staleness: Self::MAX_STALENESS,
            key_max_age: Self::KEY_MAX_AGE,
            replay_capacity: Self::REPLAY_CAPACITY,
            token_capacity: Self::TOKEN_CAPACITY,
            step_up_reason: Self::STEP_UP_REASON.into(),
            takes_certificates: false,
            takes_workloads: false,
        })
    }

    /// The environment that the resource server runs in: one of its catalog's words. Without it every
    /// step that is for one environment alone is refused.
    #[must_use]
    pub fn in_environment(mut self, word: &str) -> Self {
        self.environment = Some(word.into());
        self
    }

    /// How old the knowledge of revocations may be before everything is refused. Whole seconds;
    /// a fraction is dropped. This is the gate's policy, never a field of the plan.
    #[must_use]
    pub fn with_max_staleness(mut self, limit: Duration) -> Self {
        self.max_staleness = limit;
        self
    }

    /// How long Marque's published keys are believed when they cannot be read again; then every token is refused. They
    /// are read anew well before. A key that Marque withdraws is known at once by the revocation feed; this bounds what
    /// somebody gains who keeps both from the gate.
    #[must_use]
    pub fn with_key_max_age(mut self, limit: Duration) -> Self {
        self.key_max_age = limit;
        self
    }

    /// How many proofs are remembered at once. They are shared by client, the one that acts (claim `act.sub`), whatever its
    /// keys and for whomever it acts.
    ///
    /// Three quarters are for all: there a client may have as much as is left. One alone takes half of that, two at the same
    /// time a third each; of those who come one after another each takes half of what it finds. The last quarter is kept for
    /// clients that have less than a 400th of the whole: such a one is always taken, unless more than a hundred other clients
    /// have called within the last 70 seconds. So many that take all they can may leave nothing to it, with whatever number
    /// of entries. Of less than 400 entries, a client that has none is taken unless as many others have called as a quarter
    /// of the entries, and one more.
    ///
    /// Who is given no room is answered 503 ([`Reason::StateUnavailable`](crate::Reason::StateUnavailable)) until some
    /// proofs are old enough to be forgotten, after 70 seconds at most.
    #[must_use]
    pub fn with_replay_capacity(mut self, entries: usize) -> Self {
        self.replay_capacity = entries;
        self
    }

    /// Bytes of the heap for verified tokens that are remembered, so that the next call with one costs no signature. A
    /// token is counted with what it can take: a kilobyte, ten times its bytes as it travels, with those of an envelope
    /// that it names by digest, and 16 KiB for each pattern of its steps. What several threads match against one pattern
    /// at the same time comes on top. With 0 each call's token is verified anew.
    #[must_use]
    pub fn with_token_capacity(mut self, bytes: usize) -> Self {
        self.token_capacity = bytes;
        self
    }

    /// Other words for why a person is asked about a call: at most 280 characters, which she is shown as unchecked.
    #[must_use]
    pub fn with_step_up_reason(mut self, reason: &str) -> Self {
        self.step_up_reason = reason.into();
        self
    }

    /// The resource server's TLS asks clients for certificates: its [metadata](Self::metadata) says that tokens may be bound
    /// to them. Whatever it says, a bound token is good with its certificate alone.
    #[must_use]
    pub fn with_client_certificates(mut self) -> Self {
        self.takes_certificates = true;
        self
    }

    /// The resource server takes calls of workloads that no person signed anything for, and decides about them by itself:
    /// [`Gate::verify_workload`](crate::Gate::verify_workload) then says who calls. Without it such calls are refused. No plan permits anything for them
    /// either way.
    #[must_use]
    pub fn with_workloads(mut self) -> Self {
        self.takes_workloads = true;
        self
    }

    /// The resource server's URI.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The Marque issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

fn plain_uri(setting: &'static str, value: &str) -> Result<(), ConfigError> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let plain = rest.is_some_and(|rest| !rest.is_empty() && !rest.ends_with('/') && !rest.contains(['?', '#', '@']));
    let problem = "is not an http(s) URI without user, query, fragment and final slash";
    if plain { Ok(()) } else { Err(ConfigError { setting, problem }) }
}
