//! The times of JWTs: one table for all places that read them.

use marque_core::limits::CLOCK_LEEWAY_SECS as LEEWAY;
use marque_core::times::{Lives, Times, TimesError};
use serde_json::{Value, json};

const NOW: i64 = 1_795_316_400;

fn check(claims: Value, lives: Lives) -> Result<Times, TimesError> {
    Times::check(claims.as_object().unwrap(), lives, NOW)
}

#[test]
fn a_jwt_is_good_from_its_issue_to_its_end_with_leeway_for_clocks() {
    let good = |claims: Value| check(claims, Lives::AsIssued);
    let times = good(json!({"exp": NOW + 60})).unwrap();
    assert_eq!((times.iat, times.exp, times.over_at()), (None, NOW + 60, NOW + 60 + LEEWAY));
    assert!(good(json!({"exp": NOW - LEEWAY + 1})).is_ok());
    assert_eq!(good(json!({"exp": NOW - LEEWAY})), Err(TimesError::Over));
    for name in ["iat", "nbf"] {
        assert!(good(json!({"exp": NOW + 60, name: NOW + LEEWAY})).is_ok(), "{name}");
        assert_eq!(good(json!({"exp": NOW + 60, name: NOW + LEEWAY + 1})), Err(TimesError::Future), "{name}");
    }
    assert_eq!(good(json!({"exp": NOW + 60, "iat": NOW - 5})).unwrap().iat, Some(NOW - 5));
}

/// What is stated wrongly is not taken for absent.
#[test]
fn what_is_no_whole_number_of_seconds_is_refused() {
    assert_eq!(check(json!({}), Lives::AsIssued), Err(TimesError::Missing("exp")));
    for bad in [json!(null), json!("1795316460"), json!(1.5), json!([NOW]), json!(true), json!(u64::MAX), json!(1e30)] {
        for name in ["exp", "iat", "nbf"] {
            let mut claims = json!({"exp": NOW + 60});
            claims[name] = bad.clone();
            assert_eq!(check(claims, Lives::AsIssued), Err(TimesError::Malformed(name)), "{name}: {bad}");
        }
    }
}

#[test]
fn a_jwt_lives_no_longer_than_its_use_allows() {
    let from_issue = |exp: i64, iat: i64| check(json!({"exp": exp, "iat": iat}), Lives::FromIssue(300));
    assert!(from_issue(NOW + 200, NOW - 100).is_ok());
    assert_eq!(from_issue(NOW + 201, NOW - 100), Err(TimesError::TooLong(300)));
    let without = check(json!({"exp": NOW + 60}), Lives::FromIssue(300));
    assert_eq!(without, Err(TimesError::Missing("iat")));
    let from_now = |exp: i64| check(json!({"exp": exp}), Lives::FromNow(300));
    assert!(from_now(NOW + 300 + LEEWAY).is_ok());
    assert_eq!(from_now(NOW + 300 + LEEWAY + 1), Err(TimesError::TooLong(300)));
    assert!(check(json!({"exp": NOW + 1_000_000}), Lives::AsIssued).is_ok());
}

#[test]
fn times_at_the_ends_of_all_numbers_overflow_nothing() {
    for (exp, iat) in [(i64::MAX, i64::MIN), (i64::MAX, i64::MAX), (i64::MIN, i64::MIN), (i64::MIN, i64::MAX)] {
        for lives in [Lives::AsIssued, Lives::FromIssue(300), Lives::FromNow(300)] {
            let claims = json!({"exp": exp, "iat": iat});
            for now in [i64::MIN, NOW, i64::MAX] {
                let checked = Times::check(claims.as_object().unwrap(), lives, now);
                assert!(checked.is_err() || exp.saturating_add(LEEWAY) > now, "{claims} {lives:?} {now}");
            }
        }
    }
}
