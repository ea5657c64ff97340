//! When a call is made and what was done before it, so that one thing of a plan makes the difference.

use super::scene::Scene;
use super::witness::{Focus, Search};
use crate::envelope::{Bounds, EnvelopeStep};
use crate::facts::PastCall;
use crate::limits;
use crate::plan::{Budget, Uses};
use crate::value::instant::Moment;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What was done before and when, apart from what late-bound values need.
#[derive(Clone, Default)]
pub(super) struct Circumstances {
    pub(super) now: i64,
    pub(super) environment: Option<String>,
    /// Steps that are committed.
    committed: BTreeSet<String>,
    /// Further uses of steps, each with its arguments.
    used: Vec<(String, u64, Map<String, Value>)>,
    turns: u64,
    step_ups: u64,
    /// Whether the person is asked for this call first, where the step needs it.
    pub(super) is_asked: bool,
}

impl Search<'_> {
    pub(super) fn circumstances(&self, focus: Focus<'_>) -> Vec<Circumstances> {
        let usual = self.usual();
        let with = |change: &dyn Fn(&mut Circumstances)| {
            let mut changed = usual.clone();
            change(&mut changed);
            changed
        };
        let (own, other) = (self.step, self.counterpart());
        match focus {
            Focus::Step => vec![usual.clone()],
            Focus::Resource | Focus::Argument(_) | Focus::Blocked(_) => vec![usual],
            Focus::Uses => match other.map(|step| step.uses) {
                Some(Uses::Count(most)) => vec![with(&|it| it.used.push((own.id.clone(), most, Map::new())))],
                _ => Vec::new(),
            },
            Focus::After => vec![with(&|it| it.committed.clone_from(&own.after))],
            Focus::Excludes => {
                let excluded = other.into_iter().flat_map(|step| step.excludes.difference(&own.excludes));
                excluded.map(|id| with(&|it| it.used.push((id.clone(), 1, Map::new())))).collect()
            }
            Focus::Window | Focus::Expiry => self.instants().iter().map(|now| with(&|it| it.now = *now)).collect(),
            Focus::Environment => [own.environment.clone(), Some("another-environment".into())]
                .iter()
                .map(|word| with(&|it| it.environment.clone_from(word)))
                .collect(),
            Focus::Approve => vec![with(&|it| it.is_asked = false)],
            Focus::Turns => {
                let turns = self.other.bounds.turns.map_or(0, |turns| turns.saturating_add(1));
                vec![with(&|it| it.turns = turns)]
            }
            Focus::StepUps => {
                let asked = self.other.bounds.max_step_ups;
                vec![with(&|it| (it.step_ups, it.is_asked) = (asked, false))]
            }
            Focus::Budget(budget) => {
                let spent = self.spent(budget);
                vec![usual.clone(), with(&|it| it.used.clone_from(&spent))]
            }
        }
    }

    /// Both plans run, what comes before is done, and the person approves where she is asked.
    fn usual(&self) -> Circumstances {
        let other = self.counterpart();
        let end = |bounds: &Bounds, now: i64| bounds.expires_at.is_none_or(|end| now < end);
        let in_window = |step: &EnvelopeStep, now: i64| {
            step.window.as_ref().is_none_or(|window| window.holds(Moment::from_secs(now)))
        };
        let fits = |now: &i64| {
            let own = end(&self.own.bounds, *now) && in_window(self.step, *now);
            let theirs = end(&self.other.bounds, *now) && other.is_none_or(|step| in_window(step, *now));
            (own, theirs)
        };
        let mut instants = self.instants();
        instants.reverse();
        let now = instants.into_iter().max_by_key(fits).unwrap_or(0);
        let environment = self.step.environment.clone().or_else(|| other.and_then(|step| step.environment.clone()));
        let after = other.into_iter().flat_map(|step| &step.after).chain(&self.step.after);
        Circumstances {
            now,
            environment,
            committed: after.cloned().collect(),
            is_asked: true,
            ..Circumstances::default()
        }
    }

    /// Instants at which something begins or ends, and those beside them.
    fn instants(&self) -> Vec<i64> {
        let ends = [&self.own.bounds, &self.other.bounds].into_iter().filter_map(|bounds| bounds.expires_at);
        let windows = self.counterpart().into_iter().chain([self.step]).filter_map(|step| step.window.as_ref());
        let bounds = windows.flat_map(|window| [&window.from, &window.to]).flatten().map(|at| at.secs());
        let instants = ends.chain(bounds).flat_map(|at| [at.saturating_sub(1), at, at.saturating_add(1)]);
        let instants: BTreeSet<i64> = instants.collect();
        instants.into_iter().collect()
    }

    /// Earlier calls that use a budget up.
    fn spent(&self, budget: &Budget) -> Vec<(String, u64, Map<String, Value>)> {
        let steps = self.own.steps.iter().filter(|step| budget.steps.contains(&step.id));
        let room = |step: &EnvelopeStep| match step.uses {
            Uses::Any => u64::MAX,
            Uses::Count(count) => count.saturating_sub(u64::from(step.id == self.step.id)),
        };
        let max = budget.max.as_str();
        match &budget.arg {
            None => {
                let mut left = max.split('.').next().and_then(|whole| whole.parse::<u64>().ok()).unwrap_or(0);
                let take = |step: &EnvelopeStep| {
                    let uses = room(step).min(left);
                    left -= uses;
                    (uses > 0).then(|| (step.id.clone(), uses, Map::new()))
                };
                steps.filter_map(take).collect()
            }
            Some(arg) => {
                let value = match &budget.currency {
                    Some(currency) => json!({"currency": currency, "value": max}),
                    None => json!(max),
                };
                let args = Map::from_iter([(arg.clone(), value)]);
                let step = steps.into_iter().find(|step| room(step) > 0);
                step.map(|step| (step.id.clone(), 1, args)).into_iter().collect()
            }
        }
    }
}

impl Circumstances {
    pub(super) fn prepare(&self, scene: &mut Scene) {
        self.committed.iter().for_each(|step| scene.commit(step));
        for (step, uses, args) in &self.used {
            let past = scene.facts.steps.entry(step.clone()).or_default();
            past.uses = past.uses.saturating_add(*uses);
            let call = PastCall { args: args.clone(), ..PastCall::default() };
            let known = usize::try_from(*uses).unwrap_or(0).min(limits::SAMPLES);
            past.calls.extend(std::iter::repeat_n(call, known));
        }
        (scene.facts.turns, scene.facts.step_ups) = (self.turns, self.step_ups);
    }
}
