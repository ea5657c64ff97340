//! Hostile plans cost bounded memory: what the heap holds at its fullest is a multiple of the input's size that is
//! stated here. An allocator belongs to a whole program, so these tests are one of their own; and one test, since what
//! is counted is counted for all threads.

use marque_core::call::{Call, CallResource};
use marque_core::constraint::Constraint;
use marque_core::decide::decide;
use marque_core::diff::diff;
use marque_core::envelope::Envelope;
use marque_core::explain::explain;
use marque_core::facts::Facts;
use marque_core::json::parse_call;
use marque_core::limits;
use marque_core::lint::lint;
use marque_core::plan::SubmittedPlan;
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn took(bytes: usize) {
    MOST.fetch_max(HELD.fetch_add(bytes, Relaxed) + bytes, Relaxed);
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
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

/// Bytes that the heap held at its fullest while something was done, beyond what it held before.
fn most<T>(done: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    let result = black_box(done());
    (result, MOST.load(Relaxed) - before)
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
    let patterns = |wide: &'static str| move |n: usize| json!({"pattern": format!("{wide}{n}")});
    vec![
        ("long ids", full(&|at| step(&format!("{at:0512}"), &json!({})))),
        ("steps", full(&|at| step(&format!("s{at}"), &json!({})))),
        ("arguments", full(&|at| many(at, &|_| json!({"any": true})))),
        ("nesting", full(&|at| many(at, &|_| json!({"each": {"each": {"each": {"each": {"any": true}}}}})))),
        ("alternatives", full(&|at| many(at, &|_| json!({"one_of": (0..100).collect::<Vec<u32>>()})))),
        ("texts", full(&|at| many(at, &|_| json!({"const": "t".repeat(1000)})))),
        ("numbers", full(&|at| many(at, &|_| json!({"num": {"max": "9".repeat(28)}})))),
        ("small patterns", full(&|at| many(at, &|n| json!({"pattern": format!("[a-z]{{1,8}}-{n}")})))),
        ("repeated patterns", full(&|at| many(at, &patterns("a{1000}")))),
        ("wide patterns", full(&|at| many(at, &patterns("[^a]{90}")))),
        ("nested patterns", full(&|at| many(at, &patterns("((a+)+)+")))),
        ("one pattern", full(&|at| many(at, &|_| json!({"pattern": "a{1000}"})))),
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

#[test]
fn what_the_heap_holds_is_a_multiple_of_the_input() {
    for (name, bytes) in hostile() {
        let (parsed, held) = most(|| SubmittedPlan::parse(&bytes));
        let times = held as f64 / bytes.len() as f64;
        eprintln!("{name}: parse {} bytes, {held} held, {times:.1} times, {}", bytes.len(), parsed.is_ok());
        let Ok(parsed) = parsed else { continue };
        let (envelope, held) = most(|| Envelope::as_written(&parsed, 0));
        eprintln!("    envelope {held}, {:.1} times", held as f64 / bytes.len() as f64);
        let args = (0..limits::ARGUMENTS).map(|arg| (format!("{arg:02}"), json!("a".repeat(900))));
        let resource = CallResource { kind: "t".into(), id: "r".into() };
        let call = Call::new(LOCATION, "a", resource, args.collect());
        let facts = Facts::default();
        let (_, held) = most(|| drop(black_box(decide(&envelope, &call, &facts, 0))));
        eprintln!("    decide {held}, {:.1} times", held as f64 / (bytes.len() + 60_000) as f64);
        let (_, held) = most(|| drop(black_box(explain(&envelope, &call, &facts, 0))));
        eprintln!("    explain {held}, {:.1} times", held as f64 / (bytes.len() + 60_000) as f64);
        let (_, held) = most(|| drop(black_box(lint(&parsed, &[]))));
        eprintln!("    lint {held}, {:.1} times", held as f64 / bytes.len() as f64);
    }
    let _ = (diff as fn(&Envelope, &Envelope) -> _, parse_call as fn(&[u8], usize) -> _, size_of::<Constraint>());
}
