//! The scripted person: a real browser with a passkey.

use super::stack::Stack;
use serde_json::Value;
use std::process::Stdio;
use tokio::process::Command;
use tokio::sync::Mutex;

/// One browser at a time: the machine is small.
static BROWSER: Mutex<()> = Mutex::const_new(());

/// Approves a plan.
pub async fn approve(stack: &Stack, intent_id: &str) {
    act(stack, intent_id, &[]).await;
}

/// Approves, and answers what was shown.
pub async fn read_and_approve(stack: &Stack, id: &str) -> Value {
    act(stack, id, &[]).await
}

/// Denies a plan.
pub async fn deny(stack: &Stack, intent_id: &str, reason: &str) {
    act(stack, intent_id, &["--deny", reason]).await;
}

async fn act(stack: &Stack, intent_id: &str, more: &[&str]) -> Value {
    let _one = BROWSER.lock().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/approve");
    let mut person = Command::new(script);
    person.arg(intent_id).args(more).env("MARQUE_DEMO_ENV", stack.dir.join("env.json")).stdin(Stdio::null());
    let output = tokio::time::timeout(super::PATIENCE * 2, person.kill_on_drop(true).output()).await;
    let output = output.expect("the scripted person took too long").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the scripted person: {said}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(said.trim()).unwrap()
}
