//! Plays `vectors/scenarios` against the library. The other implementations play the same files.

mod account;
mod check;
mod run;

use account::Account;
use marque_scenarios::format;
use std::collections::BTreeSet;

/// So many times as much as the dearest decision of a scenario may a decision cost.
const ROOM: u64 = 1_000;
/// Fewer scenarios than this prove too little.
const LEAST: usize = 150;

#[test]
fn every_scenario_comes_out_as_it_says() {
    let catalogs = format::catalogs();
    let (mut account, mut names, mut failures) = (Account::default(), BTreeSet::new(), Vec::new());
    let mut work = 0;
    for (file_name, file) in format::files() {
        assert!(!file.topic.is_empty() && !file.scenarios.is_empty(), "{file_name}.yaml is empty");
        for scenario in &file.scenarios {
            let played = run::play(&file, scenario, &catalogs);
            if !names.insert(scenario.name.clone()) {
                failures.push(format!("{file_name}: {}: another scenario has this name", scenario.name));
            }
            if played.seen.is_empty() && played.failures.is_empty() && scenario.asks_again.is_none() {
                failures.push(format!("{file_name}: {}: shows nothing", scenario.name));
            }
            failures.extend(played.failures.iter().map(|why| format!("{file_name}: {}\n    {why}", scenario.name)));
            account.add(scenario, &played.seen);
            work = work.max(played.work);
        }
    }
    println!("{} scenarios, at most {work} units of work for a decision", names.len());
    assert!(work * ROOM <= marque_core::limits::DECISION_WORK, "{work} units of work");
    let missing = account.missing();
    println!("{}", missing.join("\n"));
    assert!(failures.is_empty(), "{} of {} scenarios:\n{}", failures.len(), names.len(), failures.join("\n"));
    assert!(names.len() >= LEAST, "{} scenarios, and at least {LEAST} are wanted", names.len());
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn what_yaml_parsers_read_differently_is_refused() {
    for bad in
        ["a: yes", "on: 1", "a: [no]", "at: 2026-11-22T03:00:00Z", "a: 12:30", "a: 010", "a: 1\na: 2", "a: {<<: {}}"]
    {
        assert!(format::document(bad).is_err(), "{bad}");
    }
    let read = format::document("a: \"yes\"\nb: [&x 1, *x]\nc: {d: \"12:30\", e: null, f: 0}\n").unwrap();
    assert_eq!(read, serde_json::json!({"a": "yes", "b": [1, 1], "c": {"d": "12:30", "e": null, "f": 0}}));
}

#[test]
fn the_example_of_the_readme_is_played() {
    let readme = std::fs::read_to_string(format::folder().join("README.md")).unwrap();
    let (_, after) = readme.split_once("```yaml\n").unwrap();
    let (example, _) = after.split_once("```").unwrap();
    let file = format::file(format::document(example).unwrap()).unwrap();
    for scenario in &file.scenarios {
        assert_eq!(run::play(&file, scenario, &format::catalogs()).failures, [""; 0], "{}", scenario.name);
    }
}

#[test]
fn a_word_that_is_not_known_is_an_error() {
    let good = "topic: t\ncatalogs: []\nscenarios:\n- {name: x1, story: [{do: a, resource: t/i, expect: permit}]}\n";
    assert!(format::file(format::document(good).unwrap()).is_ok());
    for (word, wrong) in [
        ("topic: t", "topic: t\nsubject: s"),
        ("name: x1", "name: x1, shows: [magic]"),
        ("name: x1", "name: x1, because: x"),
        ("do: a", "do: a, how: x"),
        ("do: a", "do: a, later: x"),
        ("resource: t/i", "resource: i"),
        ("expect: permit", "expect: allowed"),
        ("expect: permit", "expect: {permit: s, deny: blocked}"),
        ("expect: permit", "expect: {deny: no_such_reason}"),
        ("do: a, resource: t/i, expect: permit", "hop: h, asks: [{id: s, turns: 1}], expect: accepted"),
    ] {
        assert!(format::file(format::document(&good.replace(word, wrong)).unwrap()).is_err(), "{wrong}");
    }
}
