//! Hostile plans cost bounded memory: what the heap holds at its fullest is a multiple of the input's size that is
//! stated here; and a decision without history asks the heap for nothing. An allocator belongs to a whole program, so these tests are one of their own. What is counted is counted
//! for each thread, since tests run side by side.

use marque_core::call::{Call, CallResource};
use marque_core::constraint::{Constraint, Work};
use marque_core::decide::{Decision, Offline, Refusal, decide};
use marque_core::diff::diff;
use marque_core::envelope::Envelope;
use marque_core::explain::explain;
use marque_core::facts::Facts;
use marque_core::json::parse_call;
use marque_core::limits;
use marque_core::lint::lint;
use marque_core::plan::SubmittedPlan;
use marque_core::prepared::Prepared;
use marque_core::reason::Reason;
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
    static TIMES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn took(bytes: usize) {
    let held = HELD.get().wrapping_add(bytes);
    HELD.set(held);
    MOST.set(MOST.get().max(held));
    TIMES.set(TIMES.get() + 1);
}

fn gave(bytes: usize) {
    HELD.set(HELD.get().wrapping_sub(bytes));
}

// SAFETY: every call goes as it came to the system's allocator.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new are held together while one is copied to the other.
        took(size);
        gave(layout.size());
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        gave(layout.size());
        unsafe { System.dealloc(place, layout) }
    }
}

/// Bytes that the heap held at its fullest while something was done, beyond what it held before.
fn most<T>(done: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = black_box(done());
    (result, MOST.get() - before)
}

const LOCATION: &str = "http://localhost:7502";

fn step(id: &str, args: &Value) -> Value {
    json!({"id": id, "location": LOCATION, "action": "a", "resource": {"type": "t", "id": "r"}, "args": args})
}

fn plan(steps: &[Value]) -> Vec<u8> {
    let plan = json!({"version": 1, "purpose": "p", "agent": "a", "user": {"sub": "u"}, "mode": "strict",
        "limits": {"lifetime_secs": 60, "max_hops": 0}, "steps": steps});
    plan.to_string().into_bytes()
}

/// Plans of nearly 64 KiB, each of them full of one thing.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let full = |of: &dyn Fn(usize) -> Value| {
        let mut steps: Vec<Value> = Vec::new();
        let mut size = plan(&[]).len();
        for at in 0..limits::STEPS {
            let next = of(at);
            size += next.to_string().len() + 1;
            if size > limits::PLAN_BYTES {
                break;
            }
            steps.push(next);
        }
        plan(&steps)
    };
    let many = |at: usize, rule: &dyn Fn(usize) -> Value| {
        let args = (0..limits::ARGUMENTS).map(|arg| (format!("{arg:02}"), rule(at * limits::ARGUMENTS + arg)));
        step(&format!("s{at}"), &Value::Object(args.collect()))
    };
    // As many patterns as a plan may have.
    let some = |n: usize, pattern: String| match n {
        0..limits::PATTERNS => json!({"pattern": pattern}),
        _ => json!({"any": true}),
    };
    let patterns = |wide: &'static str| move |n: usize| some(n, format!("{wide}{n}"));
    vec![
        ("long ids", full(&|at| step(&format!("{at:0512}"), &json!({})))),
        ("steps", full(&|at| step(&format!("s{at}"), &json!({})))),
        ("arguments", full(&|at| many(at, &|_| json!({"any": true})))),
        ("nesting", full(&|at| many(at, &|_| json!({"each": {"each": {"each": {"each": {"any": true}}}}})))),
        ("alternatives", full(&|at| many(at, &|_| json!({"one_of": (0..100).collect::<Vec<u32>>()})))),
        ("texts", full(&|at| many(at, &|_| json!({"const": "t".repeat(1000)})))),
        ("numbers", full(&|at| many(at, &|_| json!({"num": {"max": "9".repeat(28)}})))),
        ("small patterns", full(&|at| many(at, &|n| some(n, format!("[a-z]{{1,8}}-{n}"))))),
        ("dense patterns", full(&|at| many(at, &|n| some(n, format!("([ab]{{0,15}}|a{{0,14}})*c{n}"))))),
        ("repeated patterns", full(&|at| many(at, &patterns("a{1000}")))),
        ("wide patterns", full(&|at| many(at, &patterns("[^a]{90}")))),
        ("nested patterns", full(&|at| many(at, &patterns("((a+)+)+")))),
        ("one pattern", full(&|at| many(at, &|n| some(n, "a{1000}".into())))),
        (
            "groups",
            full(&|at| {
                let mut grouped = step(&format!("{at:0100}"), &json!({}));
                grouped["group"] = json!("g");
                grouped
            }),
        ),
    ]
}

