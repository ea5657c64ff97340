//! What the core promises, shown from outside: only its public items are used here.

mod attenuate;
mod catalog;
mod claims;
mod decide;
mod diff;
mod display;
mod dpop;
mod evidence;
mod explain;
mod generated;
mod json;
mod jws;
mod lint;
mod plan;
mod resolve;
mod step_up;
mod support;
mod text;
