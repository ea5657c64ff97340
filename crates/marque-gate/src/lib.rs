//! Checks each concrete action at a resource server against the plan a person signed.
//!
//! A request carries a transaction token in `Txn-Token` and a proof of its key in `DPoP`. The gate
//! turns both, and the action that the request asks for, into a [`Permit`] or a [`Refusal`]. A
//! handler that takes a `Permit` cannot be called unchecked, and reads from it exactly what was
//! checked.
//!
//! ```
//! # use marque_gate::{Args, ConcreteAction, FixedKeys, Gate, GateConfig, Outcome, Presented, Revocations};
//! # async fn serve(jwks: serde_json::Value, txn_token: &str, dpop: &str, now: i64) -> Result<(), Box<dyn std::error::Error>> {
//! let config = GateConfig::new("https://keys.example", "https://marque.example/realms/demo", "demo.example")?;
//! let keys = FixedKeys::new(marque_core::jws::KeySet::from_jwks(&jwks)?);
//! let gate = Gate::new(config, keys, Revocations::new());
//! let request = Presented::new("POST", "https://keys.example/service-accounts/svc-api/rotate")
//!     .with_header("Txn-Token", txn_token)
//!     .with_header("DPoP", dpop);
//! let action = ConcreteAction::new("rotate_key", "service_account", "svc-api", Args::parse(b"{}")?);
//! let permit = gate.check(&request, action, now).await?;
//! println!("rotating {} for {}", permit.resource().id, permit.subject());
//! gate.settle(permit, Outcome::Committed, now).await;
//! # Ok(()) }
//! ```
//!
//! Where the plan has the person asked again before a call, a gate with a [`Signer`] answers a client that takes
//! challenges (`Accept-Txn-Challenge: ?1`) with one for exactly this call.
//!
//! A resource server that is connected to Marque, with the features `http` and `tower`, needs no more than this; `action`
//! says which action a request is, and `rotate_key` does what a permit says (see module `layer`):
//!
#![cfg_attr(all(feature = "http", feature = "tower"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "http", feature = "tower")), doc = "```ignore")]
//! # use marque_gate::{Args, ConcreteAction, GateConfig, Permit, Refusal, layer::GateLayer, remote::{AccessTokens, Marque}};
//! # fn action(_: &http::request::Parts, args: Args) -> Result<ConcreteAction, Refusal> { Ok(ConcreteAction::new("rotate_key", "key", "k", args)) }
//! # type Vault = ();
//! # async fn rotate_key(_: Vault, permit: Permit) -> String { permit.resource().id.clone() }
//! # async fn serve(tokens: impl AccessTokens + 'static, vault: Vault) -> Result<(), Box<dyn std::error::Error>> {
//! let config = GateConfig::new("https://keys.example", "https://marque.example/realms/demo", "demo.example")?;
//! let (gate, feed) = Marque::new(&config, tokens)?.gate(config);
//! let actions = GateLayer::new(gate.into(), action).actions(vault).on("rotate_key", rotate_key);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! axum::serve(listener, axum::Router::new().fallback_service(actions)).await?;
//! drop(feed); // Until here the gate hears of revocations.
//! # Ok(()) }
//! ```
//!
//! Without features the crate has no I/O: keys, revocations, ledger and `now` are handed in, and only uncounted reads
//! without history are decided.
//!
//! | feature | what it adds |
//! |---|---|
//! | none (default) | the checks themselves, offline |
//! | `http` | module `remote`: Marque's keys, its revocation feed, its ledger and its envelopes over HTTP |
//! | `tower` | module `layer`: handlers that are reached with a permit alone, for axum and other tower servers |
//! | `postgres` | module `postgres`: uses counted in the resource server's own database, each committed in the transaction of its effect; proofs taken once by several gates |
//!
//! A resource server that counts in its own Postgres needs no more than this, and no other ledger for steps of its own
//! (feature `postgres`):
//!
#![cfg_attr(feature = "postgres", doc = "```no_run")]
#![cfg_attr(not(feature = "postgres"), doc = "```ignore")]
//! # use marque_gate::{ConcreteAction, Gate, GateConfig, KeySource, Outcome, Presented, Revocations, postgres::GateDatabase};
//! # async fn serve(config: GateConfig, keys: impl KeySource + 'static, feed: Revocations, shop: sqlx::PgPool,
//! #     request: Presented, action: ConcreteAction, now: i64) -> Result<(), Box<dyn std::error::Error>> {
//! let database = GateDatabase::connect("postgres://localhost/shop".parse()?, "marque_gate", &config).await?;
//! let ledger = database.ledger();
//! let gate = Gate::new(config, keys, feed).with_ledger(ledger.clone()).with_proof_store(database.proofs());
//! // Each request:
//! let permit = gate.check(&request, action, now).await?;
//! let mut tx = shop.begin().await?;
//! sqlx::query("insert into orders (item) values ($1)").bind(&permit.resource().id).execute(&mut *tx).await?;
//! let _ = ledger.commit_in(&mut tx, &permit, Outcome::Committed).await?;
//! tx.commit().await?;
//! # Ok(()) }
//! ```
//!
//! A token whose steps are longer than 4 KiB carries the digest of its envelope. A gate with a source of
//! [`envelopes`] fetches each once and compares it with the digest; one without refuses such tokens.
//!
//! Everything fails closed: what is unknown, stale, unreachable or malformed is refused, each with
//! one [`Reason`] of the closed list. See [`Gate`] for the order of the checks.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod action;
mod cache;
mod caller;
#[cfg(any(feature = "http", feature = "tower"))]
mod clock;
mod config;
mod ending;
pub mod envelopes;
mod gate;
pub mod keys;
#[cfg(feature = "tower")]
pub mod layer;
pub mod ledger;
mod metadata;
mod permit;
#[cfg(feature = "postgres")]
pub mod postgres;
mod refusal;
#[cfg(feature = "http")]
pub mod remote;
pub mod replay;
mod request;
pub mod revocations;
mod signer;
mod step_up;
mod token;
mod weight;

pub use action::{Args, ConcreteAction};
pub use caller::Caller;
pub use config::{ConfigError, GateConfig};
pub use ending::{CallResult, Ending};
pub use envelopes::EnvelopeSource;
pub use gate::{Gate, Workload};
pub use keys::{FixedKeys, KeySource};
pub use ledger::{Ledger, Outcome};
pub use marque_core::reason::Reason;
pub use permit::Permit;
pub use refusal::Refusal;
pub use request::{PeerCertificate, Presented};
pub use revocations::Revocations;
pub use signer::{Signer, SigningKey};
pub use token::VerifiedToken;
