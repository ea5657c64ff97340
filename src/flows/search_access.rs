//! What may still be done here (AuthZEN Authorization API 1.0 §8): who, what with, and which actions.
//!
//! 1. The resource server answers for the location.
//! 2. Whose: the token's, which is still active; or the live intents of users, where the resource server is switched
//!    to ask by name. Nothing is charged, and no proof is asked for: who has the token can read it.
//! 3. Candidates come from the steps: their actions, their resource ids as far as those can be listed. Each candidate
//!    goes through `decide` with the uses so far, so that exhausted steps are left out.

use super::authenticate_resource_server::ResourceServer;
use super::envelopes::carried;
use super::evaluate_access::verify_token;
use super::live_intents::{self, UserProperty, facts_now};
use super::properties::Properties;
use super::resolve_by_subject::USER;
use super::steps_left::{Left, StepsLeft};
use super::{Context, FlowError, parse_intent_id};
use crate::store;
use marque_core::call::{Call, CallResource};
use marque_core::constraint::{Constraint, True};
use marque_core::decide::{Decision, decide};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::facts::{Facts, Records};
use marque_core::plan::ResourceId;
use marque_core::reason::Reason;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The AuthZEN subject type of agents.
pub const AGENT: &str = "agent";
/// Live intents that one search for subjects looks at, the newest first.
const INTENTS: i64 = 256;
/// Candidates that one search decides about: a plan of some intents lists less.
const CANDIDATES: usize = 2_000;

/// What is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Who may do it.
    Subject,
    /// What it may be done to.
    Resource,
    /// What may be done.
    Action,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    /// What is searched for; the request's own value for it is not looked at.
    pub target: Target,
    /// `subject.type`.
    pub subject_kind: String,
    /// `subject.id`; empty where subjects are searched for.
    pub subject_id: String,
    /// `context.txn_token`, for agents.
    pub txn_token: Option<String>,
    /// `context.location`, where stated.
    pub location: Option<String>,
    /// `action.name`.
    pub action: String,
    /// `action.properties`: the arguments, where stated.
    pub args: Option<Map<String, Value>>,
    /// `resource`; with an empty id where resources are searched for.
    pub resource: CallResource,
    /// `context.environment`.
    pub environment: Option<String>,
    /// `context.records`.
    pub records: Records,
    /// What is said of subject and resource beside their ids.
    pub properties: Properties,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Ids of subjects or resources, or names of actions.
    pub results: BTreeSet<String>,
    /// The steps behind them, and those whose resources cannot be listed.
    pub steps: Vec<Left>,
    /// Whether there was more than one search decides about.
    pub is_cut: bool,
    /// Why nothing could be found, where it is not that there is nothing.
    pub reason: Option<Reason>,
}

/// One holder of permissions.
struct Holding<'h> {
    subject: &'h str,
    intent_id: Uuid,
    envelope: &'h Envelope,
    facts: Facts,
}

/// Searches.
///
/// # Errors
/// `invalid_target` if the resource server does not answer for the location.
pub async fn search_access(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    search: &Search,
) -> Result<Found, FlowError> {
    let location = resource_server.location(search.location.as_deref())?.to_owned();
    let mut looking = Looking { search, location, now: cx.now_secs(), left: CANDIDATES, found: Found::default() };
    if search.subject_kind == AGENT {
        look_at_token(cx, &mut looking).await?;
    } else if let Some(property) = resource_server.resolves_by() {
        if search.subject_kind == USER {
            look_at_users(cx, &mut looking, property).await?;
        }
    } else {
        looking.found.reason = Some(Reason::TokenMissing);
    }
    Ok(looking.found)
}

