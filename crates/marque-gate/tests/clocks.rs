//! A gate whose clock differs from everybody else's: within the leeway it permits, beyond it refuses and names the clock.

mod common;

use common::*;
use marque_gate::{Outcome, Reason, Refusal};
use serde_json::json;

/// What the gate says, by its own clock, to a call that is good in every way at [`NOW`].
async fn at(skew: i64, change: impl Fn(&mut serde_json::Value)) -> Result<(), Refusal> {
    let world = World::with(|config| config.with_max_staleness(secs(5)));
    world.revocations.apply(snapshot("e1", 0, NOW, &[]), NOW + skew);
    let mut claims = world.claims(&steps());
    change(&mut claims);
    let call = call("set", "a", json!({"to": "x"}));
    let token = world.token(&claims);
    let proof = world.agent.proof(&world.proof_claims(&token, "POST", "/act", Some(&call)));
    let permit = world.gate.check(&presented(&token, &proof), action(&call), NOW + skew).await?;
    world.gate.settle(permit, Outcome::Committed, NOW + skew).await;
    Ok(())
}

fn names_the_clock(refused: Result<(), Refusal>, reason: Reason, what: &str) {
    let refusal = refused.unwrap_err();
    assert_eq!(refusal.reason(), reason, "{refusal}");
    let body = refusal.body().to_string();
    assert!(body.contains("clock") && body.contains(what), "{what} in {body}");
}

#[tokio::test]
async fn within_the_leeway_a_call_is_permitted() {
    for skew in [-10, -9, -1, 0, 1, 5] {
        assert_eq!(at(skew, |claims| claims["iat"] = NOW.into()).await, Ok(()), "{skew}");
    }
}

#[tokio::test]
async fn two_minutes_behind_the_token_is_not_issued_yet() {
    names_the_clock(at(-120, |_| {}).await, Reason::TokenInvalid, "119 s ahead of this gate's clock (iat)");
    names_the_clock(at(-11, |claims| claims["iat"] = NOW.into()).await, Reason::TokenInvalid, "11 s ahead");
}

#[tokio::test]
async fn two_minutes_ahead_the_token_ends_two_minutes_early() {
    let ends = |secs: i64| move |claims: &mut serde_json::Value| claims["exp"] = (NOW + secs).into();
    names_the_clock(at(120, ends(100)).await, Reason::TokenExpired, "20 s ago by this gate's clock (exp)");
    names_the_clock(at(120, ends(120)).await, Reason::TokenExpired, "0 s ago by this gate's clock (exp)");
}

#[tokio::test]
async fn a_token_that_says_not_before_is_none_of_marques() {
    for skew in [-120, 0, 120] {
        let refusal = at(skew, |claims| claims["nbf"] = NOW.into()).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::TokenInvalid);
        assert!(refusal.description().contains("nbf"), "{refusal}");
    }
}

#[tokio::test]
async fn two_minutes_either_way_a_fresh_proof_is_refused() {
    let long = |claims: &mut serde_json::Value| {
        (claims["iat"], claims["exp"]) = ((NOW - 200).into(), (NOW + 600).into());
    };
    names_the_clock(at(-120, long).await, Reason::ProofInvalid, "120 s ahead of the clock here (iat)");
    names_the_clock(at(-11, long).await, Reason::ProofInvalid, "11 s ahead of the clock here (iat)");
    names_the_clock(at(120, long).await, Reason::ProofInvalid, "120 s ago by the clock here (iat)");
}

/// What a gate with another clock knows of revocations from a heartbeat that was signed at [`NOW`].
fn heard(skew: i64) -> (World, i64) {
    let world = World::with(|config| config.with_max_staleness(secs(5)));
    let now = NOW + skew;
    let revocations = &world.revocations;
    revocations.apply(snapshot("e2", 0, NOW, &[]), now);
    revocations.apply(heartbeat("e2", 0, NOW), now);
    (world, now)
}

/// What a caller is told whose token and proof are of the gate's own time.
async fn told(skew: i64) -> Result<(), Refusal> {
    let (world, now) = heard(skew);
    let call = call("look", "a", json!({}));
    let mut claims = world.claims(&steps());
    (claims["iat"], claims["exp"]) = ((now - 1).into(), (now + 60).into());
    let token = world.token(&claims);
    let mut proof = world.proof_claims(&token, "POST", "/act", Some(&call));
    proof["iat"] = now.into();
    world.gate.check(&presented(&token, &world.agent.proof(&proof)), action(&call), now).await.map(drop)
}

#[tokio::test]
async fn a_heartbeat_of_another_clock_opens_no_gate() {
    for skew in [-10, 0, 5] {
        assert_eq!(told(skew).await, Ok(()), "{skew}");
    }
    let stale = Reason::RevocationStateStale;
    names_the_clock(told(-120).await, stale, "120 s ahead of this gate's clock");
    names_the_clock(told(-11).await, stale, "11 s ahead of this gate's clock");
    names_the_clock(told(120).await, stale, "120 s behind this gate's clock");
    names_the_clock(told(6).await, stale, "6 s behind this gate's clock");
}

#[tokio::test]
async fn a_clock_that_is_behind_lets_no_heartbeat_open_the_gate_when_its_time_comes() {
    let (world, now) = heard(-120);
    for later in [0, 100, 120, 125] {
        let known = world.revocations.check("any", now + later, secs(5));
        assert_eq!(known, Err(Reason::RevocationStateStale), "silent for {later} s");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_right_opens_the_gate_with_the_next_heartbeat() {
    for skew in [-120, 120] {
        let (world, _) = heard(skew);
        world.revocations.apply(heartbeat("e2", 0, NOW + 1), NOW + 1);
        assert_eq!(world.revocations.check("any", NOW + 1, secs(5)), Ok(()), "{skew}");
    }
}

#[tokio::test]
async fn silence_is_not_blamed_on_the_clock() {
    let world = World::new();
    let call = call("look", "a", json!({}));
    let refusal = world.gate.check(&world.request(&steps(), &call), action(&call), NOW + 20).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::RevocationStateStale);
    assert!(refusal.description().contains("nothing was heard") && refusal.description().contains("20 s"), "{refusal}");
}