/// What is done with a plan, and how many times its input's size the heap may hold for it at its fullest.
const READ: usize = 100;
const CARRY: usize = 160;
const DECIDE: usize = 2;
const MATCH: usize = 1_200;
const EXPLAIN: usize = 320;
const LINT: usize = 400;
const DIFFER: usize = 400;

#[test]
fn what_the_heap_holds_is_a_multiple_of_the_input() {
    let args = (0..limits::ARGUMENTS).map(|arg| (format!("{arg:02}"), json!("a".repeat(900))));
    let resource = CallResource { kind: "t".into(), id: "r".into() };
    let call = Call::new(LOCATION, "a", resource, args.collect());
    let (call_bytes, facts) = (call.document().to_string().len(), Facts::default());
    for (name, bytes) in hostile() {
        let both = bytes.len() + call_bytes;
        let bounded = |what: &str, held: usize, input: usize, times: usize| {
            println!("{name}: {what}, {held} bytes, {} times", held / input);
            assert!(held <= times * input, "{name}: {what} holds {held} bytes, more than {times} times {input}");
        };
        let (plan, held) = most(|| SubmittedPlan::parse(&bytes).unwrap());
        bounded("reading", held, bytes.len(), READ);
        let (envelope, held) = most(|| Envelope::as_written(&plan, 0));
        bounded("carrying", held, bytes.len(), CARRY);
        let is_pattern = name.contains("pattern");
        let ((), held) = most(|| drop(black_box(decide(&envelope, &call, &facts, 0))));
        bounded("deciding", held, both, if is_pattern { MATCH } else { DECIDE });
        if is_pattern {
            // As if many calls came one after the other: what was compiled is kept.
            let value = json!("a".repeat(900));
            let constraints = || envelope.steps.iter().flat_map(|step| step.args.values());
            let (matched, held) = most(|| constraints().filter(|constraint| constraint.holds(&value)).count());
            bounded("matching", held, bytes.len(), MATCH);
            assert!(matched <= constraints().count());
        }
        let ((), held) = most(|| drop(black_box(explain(&envelope, &call, &facts, 0))));
        bounded("explaining", held, both, EXPLAIN);
        let ((), held) = most(|| drop(black_box(lint(&plan, &[]))));
        bounded("linting", held, bytes.len(), LINT);
        let ((), held) = most(|| drop(black_box(diff(&envelope, &Envelope::default()))));
        bounded("differing", held, bytes.len(), DIFFER);
    }
}

#[test]
fn what_is_refused_is_not_kept() {
    let deep = "[".repeat(limits::PLAN_BYTES);
    let ((), held) = most(|| drop(black_box(SubmittedPlan::parse(deep.as_bytes()))));
    // Room for the canonical form is made at once, in proportion to the input.
    assert!(held < 3 * limits::PLAN_BYTES, "{held}");
    let wide = format!("[{}0]", "0,".repeat(limits::CALL_BYTES / 2 - 10));
    let ((), held) = most(|| drop(black_box(parse_call(wide.as_bytes(), limits::CALL_BYTES))));
    assert!(held < 40 * limits::CALL_BYTES, "{held}");
    let huge = format!("\"{}\"", "((a{1000}){1000}){1000}");
    let ((), held) = most(|| drop(black_box(serde_json::from_str::<Constraint>(&format!("{{\"pattern\":{huge}}}")))));
    assert!(held < 8 * limits::PATTERN_BYTES, "{held}");
}

