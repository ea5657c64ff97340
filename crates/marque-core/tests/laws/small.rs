//! The laws over the small universe, exhaustively: every ordered pair of constraints, in every world, at every value.

use crate::support::{Bits, Known, constraint, is_whole, kind, object, percent};
use crate::universe::{constraints, depends_on_the_world, truths, values, worlds};
use marque_core::constraint::{Arguments, Comparison, Constraint, Work, arguments_compare, meet_arguments};
use marque_core::limits;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The universe, and what holds where in it.
pub struct Small {
    pub values: Vec<Value>,
    pub worlds: Vec<Known>,
    pub constraints: Vec<Constraint>,
    pub truths: Vec<Bits>,
}

/// The quick part has fewer worlds: some pairs look genuine in them that are not.
pub fn small() -> &'static Small {
    static SMALL: OnceLock<Small> = OnceLock::new();
    SMALL.get_or_init(|| {
        let (constraints, values) = (constraints(), values());
        let worlds: Vec<_> = worlds(&values).into_iter().step_by(if is_whole() { 1 } else { 4 }).collect();
        let truths = constraints.iter().map(|constraint| truths(constraint, &values, &worlds)).collect();
        println!("{} constraints, {} values, {} worlds", constraints.len(), values.len(), worlds.len());
        Small { values, worlds, constraints, truths }
    })
}

/// How many genuine narrowings were accepted, and how many were refused because they cannot be compared: those with a
/// pattern, which law 4 refuses, and those without.
#[derive(Default)]
struct Share {
    genuine: u64,
    accepted: u64,
    of_patterns: u64,
    of_others: u64,
}

impl Share {
    /// A pair that is narrower is never called wider: it is accepted, or it cannot be told.
    fn count(&mut self, comparison: Comparison, has_pattern: bool, what: impl Fn() -> String) {
        self.genuine += 1;
        match comparison {
            Comparison::Narrower => self.accepted += 1,
            Comparison::Undecidable if has_pattern => self.of_patterns += 1,
            Comparison::Undecidable => self.of_others += 1,
            Comparison::Wider => panic!("called wider, and nothing shows that it is: {}", what()),
        }
    }

    /// Law 8, for all genuine narrowings; those that cannot be compared are no excuse. In the quick part, pairs look
    /// genuine that are not.
    fn assert_useful(&self, what: &str) {
        let Self { genuine, accepted, of_patterns, of_others } = *self;
        println!(
            "{what}: {accepted} of {genuine} genuine narrowings accepted ({} %); undecidable are {of_patterns} with a pattern and \
             {of_others} without; without patterns {} % are accepted",
            percent(accepted, genuine),
            percent(accepted, genuine - of_patterns),
        );
        let least = if is_whole() { 95 } else { 90 };
        assert!(accepted * 100 >= genuine * least, "{accepted} of {genuine}");
    }
}

fn has_pattern(constraint: &Constraint) -> bool {
    matches!(constraint, Constraint::Pattern(_)) || constraint.parts().into_iter().any(has_pattern)
}

/// The universe is no empty show: each constraint holds somewhere, and all but `any` fail somewhere.
#[test]
fn every_constraint_of_the_small_universe_holds_and_fails_somewhere() {
    let small = small();
    for (constraint, truths) in small.constraints.iter().zip(&small.truths) {
        assert!(!truths.is_empty(), "{constraint:?}");
        assert_eq!(small.truths[0].is_subset(truths), matches!(constraint, Constraint::Any(_)), "{constraint:?}");
    }
}

/// Laws 1, 4 and 8: what is accepted is narrower; what is called wider is not narrower; what is genuinely narrower is
/// accepted.
#[test]
fn covering_is_sound_and_useful_over_the_small_universe() {
    let small = small();
    let mut share = Share::default();
    let mut undecided: BTreeMap<String, u64> = BTreeMap::new();
    for (parent, allowed) in small.constraints.iter().zip(&small.truths) {
        for (child, wanted) in small.constraints.iter().zip(&small.truths) {
            let (narrower, comparison) = (wanted.is_subset(allowed), parent.compare(child));
            assert!(narrower || comparison != Comparison::Narrower, "{parent:?} covers {child:?}");
            if narrower {
                let pair = || format!("{} covers {}", parent.expected(), child.expected());
                share.count(comparison, has_pattern(parent) || has_pattern(child), pair);
                if comparison != Comparison::Narrower {
                    *undecided.entry(format!("{} {}", kind(parent), kind(child))).or_default() += 1;
                }
            }
        }
    }
    println!("genuine and not accepted, by kinds of parent and child: {undecided:?}");
    share.assert_useful("constraints");
    assert!(share.genuine > 1_000 && share.of_patterns > 0, "patterns are among them");
}

/// Law 2.
#[test]
fn covering_is_reflexive_and_transitive_over_the_small_universe() {
    let all = &small().constraints;
    let below: Vec<Bits> = all.iter().map(|parent| Bits::of(all.iter().map(|child| parent.covers(child)))).collect();
    for (parent, children) in below.iter().enumerate() {
        assert!(children.has(parent), "{:?} covers itself", all[parent]);
        for child in (0..all.len()).filter(|child| children.has(*child)) {
            let lost = (0..all.len()).find(|grandchild| below[child].has(*grandchild) && !children.has(*grandchild));
            assert_eq!(lost.map(|lost| all[lost].expected()), None, "{:?} {:?}", all[parent], all[child]);
        }
    }
}

