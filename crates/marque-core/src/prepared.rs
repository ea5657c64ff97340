//! An envelope with an index: made once for a verified token, asked for each call.

use crate::call::Call;
use crate::constraint::Work;
use crate::decide::{Case, Decision, Offline, decide, decide_offline};
use crate::envelope::{Envelope, EnvelopeStep};
use crate::facts::Facts;
use crate::limits;
use crate::plan::ResourceId;
use std::collections::HashMap;

/// Steps up to which looking at each is faster than an index.
const FEW: usize = 8;

/// An envelope that finds the steps a call may be of without looking at all of them.
#[derive(Clone, Debug)]
pub struct Prepared {
    envelope: Envelope,
    index: Option<Index>,
}

/// By location, then by action.
type Index = HashMap<String, HashMap<String, Candidates>>;

/// The steps of one action, by their place in the envelope.
#[derive(Clone, Debug, Default)]
struct Candidates {
    /// Those of exactly one resource id.
    exact: HashMap<String, Vec<usize>>,
    /// The others.
    bound: Vec<usize>,
}

impl From<Envelope> for Prepared {
    fn from(envelope: Envelope) -> Self {
        let index = (envelope.steps.len() > FEW).then(|| index(&envelope.steps));
        Self { envelope, index }
    }
}

fn index(steps: &[EnvelopeStep]) -> Index {
    let mut index = Index::new();
    for (place, step) in steps.iter().enumerate() {
        let actions = index.entry(step.location.clone()).or_default();
        let candidates = actions.entry(step.action.clone()).or_default();
        match &step.resource.id {
            ResourceId::Exact(id) => candidates.exact.entry(id.clone()).or_default().push(place),
            ResourceId::Bound(_) => candidates.bound.push(place),
        }
    }
    index
}

impl Prepared {
    /// The envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The same as [`crate::decide::decide`], except that only the steps that the index finds are charged for: it may
    /// permit what the other has not the work for. A refusal costs at most twice its work: it looks at every step again.
    pub fn decide(&self, call: &Call, facts: &Facts, now: i64) -> Decision<'_> {
        let found = self.permitting(call, Some(facts), now);
        found.map_or_else(|| decide(&self.envelope, call, facts, now), Decision::Permit)
    }

    /// The same as [`crate::decide::decide_offline`], with the same exception.
    pub fn decide_offline(&self, call: &Call, now: i64) -> Offline<'_> {
        let found = self.permitting(call, None, now);
        found.map_or_else(|| decide_offline(&self.envelope, call, now), Offline::Permit)
    }

    /// The step that permits the call, if the index finds one; a refusal looks at every step.
    fn permitting(&self, call: &Call, facts: Option<&Facts>, now: i64) -> Option<&EnvelopeStep> {
        let index = self.index.as_ref()?;
        Case::new(&self.envelope, call, facts, now, &Work::new(limits::DECISION_WORK))
            .permitting(self.candidates(index, call))
    }

    /// The steps of the call's location and action whose id may be the call's, in the envelope's order.
    fn candidates<'p>(&'p self, index: &'p Index, call: &Call) -> impl Iterator<Item = &'p EnvelopeStep> {
        let of_action = index.get(&call.location).and_then(|actions| actions.get(&call.action));
        let exact = of_action.and_then(|candidates| candidates.exact.get(&call.resource.id));
        let mut exact = exact.map_or(&[][..], Vec::as_slice).iter().peekable();
        let mut bound = of_action.map_or(&[][..], |candidates| &candidates.bound).iter().peekable();
        std::iter::from_fn(move || match (exact.peek(), bound.peek()) {
            (Some(a), Some(b)) if a > b => bound.next(),
            (Some(_), _) => exact.next(),
            (None, _) => bound.next(),
        })
        .filter_map(|place| self.envelope.steps.get(*place))
    }
}
