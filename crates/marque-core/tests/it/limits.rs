//! Every limit is where it says: what reaches it is taken, what is one beyond is not.
//!
//! The limits of a plan are held against the schema, too: see `tests/schema/limits.rs`.

use crate::support::{FILES, MAIL, NOW, at, completion, files_catalog, object, submission, submitted};
use marque_core::call::{Call, CallResource};
use marque_core::canonical::encode;
use marque_core::catalog::Catalog;
use marque_core::constraint::{Comparison, Constraint, Work};
use marque_core::decide::{Decision, decide};
use marque_core::envelope::Envelope;
use marque_core::facts::Facts;
use marque_core::json::{parse_call, parse_plan};
use marque_core::limits;
use marque_core::plan::{Blocked, SubmittedPlan};
use marque_core::receipt::{Receipt, disclose};
use marque_core::resolve::resolve_within;
use marque_core::step_up::challenge::{CallDetail, Challenge};
use marque_core::value::expr::Expr;
use marque_core::value::instant::Moment;
use marque_core::value::pattern::Pattern;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What is limited, how many of it there may be, and whether so many are taken.
type Limited = (&'static str, usize, fn(usize) -> bool);

/// A document with spaces behind it, as long as it is to be.
fn padded(document: &str, bytes: usize) -> Vec<u8> {
    let mut padded = document.as_bytes().to_vec();
    padded.resize(bytes, b' ');
    padded
}

fn is_well_formed(constraint: Value) -> bool {
    let constraint: Constraint = serde_json::from_value(constraint).unwrap();
    constraint.check("$").is_ok()
}

fn receipt() -> Value {
    json!({"iss": "bank", "aud": "a", "iat": NOW, "jti": "p", "intent": "i", "step": "s", "call_digest": encode(&[0; 32]),
        "seq": 1, "outcome": "committed"})
}

fn challenge(reason: &str, lives: i64) -> Value {
    let call = Call::new(MAIL, "a", CallResource { kind: "t".into(), id: "r".into() }, object(json!({})));
    json!({"iss": "bank", "aud": "a", "iat": NOW, "exp": NOW + lives, "jti": "c", "txn": "t", "step": "s", "reason": reason,
        "authorization_details": [CallDetail::from(&call)], "call_digest": call.digest(),
        "intent": {"id": "i", "digest": encode(&[0; 32]), "version": 1}, "cnf": {"jkt": "k"}, "act": {"sub": "agent"}})
}

fn is_challenge(bytes: &[u8]) -> bool {
    Challenge::parse(bytes).is_ok()
}

/// A list of one argument, all of whose items are looked at.
fn with_items(items: usize) -> (Envelope, Call) {
    let step = json!({"id": "s", "location": FILES, "action": "a", "resource": {"type": "t", "id": "r"},
        "args": {"a": {"each": {"any": true}}}, "uses": "any", "class": "read"});
    let resource = CallResource { kind: "t".into(), id: "r".into() };
    let args = object(json!({"a": vec![0; items]}));
    (serde_json::from_value(json!({"steps": [step]})).unwrap(), Call::new(FILES, "a", resource, args))
}

/// What a decision costs beside the items of its list.
const BESIDE_ITEMS: usize = 2;

fn expression(nodes: usize) -> String {
    let terms = vec!["a"; nodes.div_ceil(2)].join("+");
    if nodes.is_multiple_of(2) { format!("-({})", terms.strip_suffix("+a").unwrap_or(&terms)) } else { terms }
}

const MOST: &[Limited] = &[
    ("PLAN_BYTES", limits::PLAN_BYTES, |n| SubmittedPlan::parse(&padded(&submission().to_string(), n)).is_ok()),
    ("CALL_BYTES", limits::CALL_BYTES, |n| parse_call(&padded("{}", n), limits::CALL_BYTES).is_ok()),
    ("CATALOG_BYTES", limits::CATALOG_BYTES, |n| Catalog::parse(&padded(&files_catalog().to_string(), n)).is_ok()),
    ("RECEIPT_BYTES", limits::RECEIPT_BYTES, |n| Receipt::parse(&padded(&receipt().to_string(), n)).is_ok()),
    ("CHALLENGE_BYTES", limits::CHALLENGE_BYTES, |n| is_challenge(&padded(&challenge("r", 9).to_string(), n))),
    ("CHALLENGE_SECS", limits::CHALLENGE_SECS as usize, |n| {
        is_challenge(challenge("r", i64::try_from(n).unwrap()).to_string().as_bytes())
    }),
    ("CHALLENGE_REASON_CHARS", limits::CHALLENGE_REASON_CHARS, |n| {
        is_challenge(challenge(&"ä".repeat(n), 9).to_string().as_bytes())
    }),
    ("JSON_DEPTH", limits::JSON_DEPTH, |n| {
        let deep = "[".repeat(n) + "0" + &"]".repeat(n);
        let plan = parse_plan(deep.as_bytes(), 1000).is_ok();
        assert_eq!(parse_call(deep.as_bytes(), 1000).is_ok(), plan);
        plan
    }),
    ("JSON_VALUES", limits::JSON_VALUES, |n| {
        let many = format!("[{}]", vec!["0"; n - 1].join(","));
        let plan = parse_plan(many.as_bytes(), 1 << 20).is_ok();
        assert_eq!(parse_call(many.as_bytes(), 1 << 20).is_ok(), plan);
        plan
    }),
    ("INTEGER_MAX", limits::INTEGER_MAX as usize, |n| {
        let reads = |text: String| parse_plan(text.as_bytes(), 99).is_ok() && parse_call(text.as_bytes(), 99).is_ok();
        let (positive, negative) = (reads(n.to_string()), reads(format!("-{n}")));
        assert_eq!(positive, negative);
        positive
    }),
    ("FRACTION_DIGITS", limits::FRACTION_DIGITS, |n| parse_call(format!("0.{}", "1".repeat(n)).as_bytes(), 99).is_ok()),
    ("ENVIRONMENTS", limits::ENVIRONMENTS, |n| {
        let words: Value = (0..n).map(|word| format!("e{word}")).collect();
        Catalog::parse(at(&files_catalog(), "/environments", Some(words)).to_string().as_bytes()).is_ok()
    }),
    ("CONSTRAINT_DEPTH", limits::CONSTRAINT_DEPTH, |n| {
        is_well_formed((1..n).fold(json!({"any": true}), |inner, _| json!({"each": inner})))
    }),
    ("CONSTRAINT_PARTS", limits::CONSTRAINT_PARTS, |n| {
        let members = |count: usize| (0..count).map(|m| (format!("m{m}"), json!({"any": true}))).collect::<Value>();
        let objects =
            (0..15).map(|_| json!({"obj": members((n - 17) / 15)})).chain([json!({"obj": members((n - 17) % 15)})]);
        // One for the whole, sixteen objects, and what is left of the parts in them.
        is_well_formed(json!({"all": objects.collect::<Value>()})) || n < 18
    }),
    ("TIMESTAMP_CHARS", limits::TIMESTAMP_CHARS as usize, |n| {
        Moment::parse(&format!("2026-11-22T03:00:00.{}+01:00", "1".repeat(n - 26))).is_some()
    }),
    ("PATTERNS", limits::PATTERNS, |n| {
        let steps: Value = (0..n.div_ceil(limits::ARGUMENTS))
            .map(|step| {
                let args = (step * limits::ARGUMENTS..n.min((step + 1) * limits::ARGUMENTS))
                    .map(|arg| (format!("a{arg}"), json!({"pattern": format!("a{arg}")})));
                json!({"id": format!("s{step}"), "location": FILES, "action": "file.delete",
                "resource": {"type": "file", "id": "a"}, "args": args.collect::<Value>()})
            })
            .collect();
        let mut plan = at(&submission(), "/steps", Some(steps));
        plan.as_object_mut().unwrap().remove("delegates");
        SubmittedPlan::parse(plan.to_string().as_bytes()).is_ok()
    }),
    ("PATTERN_NEST", limits::PATTERN_NEST as usize, |n| {
        Pattern::parse(&format!("{}a{}", "(".repeat(n), ")".repeat(n))).is_ok()
    }),
    ("PATTERN_REPEATS", limits::PATTERN_REPEATS as usize, |n| Pattern::parse(&format!("a{{{n}}}")).is_ok()),
    ("EXPR_NODES", limits::EXPR_NODES, |n| Expr::parse(&expression(n)).is_ok()),
    ("EXPR_DEPTH", limits::EXPR_DEPTH, |n| Expr::parse(&format!("{}a{}", "(".repeat(n), ")".repeat(n))).is_ok()),
    ("DECISION_WORK", limits::DECISION_WORK as usize, |n| {
        let (envelope, call) = with_items(n - BESIDE_ITEMS);
        matches!(decide(&envelope, &call, &Facts::default(), NOW), Decision::Permit(_))
    }),
    ("COMPARISON_WORK", limits::COMPARISON_WORK as usize, |n| {
        let (parent, child) = of_work(n);
        parent.compare(&child) == Comparison::Narrower
    }),
];

/// Two constraints, the comparison of which costs so many units of work.
fn of_work(units: usize) -> (Constraint, Constraint) {
    let parent: Constraint = serde_json::from_value(json!({"each": {"num": {"max": "5"}}})).unwrap();
    let of = |items: usize| Constraint::Const(vec![0; items].into());
    let cost = |items: usize| {
        let work = Work::new(u64::MAX);
        assert_eq!(parent.compare_within(&of(items), &work), Comparison::Narrower);
        usize::try_from(work.spent()).unwrap()
    };
    // An item costs a unit or more, so that there are at most so many.
    let most = (0..=units).collect::<Vec<_>>().partition_point(|items| cost(*items) <= units);
    (parent.clone(), of(most - 1))
}

#[test]
fn what_reaches_a_limit_is_taken_and_what_is_beyond_is_not() {
    for (name, most, is_taken) in MOST {
        assert!(is_taken(*most), "{name}: {most} are refused");
        assert!(!is_taken(most + 1), "{name}: {} are taken", most + 1);
    }
}

/// A salt has at least so many bytes.
#[test]
fn a_salt_is_not_shorter_than_its_limit() {
    let opened = |bytes: usize| {
        let (result, leaves) = disclose(&json!({"a": 1}), || Some(encode(&vec![7; bytes]))).unwrap();
        let disclosures: Vec<String> = leaves.into_iter().map(|leaf| leaf.disclosure).collect();
        result.known(&disclosures)
    };
    assert!(opened(limits::SALT_BYTES).is_ok());
    assert!(opened(limits::SALT_BYTES - 1).is_err());
}

/// Where work runs out is told by counting: who has used up the last unit is taken to have had too few.
#[test]
fn a_submission_is_refused_where_it_uses_up_its_work() {
    let blocked: Vec<Blocked> = serde_json::from_value(
        json!([{"resource": {"id": {"one_of": ["x", "y"]}}}, {"resource": {"id": {"prefix": "/"}}}]),
    )
    .unwrap();
    let catalogs = crate::support::catalogs();
    let resolved = |units: u64| {
        let mut completion = completion(&catalogs);
        completion.blocked = &blocked;
        let work = Work::new(units);
        (resolve_within(submitted(&submission()), &completion, &work).is_ok(), work.spent())
    };
    let (is_taken, needed) = resolved(limits::SUBMISSION_WORK);
    assert!(is_taken && needed > 5, "{needed}");
    assert_eq!(resolved(needed + 1), (true, needed));
    assert_eq!(resolved(needed), (false, needed));
}

/// Limits that are tested elsewhere, and what is no limit of something that somebody sends: how work is counted, and
/// what one program allows itself.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "CLAIMS_DEPTH CLOCK_LEEWAY_SECS PROOF_SECS JWS_BYTES INLINE_STEPS_BYTES ENVELOPE_BYTES EVIDENCE_BYTES",
        "its document's own tests",
    ),
    ("SALT_BYTES SUBMISSION_WORK", "the tests above"),
    ("DENIAL_REASON_CHARS", "the server's page, which reads it"),
    (
        "BYTES_PER_WORK COMPARED_BYTES_PER_WORK ENTRIES_PER_WORK STATES_PER_WORK COMPILED_STATES_PER_WORK",
        "how work is counted",
    ),
    ("ENVELOPE_WORK LINT_WORK DIFF_WORK WITNESS_TRIES SAMPLES", "hostile documents, whose work is counted"),
    (
        "PATTERN_BYTES PATTERN_STATES PATTERN_KEPT_STATES PATTERN_CACHE_BYTES",
        "hostile patterns, whose memory is counted",
    ),
    ("DEFAULT_STEP_UPS", "what is taken where nothing is said"),
];

/// A new limit belongs into a table.
#[test]
fn every_limit_is_in_a_table() {
    let source = include_str!("../../src/limits.rs");
    let all: BTreeSet<&str> =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next()).collect();
    let of_schema = include_str!("../schema/limits.rs");
    let listed: BTreeSet<&str> = ELSEWHERE.iter().flat_map(|(names, _)| names.split(' ')).collect();
    let here: BTreeSet<&str> = MOST.iter().map(|(name, ..)| *name).collect();
    let there: BTreeSet<&str> =
        all.iter().filter(|name| of_schema.contains(&format!("limits::{name}"))).copied().collect();
    let tested: BTreeSet<&str> = &(&listed | &here) | &there;
    assert_eq!(tested, all);
}
