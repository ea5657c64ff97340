//! `{"parent": […], "requests": […]}`: the steps that a token carries, and what an exchange asks to keep of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::attenuate::{StepRequest, attenuate, covers};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::{json, limits};
use serde_json::Value;
use std::collections::BTreeSet;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Value::Object(mut members)) = json::parse_plan(bytes, limits::PLAN_BYTES) else { return };
    let (Some(parent), Some(requests)) = (members.remove("parent"), members.remove("requests")) else { return };
    let (Ok(steps), Ok(requests)) =
        (json::typed::<Vec<EnvelopeStep>>(parent), json::typed::<Vec<StepRequest>>(requests))
    else {
        return;
    };
    let parent = Envelope { steps, ..Envelope::default() };
    // A signed plan names no step twice.
    let ids: BTreeSet<&str> = parent.steps.iter().map(|step| step.id.as_str()).collect();
    if ids.len() < parent.steps.len() {
        return;
    }
    let Ok(child) = attenuate(&parent, &requests) else { return };
    assert!(covers(&parent, &child), "narrowing never widens: {child:?}");
    assert_eq!(child.steps.len(), requests.len(), "a step for each request");
    assert_eq!(attenuate(&child, &requests).as_ref(), Ok(&child), "asked again, nothing changes");
});