/// A constraint of each kind that needs no history and no record, and a value that it allows.
fn without_history() -> Value {
    json!({
        "const": [{"const": "append"}, "append"],
        "one_of": [{"one_of": ["a", "b", 5]}, 5],
        "text": [{"text": {"max": 200}}, "Fünf Zeilen, und kein Link: sonst nichts"],
        "pattern": [{"pattern": "[A-Z]{3}-[0-9]{1,6}"}, "INV-2026"],
        "num": [{"num": {"min": "0", "max": "9.50"}}, 7.25],
        "amount": [{"amount": {"max": "9.50", "currency": "EUR"}}, {"currency": "EUR", "value": "9.50"}],
        "time_window": [{"time_window": {"from": "2026-01-01T00:00:00Z"}}, "2026-06-01T12:00:00+02:00"],
        "domain": [{"domain": {"any_of": ["x.com"], "subdomains": true}}, "ann@mail.x.com"],
        "prefix": [{"prefix": "/reports/"}, "/reports/2026/may.pdf"],
        "items": [{"items": {"of": {"num": {"max": "5"}}, "max": 3}}, [1, "2", 3]],
        "obj": [{"obj": {"a": {"any": true}, "b": {"optional": {"text": {"max": 9}}}}}, {"a": [null], "b": "b"}],
        "each": [{"each": {"one_of": ["x", "y"]}}, ["x", "y", "x"]],
        "all": [{"all": [{"num": {"min": "1"}}, {"num": {"max": "5"}}]}, 5],
        "either": [{"either": [{"const": null}, {"text": {"max": 5}}]}, "five"],
        "optional": [{"optional": {"num": {"max": "5"}}}, -1],
        "any": [{"any": true}, {"what": ["ever"]}],
    })
}

/// An envelope of so many steps without history, and the call of its last one.
fn without_late_values(steps: usize, is_bound: bool) -> (Envelope, Call) {
    let given = without_history();
    let part = |at: usize| given.as_object().unwrap().iter().map(move |(kind, pair)| (kind.clone(), pair[at].clone()));
    let id = |at: usize| {
        if is_bound {
            json!({"all": [{"prefix": format!("/{at}/")}, {"text": {"max": 40}}]})
        } else {
            json!(format!("/{at}/a"))
        }
    };
    let step = |at: usize| {
        json!({"id": format!("s{at}"), "location": LOCATION, "action": "a", "resource": {"type": "t", "id": id(at)},
            "args": part(0).collect::<Value>(), "uses": "any", "class": "read"})
    };
    let steps_of_plan: Value = (0..steps).map(step).collect();
    let envelope = serde_json::from_value(json!({"steps": steps_of_plan})).unwrap();
    let resource = CallResource { kind: "t".into(), id: format!("/{}/a", steps - 1) };
    (envelope, Call::new(LOCATION, "a", resource, part(1).collect()))
}

/// How often the heap was asked for memory while something was done for the second time: by the first, whatever is made
/// once for an envelope was made, such as a pattern's engine.
fn times<T>(done: impl Fn() -> T) -> (T, usize) {
    drop(done());
    let before = TIMES.get();
    let result = black_box(done());
    (result, TIMES.get() - before)
}

const SIZES: [usize; 3] = [5, 50, 1000];

#[test]
fn a_permit_without_history_allocates_nothing() {
    for (steps, is_bound) in SIZES.into_iter().flat_map(|steps| [(steps, false), (steps, true)]) {
        let (envelope, call) = without_late_values(steps, is_bound);
        let (prepared, facts) = (Prepared::from(envelope.clone()), Facts::default());
        let (decision, asked) = times(|| decide(&envelope, &call, &facts, 0));
        assert!(matches!(&decision, Decision::Permit(step) if step.id == format!("s{}", steps - 1)), "{decision:?}");
        assert_eq!(asked, 0, "{steps} steps, bound: {is_bound}");
        let (found, asked) = times(|| prepared.decide(&call, &facts, 0));
        assert_eq!((found, asked), (decision, 0), "{steps} steps, bound: {is_bound}, prepared");
        let (offline, asked) = times(|| prepared.decide_offline(&call, 0));
        assert!(matches!(offline, Offline::Permit(_)) && asked == 0, "{steps} steps, bound: {is_bound}, {offline:?}");
    }
}

/// What makes a call one that is refused.
type Change = fn(&mut Call);

