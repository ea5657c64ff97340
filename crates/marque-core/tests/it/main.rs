//! What the core promises, shown from outside: only its public items are used here.

mod attenuate;
mod catalog;
mod catalog_lint;
mod claims;
mod decide;
mod diff;
mod display;
mod dpop;
mod evidence;
mod explain;
mod generated;
mod hostile;
mod json;
mod jws;
mod limits;
mod lint;
mod once;
mod plan;
mod precedence;
mod receipt;
mod resolve;
mod step_up;
mod support;
mod text;
mod times;
mod unexplained;