async fn look_at_token(cx: Context<'_>, looking: &mut Looking<'_>) -> Result<(), FlowError> {
    let Some(token) = &looking.search.txn_token else {
        looking.found.reason = Some(Reason::TokenMissing);
        return Ok(());
    };
    let actor = Some(looking.search.subject_id.as_str()).filter(|_| looking.search.target != Target::Subject);
    let checked = verify_token(cx, token, actor).and_then(|claims| {
        let intent_id = parse_intent_id(&claims.tctx.intent.id).ok_or(Reason::TokenInvalid)?;
        Ok((claims, intent_id))
    });
    let (claims, intent_id) = match checked {
        Ok(checked) => checked,
        Err(reason) => {
            looking.found.reason = Some(reason);
            return Ok(());
        }
    };
    let mut conn = cx.app.db.look().await?;
    looking.found.reason = cx.why_not_active(&mut conn, intent_id).await?;
    let token_id = parse_intent_id(&claims.jti).ok_or_else(|| FlowError::internal("a token's id does not parse"))?;
    if store::tokens::is_revoked(&mut conn, intent_id, token_id).await? {
        looking.found.reason.get_or_insert(Reason::TokenRevoked);
    }
    drop(conn);
    if looking.found.reason.is_none() {
        let Some(envelope) = carried(cx, &claims.tctx.carried).await? else {
            looking.found.reason = Some(Reason::TokenInvalid);
            return Ok(());
        };
        let envelope = &*envelope;
        let facts = facts_now(cx, intent_id, envelope).await?;
        looking.at(&Holding { subject: &claims.act.sub, intent_id, envelope, facts });
    }
    Ok(())
}

async fn look_at_users(cx: Context<'_>, looking: &mut Looking<'_>, property: UserProperty) -> Result<(), FlowError> {
    let (user, limit) = match looking.search.target {
        Target::Subject => (None, INTENTS),
        Target::Resource | Target::Action => (Some(property.of(&looking.search.subject_id)), live_intents::INTENTS),
    };
    for approved in live_intents::find(cx, &looking.location, user, limit).await? {
        let envelope = &approved.envelope;
        if envelope.steps.iter().any(|step| looking.concerns(step)) {
            let facts = facts_now(cx, approved.intent_id, envelope).await?;
            looking.at(&Holding {
                subject: property.name_of(&approved),
                intent_id: approved.intent_id,
                envelope,
                facts,
            });
        }
    }
    Ok(())
}

/// A search under way.
struct Looking<'s> {
    search: &'s Search,
    location: String,
    now: i64,
    /// Candidates that may still be decided about.
    left: usize,
    found: Found,
}

impl Looking<'_> {
    /// Whether a step is about what is searched for, arguments and circumstances aside.
    fn concerns(&self, step: &EnvelopeStep) -> bool {
        step.location == self.location
            && step.resource.kind == self.search.resource.kind
            && (self.search.target == Target::Action || step.action == self.search.action)
    }

    fn at(&mut self, holding: &Holding<'_>) {
        let is_open =
            self.search.target == Target::Action || (self.search.args.is_none() && self.search.subject_kind == AGENT);
        let opened = is_open.then(|| opened(holding.envelope));
        let envelope = opened.as_ref().unwrap_or(holding.envelope);
        let mut steps = StepsLeft::new(holding.intent_id, &holding.facts);
        for (result, call) in self.candidates(holding) {
            let Some(left) = self.left.checked_sub(1) else {
                self.found.is_cut = true;
                break;
            };
            self.left = left;
            match decide(envelope, &call, &holding.facts, self.now) {
                Decision::Permit(step) => {
                    steps.add(holding.envelope, &step.id, false);
                    self.found.results.insert(result);
                }
                Decision::StepUp(step_up) => steps.add(holding.envelope, &step_up.step.id, true),
                Decision::Escalate(_) | Decision::Deny(_) => {}
            }
        }
        if self.search.target == Target::Resource {
            let unlisted = holding.envelope.steps.iter().filter(|step| self.concerns(step) && !is_listed(step));
            unlisted.for_each(|step| steps.add_unless_used_up(step));
        }
        self.found.steps.extend(steps.done());
    }

    /// What could be found in a holding, each with the call that it stands for.
    fn candidates(&self, holding: &Holding<'_>) -> Vec<(String, Call)> {
        let concerned = holding.envelope.steps.iter().filter(|step| self.concerns(step));
        let (action, id) = (&self.search.action, &self.search.resource.id);
        match self.search.target {
            Target::Subject => vec![(holding.subject.to_owned(), self.call(action, id))],
            Target::Action => {
                let names: BTreeSet<&String> = concerned.map(|step| &step.action).collect();
                names.into_iter().map(|name| (name.clone(), self.call(name, id))).collect()
            }
            Target::Resource => {
                let ids: BTreeSet<&str> = concerned.flat_map(|step| listed_ids(&step.resource.id).0).collect();
                ids.into_iter().map(|id| (id.to_owned(), self.call(action, id))).collect()
            }
        }
    }

    fn call(&self, action: &str, id: &str) -> Call {
        let resource = CallResource { kind: self.search.resource.kind.clone(), id: id.to_owned() };
        let mut call = Call::new(&self.location, action, resource, self.search.args.clone().unwrap_or_default());
        call.environment.clone_from(&self.search.environment);
        call.records.clone_from(&self.search.records);
        self.search.properties.record(id, &mut call.records);
        call
    }
}

