//! The page of conformance: each line names tests that are there, or says why it does not concern Marque.

mod features;
mod mistakes;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A line of a specification.
pub struct Line {
    /// What must be so.
    what: &'static str,
    /// Where it stands.
    section: &'static str,
    standing: Standing,
}

/// How Marque stands to a line.
enum Standing {
    /// These tests show it; the sentence says what they do not show, or is empty.
    Shown(&'static [&'static str], &'static str),
    /// It does not concern this version, and why.
    Not(&'static str),
}

const fn shown(what: &'static str, section: &'static str, tests: &'static [&'static str]) -> Line {
    Line { what, section, standing: Standing::Shown(tests, "") }
}

const fn partly(what: &'static str, section: &'static str, tests: &'static [&'static str], but: &'static str) -> Line {
    Line { what, section, standing: Standing::Shown(tests, but) }
}

const fn not(what: &'static str, section: &'static str, why: &'static str) -> Line {
    Line { what, section, standing: Standing::Not(why) }
}

/// Where the sources of tests are.
const FOLDERS: [&str; 5] = ["src", "tests", "crates/marque-core", "crates/marque-gate", "crates/marque-scenarios"];

/// Every test by its name, with the files that have one of that name.
type Tests = BTreeMap<String, Vec<String>>;

/// The generated page.
///
/// # Panics
/// When a line names a test that is not there, or one of several of the same name.
pub fn page() -> String {
    let tests = all_tests();
    let mut page = String::from(
        "# Conformance\n\nWhat the specifications ask of Marque, line by line, and the tests that show it; what does not concern \
         it, and why. Versions of drafts: [submission](submission.md), [exchange](exchange.md), [tokens](tokens.md). Generated \
         from `tests/conformance`, which refuses a line whose test is not there.\n",
    );
    for (title, lines) in [("What must work", features::LINES), ("What is often done wrong", mistakes::LINES)] {
        page += &format!("\n## {title}\n\n| line | specification | tests |\n|---|---|---|\n");
        for line in lines.iter().filter(|line| matches!(line.standing, Standing::Shown(..))) {
            page += &row(line, &tests);
        }
    }
    page += "\n## What does not concern this version\n\n| line | specification | why |\n|---|---|---|\n";
    for line in features::LINES.iter().chain(mistakes::LINES) {
        if let Standing::Not(why) = line.standing {
            page += &format!("| {} | {} | {why} |\n", line.what, line.section);
        }
    }
    page
}

fn row(line: &Line, tests: &Tests) -> String {
    let Standing::Shown(names, but) = line.standing else { return String::new() };
    assert!(!names.is_empty(), "{}: no test", line.what);
    let named: Vec<String> = names.iter().map(|name| place(name, tests)).collect();
    let but = if but.is_empty() { String::new() } else { format!(" Not shown: {but}") };
    format!("| {} | {} | {}.{but} |\n", line.what, line.section, named.join(", "))
}

/// A test with its file. `basic::name` is the one of a file `basic`.
fn place(name: &str, tests: &Tests) -> String {
    let (stem, test) = name.split_once("::").map_or((None, name), |(stem, test)| (Some(stem), test));
    let files = tests.get(test).unwrap_or_else(|| panic!("there is no test {test:?}"));
    let is_of = |file: &&String| stem.is_none_or(|stem| Path::new(file).file_stem().is_some_and(|own| own == stem));
    let found: Vec<&String> = files.iter().filter(is_of).collect();
    let [file] = found[..] else { panic!("{name:?} is one test of {files:?}: write file::test") };
    format!("`{file}` `{test}`")
}

fn all_tests() -> Tests {
    let (root, mut tests) = (Path::new(env!("CARGO_MANIFEST_DIR")), Tests::new());
    let mut folders: Vec<_> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.extend((!["node_modules", "target"].contains(&name.as_str())).then_some(path));
                continue;
            }
            let file = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let in_file: Vec<String> = match path.extension().and_then(|kind| kind.to_str()) {
                Some("rs") => of_rust(&fs::read_to_string(&path).unwrap()),
                Some("mjs") => of_text(&fs::read_to_string(&path).unwrap(), "test(\"", '"'),
                Some("py") => of_text(&fs::read_to_string(&path).unwrap(), "def test_", '('),
                _ => continue,
            };
            for test in in_file {
                tests.entry(test).or_default().push(file.clone());
            }
        }
    }
    tests.values_mut().for_each(|files| files.sort());
    tests
}

/// The functions right below an attribute that makes them tests.
fn of_rust(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_test = |line: &&str| ["#[test]", "#[tokio::test"].iter().any(|attribute| line.starts_with(attribute));
    let below = |at: usize| lines[at..].iter().find_map(|line| line.split_once("fn ")).map(|(_, rest)| rest);
    let marked = lines.iter().enumerate().filter(|(_, line)| is_test(line)).filter_map(|(at, _)| below(at));
    marked.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned()).collect()
}

fn of_text(text: &str, before: &str, after: char) -> Vec<String> {
    let found = text.split(before).skip(1).filter_map(|rest| rest.split_once(after));
    let keep = |name: &str| if before.starts_with("def ") { format!("test_{name}") } else { name.to_owned() };
    found.map(|(name, _)| keep(name)).collect()
}
