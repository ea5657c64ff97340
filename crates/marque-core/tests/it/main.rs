//! What the core promises, shown from outside: only its public items are used here.

mod attenuate;
mod catalog;
mod claims;
mod decide;
mod display;
mod dpop;
mod evidence;
mod json;
mod jws;
mod plan;
mod resolve;
mod support;
mod text;