/// Law 3: the meet permits exactly what both permit, and both cover it. The quick part looks at
/// all pairs of one kind and at some of the others.
#[test]
fn a_meet_is_below_both_and_exact_over_the_small_universe() {
    let small = small();
    let step = if is_whole() { 1 } else { 23 };
    let few: Vec<Known> = small.worlds.iter().step_by(if is_whole() { 12 } else { 17 }).cloned().collect();
    let bits = |constraint: &Constraint| {
        let worlds = if depends_on_the_world(constraint) { &few[..] } else { &few[..1] };
        let truth = |known: &Known| small.values.iter().map(|value| known.holds(constraint, value)).collect::<Vec<_>>();
        let rows: Vec<_> = worlds.iter().map(truth).collect();
        Bits::of((0..few.len()).flat_map(|world| rows[world.min(rows.len() - 1)].clone()))
    };
    let truths: Vec<Bits> = small.constraints.iter().map(bits).collect();
    let pairs = (0..truths.len()).flat_map(|one| (0..=one).map(move |other| (one, other)));
    let mut met_in_one_kind = 0;
    for (index, (one, other)) in pairs.enumerate() {
        let (a, b) = (&small.constraints[one], &small.constraints[other]);
        if index % step != 0 && kind(a) != kind(b) {
            continue;
        }
        let met = a.meet(b);
        assert!(a.covers(&met) && b.covers(&met), "{met:?} is below {a:?} and {b:?}");
        assert_eq!(bits(&met), truths[one].and(&truths[other]), "{met:?} is what {a:?} and {b:?} allow");
        met_in_one_kind += usize::from(!matches!(met, Constraint::All(_)));
    }
    assert!(met_in_one_kind > 300);
}

/// Named, optional and further arguments in all combinations.
fn argument_sets() -> Vec<Arguments> {
    let late = json!({"ref": {"step": "s", "field": "/f"}});
    let plain = [
        json!({"const": 1}),
        json!({"any": true}),
        json!({"num": {"min": "0", "max": "9"}}),
        json!({"one_of": [1, "ab"]}),
        late,
    ];
    let optional = plain.iter().map(|inner| json!({"optional": inner}));
    let all: Vec<Constraint> = plain.iter().cloned().chain(optional).map(|one| constraint(&one)).collect();
    let a: Vec<Option<&Constraint>> = std::iter::once(None).chain(all.iter().map(Some)).collect();
    let b = [None, Some(&all[0]), Some(&all[6]), Some(&all[1])];
    let any = constraint(&json!({"any": true}));
    let mut sets = Vec::new();
    for a in a {
        for b in b {
            for star in [None, Some(&any)] {
                let named = [("a", a), ("b", b), ("*", star)].into_iter();
                sets.push(named.filter_map(|(name, one)| Some((name.to_owned(), one?.clone()))).collect());
            }
        }
    }
    sets
}

fn argument_calls() -> Vec<Map<String, Value>> {
    let mut calls = Vec::new();
    for a in [None, Some(json!(1)), Some(json!(5)), Some(json!("ab")), Some(json!(null)), Some(json!([1]))] {
        for b in [None, Some(json!(1)), Some(json!("ab"))] {
            for other in [None, Some(("c", json!(1))), Some(("*", json!(1)))] {
                let named =
                    [("a", a.clone()), ("b", b.clone())].into_iter().filter_map(|(name, value)| Some((name, value?)));
                calls.push(object(named.chain(other).map(|(name, value)| (name.to_owned(), value)).collect()));
            }
        }
    }
    calls
}

/// Laws 1 to 3 and 8 for the arguments of a step, and the members of an object, which follow the same rules.
#[test]
fn arguments_keep_the_laws_over_a_small_universe() {
    let (sets, calls) = (argument_sets(), argument_calls());
    let late = constraint(&json!({"ref": {"step": "s", "field": "/f"}}));
    let all = worlds(&values());
    let gave = |value: Value| all.iter().find(|known| known.holds(&late, &value)).unwrap();
    let given = [json!(1), json!(5), json!("ab"), json!([1])];
    let worlds: Vec<&Known> = given.into_iter().map(gave).chain(&all[..2]).collect();
    let bits =
        |set: &Arguments| Bits::of(worlds.iter().flat_map(|known| calls.iter().map(|call| known.all_hold(set, call))));
    let truths: Vec<Bits> = sets.iter().map(bits).collect();
    let mut share = Share::default();
    for (parent, allowed) in sets.iter().zip(&truths) {
        for (child, wanted) in sets.iter().zip(&truths) {
            let comparison = arguments_compare(parent, child, &Work::new(limits::COMPARISON_WORK));
            let narrower = wanted.is_subset(allowed);
            assert!(narrower || comparison != Comparison::Narrower, "{parent:?} covers {child:?}");
            if narrower && !wanted.is_empty() {
                share.count(comparison, false, || format!("{parent:?} covers {child:?}"));
            }
            let as_objects = Constraint::Obj(parent.clone()).covers(&Constraint::Obj(child.clone()));
            assert!(
                comparison != Comparison::Narrower || as_objects,
                "objects follow the same rules: {parent:?} {child:?}"
            );
            match meet_arguments(parent, child, &Work::new(limits::COMPARISON_WORK)) {
                None => assert!(allowed.and(wanted).is_empty(), "{parent:?} and {child:?} have calls in common"),
                Some(met) => {
                    assert_eq!(bits(&met), allowed.and(wanted), "{met:?} is what {parent:?} and {child:?} allow")
                }
            }
        }
    }
    share.assert_useful("arguments");
    assert!(share.genuine > 500);
}
