//! What does not compile, so that no handler is reached unchecked. Each case that must not compile differs from the one
//! before it, which does, in what it is about and nothing else.
//!
//! Handlers of actions take the permit:
//! ```
//! use marque_gate::{Permit, layer::{Actions, GateLayer}};
//! async fn rotate(vault: String, permit: Permit) -> String { vault }
//! fn app(gate: GateLayer) -> Actions<String> { gate.actions(String::new()).on("rotate_key", rotate) }
//! ```
//! one that takes none is no handler of an action:
//! ```compile_fail,E0593
//! use marque_gate::{Permit, layer::{Actions, GateLayer}};
//! async fn rotate(vault: String) -> String { vault }
//! fn app(gate: GateLayer) -> Actions<String> { gate.actions(String::new()).on("rotate_key", rotate) }
//! ```
//! nor one that takes the request instead:
//! ```compile_fail,E0631
//! use marque_gate::{Permit, layer::{Actions, GateLayer}};
//! async fn rotate(vault: String, request: axum::extract::Request) -> String { vault }
//! fn app(gate: GateLayer) -> Actions<String> { gate.actions(String::new()).on("rotate_key", rotate) }
//! ```
//!
//! A route without a gate takes any handler:
//! ```
//! use marque_gate::Permit;
//! async fn rotate(body: String) -> String { body }
//! fn app() -> axum::Router { axum::Router::new().route("/rotate", axum::routing::post(rotate)) }
//! ```
//! but one that takes a permit:
//! ```compile_fail,E0277
//! use marque_gate::Permit;
//! async fn rotate(permit: Permit) -> String { permit.action().into() }
//! fn app() -> axum::Router { axum::Router::new().route("/rotate", axum::routing::post(rotate)) }
//! ```
//! also under a layer, since an axum router could be taken out from under it:
//! ```compile_fail,E0277
//! use marque_gate::{Permit, layer::GateLayer};
//! async fn rotate(permit: Permit) -> String { permit.action().into() }
//! fn app(gate: GateLayer) -> axum::Router { axum::Router::new().route("/rotate", axum::routing::post(rotate)).layer(gate) }
//! ```
//! and also as state or as an extension, which are copied for each request:
//! ```
//! use marque_gate::Refusal;
//! fn app(refusal: Refusal) -> axum::Router { axum::Router::new().layer(axum::Extension(refusal)) }
//! ```
//! ```compile_fail,E0277
//! use marque_gate::Permit;
//! fn app(permit: Permit) -> axum::Router { axum::Router::new().layer(axum::Extension(permit)) }
//! ```
//!
//! A permit is for one call:
//! ```
//! use marque_gate::{Gate, Outcome, Permit};
//! async fn twice(gate: Gate, permit: Permit) { gate.settle(permit, Outcome::Committed, 0).await; }
//! ```
//! ```compile_fail,E0382
//! use marque_gate::{Gate, Outcome, Permit};
//! async fn twice(gate: Gate, permit: Permit) { gate.settle(permit, Outcome::Committed, 0).await; drop(permit); }
//! ```
//! and is read, never changed:
//! ```
//! fn change(permit: &mut marque_gate::Permit) { let _ = permit.args().get("to"); }
//! ```
//! ```compile_fail,E0596
//! fn change(permit: &mut marque_gate::Permit) { let _ = permit.args().get_mut("to"); }
//! ```
//!
//! A caller that was verified is used up by its one decision:
//! ```
//! use marque_gate::{Caller, ConcreteAction, Gate};
//! async fn decide(gate: Gate, caller: Caller, action: ConcreteAction) { let _ = gate.authorize(caller, action, 0).await; }
//! ```
//! ```compile_fail,E0382
//! use marque_gate::{Caller, ConcreteAction, Gate};
//! async fn decide(gate: Gate, caller: Caller, action: ConcreteAction) { let _ = gate.authorize(caller, action, 0).await; drop(caller); }
//! ```
