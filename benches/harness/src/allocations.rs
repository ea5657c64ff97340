//! Counts what the heap is asked for. The counter is off while time is measured; every contender pays the same for it.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    if IS_COUNTING.load(Relaxed) {
        COUNT.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call goes as it came to the allocator that the server has too.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { MiMalloc.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { MiMalloc.dealloc(place, layout) }
    }
}

/// Heap allocations, reallocations included, during so many operations, the first ones being done.
pub fn during<T>(operations: u64, mut operation: impl FnMut() -> T) -> u64 {
    for _ in 0..operations / 10 {
        black_box(operation());
    }
    COUNT.store(0, Relaxed);
    IS_COUNTING.store(true, Relaxed);
    for _ in 0..operations {
        black_box(operation());
    }
    IS_COUNTING.store(false, Relaxed);
    COUNT.load(Relaxed)
}