/// A refusal that is of no step allocates nothing. One that is of a step says what would have been allowed there: that
/// is written out once, for the one step that came closest, however many there are.
#[test]
fn a_refusal_allocates_what_it_says_and_no_more() {
    let changes: [(Reason, Change); 7] = [
        (Reason::LocationNotInPlan, |call| call.location.push('x')),
        (Reason::ActionNotInPlan, |call| call.action.push('x')),
        (Reason::ResourceNotInPlan, |call| call.resource.kind.push('x')),
        (Reason::ArgumentNotInPlan, |call| drop(call.args.insert("bcc".into(), json!("x")))),
        (Reason::ArgumentMissing, |call| drop(call.args.remove("const"))),
        (Reason::ArgumentMismatch, |call| drop(call.args.insert("const".into(), json!("x")))),
        (Reason::ArgumentMismatch, |call| drop(call.args.insert("num".into(), json!("9.51")))),
    ];
    for (reason, change) in changes {
        let asked = SIZES.map(|steps| {
            let (envelope, mut call) = without_late_values(steps, false);
            change(&mut call);
            let (prepared, facts) = (Prepared::from(envelope), Facts::default());
            let (decision, asked) = times(|| prepared.decide(&call, &facts, 0));
            let Decision::Escalate(refusal) = decision else { panic!("{decision:?}") };
            assert_eq!(refusal.reason, reason);
            let said = refusal.nearest.map_or(0, |nearest| times(|| nearest.clone()).1);
            (asked, said)
        });
        println!("{reason}: asked for memory and what of it is what the refusal says: {asked:?}");
        assert!(asked.iter().all(|(all, said)| all == said), "{reason}: {asked:?}");
        assert!(asked.windows(2).all(|pair| pair[0] == pair[1]), "{reason}: {asked:?}");
    }
}

#[test]
fn a_plan_that_is_over_or_blocked_is_refused_without_allocating() {
    for steps in SIZES {
        let (mut envelope, call) = without_late_values(steps, false);
        envelope.bounds.expires_at = Some(10);
        envelope.bounds.blocked =
            serde_json::from_value(json!([{"action": "b"}, {"resource": {"id": {"prefix": "/"}}}])).unwrap();
        let (prepared, facts) = (Prepared::from(envelope), Facts::default());
        for (now, reason) in [(10, Reason::IntentExpired), (9, Reason::Blocked)] {
            let (decision, asked) = times(|| prepared.decide(&call, &facts, now));
            assert_eq!(decision, Decision::Deny(Refusal { reason, nearest: None }));
            assert_eq!(asked, 0, "{steps} steps, {reason}");
        }
    }
}

/// What a comparison copies it is charged for beforehand: with little work it holds little, however large what it compares.
#[test]
fn a_comparison_holds_no_more_than_its_work_lets_it_copy() {
    let long: Vec<String> = (0..100).map(|at| format!("{at:0900}")).collect();
    let few = |count: usize| json!({"one_of": &long[..count]});
    let members = json!({"a": few(4), "b": few(5), "c": few(5)});
    let number = json!({"num": {"max": "5"}});
    let list = json!({"items": {"of": few(100), "max": 9}});
    for (name, parent, child) in [
        ("a list", json!({"text": {"max": 3}}), few(100)),
        ("an object of lists", number.clone(), json!({"obj": members})),
        ("a choice of lists", number.clone(), json!({"either": vec![few(6); 16]})),
        (
            "a template of lists",
            json!({"text": {"max": 3}}),
            json!({"fmt": {"template": "{a}-{b}", "slots": {"a": few(10), "b": few(10)}}}),
        ),
        ("a conjunction of lists", json!({"each": {"const": 1}}), json!({"all": vec![list; 16]})),
    ] {
        let of = |rule: Value| serde_json::from_value::<Constraint>(rule).unwrap();
        let (parent, child) = (of(parent), of(child));
        for units in [0, 1, 10, 100, 1000] {
            let work = Work::new(units);
            let (_, held) = most(|| parent.compare_within(&child, &work));
            println!("{name}: {held} bytes for {units} units");
            assert!(
                held as u64 <= 4096 + units * 4 * limits::COMPARED_BYTES_PER_WORK,
                "{name}: {held} bytes for {units} units"
            );
        }
    }
}
