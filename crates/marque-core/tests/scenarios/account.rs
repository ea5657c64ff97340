//! What all scenarios show together, and what they must.

use crate::run::Seen;
use marque_core::attenuate::StepRequest;
use marque_core::constraint::Constraint;
use marque_core::envelope::Envelope;
use marque_core::reason::Reason;
use marque_scenarios::format::Scenario;
use marque_scenarios::tag::Tag;
use serde_json::Value;
use std::collections::BTreeSet;

/// Reasons that no plan, hop or call leads to, and what gives them instead.
const OUT_OF_REACH: [(&[Reason], &str); 7] = [
    (
        &[
            Reason::TokenMissing,
            Reason::TokenInvalid,
            Reason::TokenExpired,
            Reason::ProofMissing,
            Reason::ProofInvalid,
            Reason::ProofReplayed,
            Reason::ProofKeyMismatch,
            Reason::CertificateMismatch,
            Reason::AuthenticationInsufficient,
            Reason::CallDigestMismatch,
        ],
        "a gate reads tokens and proofs before it decides",
    ),
    (
        &[Reason::RevocationStateStale, Reason::IntentRevoked, Reason::IntentSuspended, Reason::TokenRevoked],
        "a gate follows the feed of revocations",
    ),
    (&[Reason::StepUpRequired], "the code on the wire for what a scenario expects as step_up"),
    (
        &[Reason::ChallengeInvalid, Reason::ChallengeUsed, Reason::StepUpNotNeeded],
        "the server reads a challenge before it asks the person",
    ),
    (
        &[
            Reason::LedgerUnavailable,
            Reason::PermitNotOpen,
            Reason::ReceiptInvalid,
            Reason::StateUnavailable,
            Reason::NoLiveIntent,
        ],
        "the ledger's and the server's state",
    ),
    (
        &[Reason::NotADelegate, Reason::ActorLoop, Reason::TooManyHops],
        "a token exchange looks at who asks before it narrows",
    ),
    (
        &[
            Reason::NotPaired,
            Reason::AgentInactive,
            Reason::TooManyPending,
            Reason::DeniedByUser,
            Reason::EvidenceInvalid,
            Reason::UserInactive,
            Reason::PasskeyRemoved,
        ],
        "the server admits and approves plans of known people and agents",
    ),
];

/// What was seen in all scenarios.
#[derive(Default)]
pub struct Account {
    allowed: BTreeSet<&'static str>,
    refused: BTreeSet<&'static str>,
    not_widened: BTreeSet<&'static str>,
    reasons: BTreeSet<Reason>,
    tags: BTreeSet<Tag>,
}

impl Account {
    pub fn add(&mut self, scenario: &Scenario, seen: &[Seen]) {
        self.tags.extend(&scenario.shows);
        for seen in seen {
            match seen {
                Seen::Permitted { step, call } => {
                    for (name, value) in &call.args {
                        step.args
                            .get(name)
                            .or_else(|| step.args.get("*"))
                            .into_iter()
                            .for_each(|allowed| self.allow(allowed, value));
                    }
                    self.allow(&step.resource.id.as_constraint(), &Value::from(call.resource.id.as_str()));
                }
                Seen::Refused { step, refusal } => {
                    self.reasons.insert(refusal.reason);
                    let named = refusal.nearest.as_ref().and_then(|nearest| nearest.argument.as_ref());
                    let constraint = match (step, refusal.reason, named) {
                        (Some(step), Reason::ResourceNotInPlan, _) => {
                            Some(step.resource.id.as_constraint().into_owned())
                        }
                        (Some(step), Reason::ArgumentMismatch | Reason::ArgumentMissing, Some(name)) => {
                            step.args.get(name).cloned()
                        }
                        _ => None,
                    };
                    constraint.iter().for_each(|constraint| self.refuse(constraint, refusal.reason));
                }
                Seen::NotNarrowed { parent, requests, reason } => {
                    self.reasons.insert(*reason);
                    self.not_widened.extend(the_only_change(parent, requests));
                }
                Seen::NotSubmitted(reason) => {
                    self.reasons.insert(*reason);
                }
                Seen::StepUp => {}
            }
        }
    }