/// The envelope with every argument left open: whether some arguments could be permitted.
fn opened(envelope: &Envelope) -> Envelope {
    let mut opened = envelope.clone();
    opened.bounds.budgets.retain(|budget| budget.arg.is_none());
    for step in &mut opened.steps {
        step.args = BTreeMap::from([("*".to_owned(), Constraint::Any(True))]);
    }
    opened
}

fn is_listed(step: &EnvelopeStep) -> bool {
    listed_ids(&step.resource.id).1
}

/// The ids that a step's resource could have, and whether those are all.
fn listed_ids(id: &ResourceId) -> (Vec<&str>, bool) {
    match id {
        ResourceId::Exact(id) => (vec![id], true),
        ResourceId::Bound(constraint) => listed(constraint),
    }
}

fn listed(constraint: &Constraint) -> (Vec<&str>, bool) {
    match constraint {
        Constraint::Const(value) => (value.as_str().into_iter().collect(), true),
        Constraint::OneOf(values) => (values.iter().filter_map(Value::as_str).collect(), true),
        // One part that lists is enough: what the others refuse, `decide` refuses.
        Constraint::All(parts) => {
            let lists = parts.iter().map(listed);
            lists.reduce(|found, next| if found.1 { found } else { next }).unwrap_or_default()
        }
        Constraint::Either(parts) => {
            let lists = parts.iter().map(listed);
            lists.fold((Vec::new(), true), |(mut ids, all), (more, is_all)| {
                ids.extend(more);
                (ids, all && is_all)
            })
        }
        _ => (Vec::new(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(constraint: Value) -> (Vec<String>, bool) {
        let constraint: Constraint = serde_json::from_value(constraint).unwrap();
        let (ids, is_all) = listed(&constraint);
        (ids.into_iter().map(str::to_owned).collect(), is_all)
    }

    #[test]
    fn ids_are_listed_where_a_constraint_names_them() {
        let all = |ids: &[&str]| (ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>(), true);
        assert_eq!(of(json!({"const": "a"})), all(&["a"]));
        assert_eq!(of(json!({"one_of": ["a", "b", 5]})), all(&["a", "b"]));
        assert_eq!(of(json!({"all": [{"pattern": "a+"}, {"one_of": ["a", "b"]}]})), all(&["a", "b"]));
        assert_eq!(of(json!({"either": [{"const": "a"}, {"const": "b"}]})), all(&["a", "b"]));
        assert_eq!(of(json!({"either": [{"const": "a"}, {"prefix": "/b/"}]})), (vec!["a".into()], false));
        assert_eq!(of(json!({"any": true})), (vec![], false));
    }
}
