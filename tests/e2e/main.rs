//! Ceremonies on real parts: Keycloak with the extension, Marque, a headless browser with a passkey.
//!
//! They run one at a time against the stack that `MARQUE_STACK` names by its `env.json`; `make test` brings one up.

mod answers;
mod browser;
mod case;
mod decisions;
mod evidence;
mod gestures;
mod keycloak;
mod pages;
mod people;
mod proxy;
mod replays;
mod step_up;
