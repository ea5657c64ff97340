//! What Marque means: plans, constraints, attenuation, decisions and the tokens that carry them.
//!
//! This crate is pure. It has no I/O, no clock and no randomness: time is a `now` argument in
//! seconds since the Unix epoch, keys are a [`jws::KeySet`], and everything that a decision depends
//! on is handed in. A resource server and the authorization server run the very same code.
//!
//! Reading order: [`json`] and [`text`] refuse hostile input, [`plan`] and [`catalog`] give it
//! types, [`resolve`] turns a submission into what is signed, [`display`] and [`challenge`] bind it
//! to what a person saw, [`claims`] carries it, [`attenuate`] narrows it, [`decide`] applies it.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod access_token;
pub mod attenuate;
pub mod call;
pub mod canonical;
pub mod catalog;
pub mod challenge;
pub mod claims;
pub mod constraint;
pub mod decide;
pub mod diff;
pub mod display;
pub mod dpop;
pub mod envelope;
pub mod evidence;
pub mod explain;
pub mod facts;
pub mod json;
pub mod jws;
pub mod leave;
pub mod lifecycle;
pub mod limits;
pub mod lint;
pub mod mark;
pub mod names;
pub mod plan;
pub mod prepared;
pub mod reason;
pub mod recall;
pub mod receipt;
pub mod resolve;
#[cfg(feature = "schema")]
pub mod schema;
pub mod status_list;
pub mod step_up;
pub mod taint;
pub mod text;
pub mod times;
pub mod timestamp;
pub mod value;
