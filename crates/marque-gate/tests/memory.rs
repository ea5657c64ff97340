//! What remembered tokens take of the heap: a multiple of the bytes that the gate may remember, which is stated here. An
//! allocator belongs to a whole program, so this is one of its own.

mod common;

use common::*;
use marque_core::canonical::Digest;
use marque_core::decide::Offline;
use marque_gate::EnvelopeSource;
use marque_gate::keys::Pending;
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes as it came to the system's allocator.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(size).wrapping_sub(layout.size()));
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        unsafe { System.dealloc(place, layout) }
    }
}

/// Bytes of the heap that the gate may take for tokens.
const CAPACITY: usize = 1024 * 1024;

/// Gives the envelope that it was made with.
struct Kept(Vec<u8>);

impl EnvelopeSource for Kept {
    fn envelope(&self, _: Digest) -> Pending<'_, Result<Vec<u8>, String>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

/// Bytes of the heap that the gate holds once it was shown many more tokens with these claims than it remembers, and
/// was asked about calls by each step of them.
async fn held(world: &World, claims: &Value, source: Option<Kept>) -> usize {
    let gate = World::gate_of(world);
    let gate = match source {
        Some(source) => gate.with_envelopes(source),
        None => gate,
    };
    let length = world.token(claims).len();
    let before = HELD.get();
    for _ in 0..CAPACITY / length {
        let verified = gate.verify_token(&world.token(claims), NOW).await.unwrap();
        for (at, step) in verified.envelope().steps.iter().enumerate() {
            let args = step.args.keys().map(|name| (name.clone(), json!("x"))).collect();
            let call = call("look", &format!("r-{at}"), Value::Object(args));
            assert!(matches!(verified.prepared().decide_offline(&call, NOW), Offline::AskLedger(_)));
        }
    }
    let held = HELD.get().wrapping_sub(before);
    println!("tokens of {length} bytes: {held} of {CAPACITY} bytes");
    held
}

fn named(count: usize, args: &Value) -> Value {
    let step = |at: usize| step(&format!("step-{at}"), "look", "read", &format!("r-{at}"), json!(1), args.clone());
    (0..count).map(step).collect()
}

#[tokio::test]
async fn remembered_tokens_take_no_more_of_the_heap_than_they_may() {
    let world = World::with(|config| config.with_token_capacity(CAPACITY));
    let many: Value =
        (0..60).map(|at| (format!("a{at}"), json!({"const": "x"}))).collect::<serde_json::Map<_, _>>().into();
    let usual = json!({"to": {"one_of": ["x", "y", "z"]}, "about": {"any": true}});
    let pattern = json!({"to": {"pattern": "[a-z]{1,20}"}});
    let dear = json!({"to": {"pattern": "(x|[a-z]{1,20}@[a-z]{1,20}\\.example|[0-9a-f]{8,32})"}});
    for (what, steps) in [
        ("one step", named(1, &json!({}))),
        ("ten steps", named(10, &usual)),
        ("many arguments", named(4, &many)),
        ("patterns", named(10, &pattern)),
        ("dear patterns", named(10, &dear)),
    ] {
        let held = held(&world, &world.claims(&steps), None).await;
        assert!((CAPACITY / 20..CAPACITY).contains(&held), "{what}: {held}");
    }
}

#[tokio::test]
async fn a_token_that_names_its_envelope_is_counted_with_it() {
    let world = World::with(|config| config.with_token_capacity(CAPACITY));
    let long = envelope(&named(60, &json!({"to": {"one_of": ["x", "y", "z"]}})));
    let mut claims = world.claims(&json!([]));
    claims["tctx"] = json!({"intent": claims["tctx"]["intent"], "env": long.digest()});
    let gate = World::gate_of(&world).with_envelopes(Kept(long.canonical()));
    let mut verified = Vec::new();
    for _ in 0..100 {
        verified.push(gate.verify_token(&world.token(&claims), NOW).await.unwrap());
    }
    let kept = verified.iter().filter(|token| std::sync::Arc::strong_count(token) > 1).count();
    let bytes = long.canonical().len();
    assert!(bytes > 8000 && (1..=CAPACITY / (10 * bytes)).contains(&kept), "{kept} with {bytes} bytes each");
}