    /// The kinds that took part in allowing a value. Which branch of an `either` did is not looked at.
    fn allow(&mut self, constraint: &Constraint, value: &Value) {
        self.allowed.insert(kind(constraint));
        match constraint {
            Constraint::Optional(inner) => self.allow(inner, value),
            Constraint::All(parts) => parts.iter().for_each(|part| self.allow(part, value)),
            Constraint::Items(rule) => {
                value.as_array().iter().filter_map(|items| items.first()).for_each(|item| self.allow(&rule.of, item))
            }
            Constraint::Each(of) => {
                value.as_array().iter().filter_map(|items| items.first()).for_each(|item| self.allow(of, item))
            }
            Constraint::Obj(members) => {
                for (name, member) in members {
                    value.get(name).into_iter().for_each(|value| self.allow(member, value));
                }
            }
            _ => {}
        }
    }

    /// A missing argument is all that `any` refuses; the others refuse a value.
    fn refuse(&mut self, constraint: &Constraint, reason: Reason) {
        let is_any = matches!(constraint, Constraint::Any(_));
        if is_any == (reason == Reason::ArgumentMissing) {
            self.refused.insert(kind(constraint));
            if let Constraint::Optional(inner) = constraint {
                self.refused.insert(kind(inner));
            }
        }
    }

    /// What is missing, a line for each.
    pub fn missing(&self) -> Vec<String> {
        let kinds = |seen: &BTreeSet<&str>, what: &str| {
            let missing: Vec<_> = Constraint::KINDS.iter().filter(|kind| !seen.contains(**kind)).collect();
            (!missing.is_empty()).then(|| format!("no scenario {what}: {missing:?}"))
        };
        let out_of_reach: Vec<Reason> = OUT_OF_REACH.iter().flat_map(|(reasons, _)| reasons.iter().copied()).collect();
        let is_reached = |reason: &&Reason| !out_of_reach.contains(reason);
        let reasons: Vec<_> =
            Reason::ALL.iter().filter(is_reached).filter(|reason| !self.reasons.contains(reason)).collect();
        let wrong: Vec<_> = out_of_reach.iter().filter(|reason| self.reasons.contains(reason)).collect();
        let tags: Vec<_> = Tag::ALL.iter().filter(|tag| !self.tags.contains(tag)).collect();
        let list = |missing: String, is_empty: bool, what: &str| (!is_empty).then(|| format!("{what}: {missing}"));
        [
            kinds(&self.allowed, "allows a value by"),
            kinds(&self.refused, "refuses a value by"),
            kinds(&self.not_widened, "refuses a hop that widens"),
            list(format!("{reasons:?}"), reasons.is_empty(), "never expected"),
            list(format!("{wrong:?}"), wrong.is_empty(), "expected, and listed as out of reach"),
            list(format!("{tags:?}"), tags.is_empty(), "shown by no scenario"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The kind of the parent's constraint, where a hop asked to change that one and nothing else.
fn the_only_change(parent: &Envelope, requests: &[StepRequest]) -> Option<&'static str> {
    let [request] = requests else { return None };
    let plain =
        StepRequest { args: request.args.clone(), resource_id: request.resource_id.clone(), ..narrowest(request) };
    let step = parent.step(&request.id).filter(|_| plain == *request)?;
    match (&request.resource_id, request.args.first_key_value()) {
        (None, Some((name, wanted))) if request.args.len() == 1 && step.args.get(name) != Some(wanted) => {
            step.args.get(name).map(kind)
        }
        (Some(_), None) => Some(kind(&step.resource.id.as_constraint())),
        _ => None,
    }
}

fn narrowest(request: &StepRequest) -> StepRequest {
    let bare = serde_json::json!({"type": marque_core::names::DETAIL_STEP, "id": request.id});
    serde_json::from_value(bare).unwrap()
}

fn kind(constraint: &Constraint) -> &'static str {
    use Constraint as C;
    match constraint {
        C::Const(_) => "const",
        C::OneOf(_) => "one_of",
        C::Text(_) => "text",
        C::Pattern(_) => "pattern",
        C::Num(_) => "num",
        C::Amount(_) => "amount",
        C::TimeWindow(_) => "time_window",
        C::Domain(_) => "domain",
        C::Prefix(_) => "prefix",
        C::Items(_) => "items",
        C::Obj(_) => "obj",
        C::Each(_) => "each",
        C::All(_) => "all",
        C::Either(_) => "either",
        C::Optional(_) => "optional",
        C::Ref(_) => "ref",
        C::RefSet(_) => "ref_set",
        C::SameAs(_) => "same_as",
        C::Fmt(_) => "fmt",
        C::Compute(_) => "compute",
        C::Rel(_) => "rel",
        C::Attr(_) => "attr",
        C::Extract(_) => "extract",
        C::Quote(_) => "quote",
        C::Any(_) => "any",
    }
}
