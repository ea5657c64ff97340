//! The program as it is called: what it prints, where, and how it exits. `docs/reference/cli.md` shows real output;
//! `MARQUE_UPDATE_DOCS=1 cargo test --test cli` writes it anew.

use marque_core::canonical::encode;
use marque_core::catalog::lint::CatalogRule;
use marque_core::lint::Rule;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PAGE: &str = "docs/reference/cli.md";
const NOW: [&str; 2] = ["--now", "2026-11-22T03:00:00Z"];

/// What a call of the program came to.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/plan")
}

/// Runs the program where the example files are.
fn marque(args: &[&str], input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_marque"))
        .args(args)
        .current_dir(examples())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may end before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn example(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(examples().join(name)).unwrap()).unwrap()
}

/// A file of this test run.
fn file(name: &str, content: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

// ---- the page

/// The page with the output of each command it shows, and the table of rules.
fn written_anew(page: &str) -> String {
    let mut anew = String::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let _ = writeln!(anew, "{line}");
        if let Some(command) = line.strip_prefix("$ marque ") {
            let run = marque(&command.split(' ').collect::<Vec<_>>(), "");
            let said = [run.out.trim_end(), run.err.trim_end()].into_iter().filter(|text| !text.is_empty());
            let _ = write!(anew, "{}\n$ echo $?\n{}\n", said.collect::<Vec<_>>().join("\n"), run.code);
            while lines.next_if(|line| *line != "```").is_some() {}
        }
        let rules: Vec<_> = match line.split(" | ").next() {
            Some("| rule") => Rule::ALL.iter().map(|rule| (rule.code(), rule.meaning())).collect(),
            Some("| rule for catalogs") => CatalogRule::ALL.iter().map(|rule| (rule.code(), rule.meaning())).collect(),
            _ => continue,
        };
        anew += "|---|---|\n";
        for (rule, meaning) in rules {
            let _ = writeln!(anew, "| `{rule}` | {meaning} |");
        }
        while lines.next_if(|line| line.starts_with('|')).is_some() {}
    }
    anew
}

#[test]
fn the_page_of_the_command_line_shows_what_the_program_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&file).unwrap();
    let anew = written_anew(&page);
    if marque::environment::variable("MARQUE_UPDATE_DOCS").is_some() {
        std::fs::write(&file, &anew).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert!(committed == anew, "{PAGE} is not what the program says: MARQUE_UPDATE_DOCS=1 cargo test --test cli");
    assert!(anew.matches("\n$ marque ").count() >= 4);
}

// ---- check

fn check(more: &[&str], call: &Value) -> Run {
    marque(&[&["plan", "check", "plan.json", "--call", "-"], &NOW[..], more].concat(), &call.to_string())
}

fn call(change: impl FnOnce(&mut Value)) -> Value {
    let mut call = example("call.json");
    call["args"]["amount"]["value"] = json!("199.00");
    change(&mut call);
    call
}

const KNOWN: [&str; 4] = ["--catalog", "catalog.json", "--facts", "facts.json"];

#[test]
fn each_decision_has_its_exit_code() {
    let right = call(|_| {});
    let asked = check(&KNOWN, &right);
    assert_eq!((asked.code, asked.err.as_str()), (7, ""), "{}", asked.out);
    let digest = asked.out.split("\"approval_of\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut facts = example("facts.json");
    facts["approvals"] = json!([digest]);
    let approved = file("approved.json", &facts.to_string());
    let approved = ["--catalog", "catalog.json", "--facts", &approved, "-o", "json"];
    let permitted = check(&approved, &right);
    assert_eq!((permitted.code, &permitted.json()["outcome"]), (0, &json!("permit")));
    let wrong = check(&KNOWN, &call(|call| call["args"]["amount"]["value"] = json!("250.01")));
    assert_eq!(wrong.code, 6, "{}", wrong.out);
    assert_eq!(check(&KNOWN[..2], &right).code, 1, "nothing is known yet");
    let mut ended = example("plan.json");
    ended["limits"] = json!({"expires_at": "2026-11-22T03:00:00Z", "max_hops": 0});
    let ended = file("ended.json", &ended.to_string());
    let late = marque(&[&["plan", "check", &ended, "--call", "call.json"], &NOW[..], &KNOWN].concat(), "");
    assert_eq!(late.code, 5, "{}", late.out);
    assert!(late.out.contains("intent_expired"));
}

#[test]
fn without_a_catalog_the_gravest_is_assumed_and_said() {
    let run = check(&["--facts", "facts.json", "-o", "json"], &call(|_| {}));
    assert_eq!((run.code, &run.json()["without_catalog"]), (7, &json!(true)));
    let run = check(&["--facts", "facts.json"], &call(|_| {}));
    assert!(run.out.contains("No catalog was given") && run.out.contains("gravest"), "{}", run.out);
    assert_eq!(check(&[&KNOWN[..], &["-o", "json"]].concat(), &call(|_| {})).json()["without_catalog"], json!(false));
}

#[test]
fn a_resolved_plan_is_told_by_its_intent_id() {
    let mut plan = example("plan.json");
    plan["issuer"] = json!("https://marque.example");
    plan["intent_id"] = json!("1");
    plan["agent"] = json!({"client_id": "bookkeeper", "jkt": "x"});
    plan["user"] = json!({"iss": "https://realm.example", "username": "alice"});
    plan["limits"] = json!({"expires_at": "2026-11-22T04:00:00Z", "max_hops": 0, "max_step_ups": 5});
    plan["catalogs"] = json!([]);
    for (step, class) in plan["steps"].as_array_mut().unwrap().iter_mut().zip(["read", "pay"]) {
        (step["class"], step["approve"], step["added"]) = (json!(class), json!("plan"), json!(false));
        step["uses"] = json!(1);
        step["args"] = step.get("args").cloned().unwrap_or(json!({}));
    }
    let resolved = file("resolved.json", &plan.to_string());
    let args = [&["plan", "check", &resolved, "--call", "-", "--facts", "facts.json", "-o", "json"], &NOW[..]].concat();
    let run = marque(&args, &call(|_| {}).to_string());
    assert_eq!((run.code, &run.json()["without_catalog"]), (0, &json!(false)), "approved with the plan");
    let lint = marque(&["plan", "lint", &resolved], "");
    assert!(lint.code == 2 && lint.err.contains("resolved"), "{}", lint.err);
    plan["steps"][0]["args"] = json!({"*": {"const": 1}});
    let bad = marque(&["plan", "diff", "-", "plan.json"], &plan.to_string());
    assert_eq!((bad.code, bad.out.as_str()), (2, ""));
    assert!(bad.err.starts_with("marque: standard input: $.steps[0].args.*: "), "{}", bad.err);
}

#[test]
fn a_call_is_at_the_only_location_and_in_the_named_environment() {
    let mut plan = example("plan.json");
    plan["steps"][0]["environment"] = json!("production");
    let single = file("production.json", &plan.to_string());
    let look = json!({"action": "invoice.read", "resource": {"type": "invoice", "id": "2026-11"}}).to_string();
    let run =
        |more: &[&str], plan: &str| marque(&[&["plan", "check", plan, "--call", "-"], &NOW[..], more].concat(), &look);
    assert_eq!(run(&["--environment", "production"], &single).code, 0);
    assert_eq!(run(&["--environment", "staging"], &single).code, 6);
    assert_eq!(run(&[], &single).code, 6);
    plan["steps"][1]["location"] = json!("https://elsewhere.example");
    let two = run(&[], &file("two.json", &plan.to_string()));
    assert!(two.code == 2 && two.err.contains("$.location"), "{}", two.err);
}

// ---- lint

#[test]
fn findings_exit_1_only_if_asked() {
    let lint = |args: &[&str]| marque(&[&["plan", "lint"], args].concat(), "");
    let wide = lint(&["wider.json", "--catalog", "catalog.json", "-o", "json"]);
    let findings = wide.json()["findings"].clone();
    let has = |rule: &str| findings.as_array().unwrap().iter().any(|finding| finding["rule"] == rule);
    assert!(wide.code == 0 && has("unbounded_uses") && !has("permissive_mode"), "{findings}");
    assert_eq!(lint(&["wider.json", "--catalog", "catalog.json", "--deny-warnings"]).code, 1);
    let mut narrow = example("plan.json");
    narrow["steps"].as_array_mut().unwrap().truncate(1);
    let narrow = file("narrow.json", &narrow.to_string());
    let none = lint(&[&narrow, "--deny-warnings"]);
    assert_eq!((none.code, none.out.as_str()), (0, "nothing found\n"));
}

// ---- diff

/// The call and the facts of an example, given to `check`, are decided as the example says.
#[test]
fn each_example_of_a_difference_can_be_checked() {
    let run = marque(
        &[&["plan", "diff", "plan.json", "wider.json", "--catalog", "catalog.json", "-o", "json"], &NOW[..]].concat(),
        "",
    );
    let found = run.json();
    assert_eq!((run.code, &found["same"]), (1, &json!(false)));
    let mut checked = 0;
    for (side, own, other) in [("first", "plan.json", "wider.json"), ("second", "wider.json", "plan.json")] {
        for difference in found[side].as_array().unwrap().iter().filter(|one| !one["example"].is_null()) {
            let example = &difference["example"];
            // The plans were taken to be submitted then; the example is later.
            let (submitted, now) = ("2026-11-22T03:00:00Z", example["now"].as_str().unwrap());
            if now >= "2026-11-22T04:00:00Z" || difference["member"] == "expires_at" {
                continue;
            }
            let facts = file("facts-of-example.json", &example["facts"].to_string());
            for (plan, answer) in [(own, &example["here"]), (other, &example["there"])] {
                let args = [
                    "plan",
                    "check",
                    plan,
                    "--call",
                    "-",
                    "--facts",
                    &facts,
                    "--catalog",
                    "catalog.json",
                    "-o",
                    "json",
                    "--now",
                    submitted,
                ];
                let decided = marque(&args, &example["call"].to_string()).json();
                assert_eq!(decided["outcome"], answer["outcome"], "{difference}");
                assert_eq!(decided.get("reason"), answer.get("reason"), "{difference}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked} examples");
}

#[test]
fn plans_that_permit_the_same_exit_0() {
    let same = marque(&[&["plan", "diff", "plan.json", "-"], &NOW[..]].concat(), &example("plan.json").to_string());
    assert_eq!((same.code, same.err.as_str()), (0, ""), "{}", same.out);
}

// ---- catalogs

#[test]
fn a_mild_catalog_exits_1_only_if_asked() {
    let lint = |args: &[&str]| marque(&[&["catalog", "lint"], args].concat(), "");
    let mild = lint(&["../catalog/mild.json", "-o", "json"]);
    let findings = mild.json()["findings"].clone();
    let has = |rule: &str| findings.as_array().unwrap().iter().any(|finding| finding["rule"] == rule);
    assert!(mild.code == 0 && has("mild_class") && has("late_access") && has("reassuring"), "{findings}");
    assert_eq!(lint(&["../catalog/mild.json", "--deny-warnings"]).code, 1);
    let none = lint(&["catalog.json", "--deny-warnings"]);
    assert_eq!((none.code, none.out.as_str()), (0, "nothing found\n"));
    let mut other = example("catalog.json");
    other["actions"]["invoice.read"]["display"] = json!({"de": "Liest {resource}"});
    let other = file("no-english.json", &other.to_string());
    let refused = lint(&[&other]);
    assert!(refused.code == 2 && refused.err.contains("$.actions.invoice.read.display"), "{}", refused.err);
}

fn draft(from: &str, input: &str) -> Run {
    let args = ["catalog", "draft", from, "-", "--client-id", "bank-api", "--location", "https://bank.example"];
    marque(&args, input)
}

/// A draft that the next command finds nothing in; answers its actions.
fn drafted(from: &str, input: &str) -> (Value, Run) {
    let run = draft(from, input);
    assert_eq!(run.code, 0, "{}", run.err);
    let lint = marque(&["catalog", "lint", "-", "--deny-warnings"], &run.out);
    assert_eq!((lint.code, lint.out.as_str()), (0, "nothing found\n"), "{}", run.out);
    (run.json()["actions"].clone(), run)
}

#[test]
fn a_draft_of_an_openapi_document_is_a_catalog_without_findings() {
    let yaml = std::fs::read_to_string(examples().join("../catalog/openapi.yaml")).unwrap();
    let (actions, run) = drafted("--from-openapi", &yaml);
    let (read, transfer) = (&actions["getAccount"], &actions["newTransfer"]);
    assert_eq!((&read["class"], &read["resource"]), (&json!("read"), &json!("account")));
    assert_eq!(read["results"]["/note"], json!({"type": "text", "source": "third_party"}));
    assert_eq!(
        (&transfer["class"], &transfer["reversible"]),
        (&json!("pay"), &json!(false)),
        "its path says transfers"
    );
    assert_eq!(transfer["args"]["iban"], json!({"type": "string", "sensitive": "money"}));
    assert!(transfer["args"].get("id").is_none(), "the resource is no argument");
    assert_eq!(actions["delete_accounts"]["class"], "delete");
    for guess in
        ["review $.actions.newTransfer.class: pay", "args.note: not sensitive", "review $.actions.delete_accounts.name"]
    {
        assert!(run.err.contains(guess), "{guess}: {}", run.err);
    }
    let json = json!({"openapi": "3.0.3", "paths": {"/x": {"post": {"operationId": "doIt", "requestBody": {"content": {
        "application/json": {"schema": {"type": "integer", "minimum": 0, "exclusiveMinimum": true}},
    }}}}}});
    let (actions, _) = drafted("--from-openapi", &json.to_string());
    assert_eq!(
        (&actions["doIt"]["class"], &actions["doIt"]["args"]["body"]["type"]),
        (&json!("grant"), &json!("integer"))
    );
}

/// What a vendor claims makes nothing milder than its name has it.
#[test]
fn a_draft_believes_no_hint_against_a_name() {
    let tools = std::fs::read_to_string(examples().join("../catalog/tools.json")).unwrap();
    let (actions, run) = drafted("--from-mcp", &tools);
    let classes: Vec<_> =
        ["get_forecast", "transfer_funds", "frobnicate"].map(|name| actions[name]["class"].clone()).into();
    assert_eq!(classes, ["read", "pay", "grant"]);
    assert_eq!(actions["transfer_funds"]["args"]["to_iban"]["sensitive"], "money");
    assert_eq!(actions["get_forecast"]["results"]["/content/*/text"]["source"], "third_party");
    assert!(!run.out.contains("armless") && run.err.contains("against what is claimed"), "{}", run.err);
    let tool = |name: &str, hints: Value| json!({"tools": [{"name": name, "inputSchema": {}, "annotations": hints}]});
    for (name, hints, class) in [
        ("list_files", json!({}), "grant"),
        ("create_note", json!({}), "send"),
        ("create_note", json!({"openWorldHint": false}), "delete"),
        ("create_note", json!({"openWorldHint": false, "destructiveHint": false}), "create"),
        ("delete_note", json!({"readOnlyHint": true, "destructiveHint": false}), "delete"),
        ("grant_role", json!({"openWorldHint": false, "destructiveHint": false, "idempotentHint": true}), "grant"),
    ] {
        let (actions, _) = drafted("--from-mcp", &tool(name, hints.clone()).to_string());
        assert_eq!(actions[name]["class"], class, "{name} {hints}");
    }
}

#[test]
fn what_cannot_be_drafted_is_left_out_and_said() {
    let schema = |properties: Value| json!({"type": "object", "properties": properties});
    let tools = json!({"nextCursor": "2", "tools": [
        {"name": "get_one", "inputSchema": schema(json!({"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}}))},
        {"name": "get_two", "inputSchema": schema(json!({"a": {"$ref": "https://elsewhere.example/schema"}}))},
        {"name": "get_three", "inputSchema": schema(json!({"a{b": {}}))},
        {"name": "get\u{202e}four"}, {"name": "a b"}, {"title": "five"}, {"name": "get_six"}, {"name": "get_six"},
    ]});
    let (actions, run) = drafted("--from-mcp", &tools.to_string());
    assert_eq!(actions.as_object().unwrap().len(), 1, "{actions}");
    for said in
        ["circles", "another document", "get_three", "\\u", "a b", "no name", "nextCursor", "a second operation"]
    {
        assert!(run.err.contains(said), "{said}: {}", run.err);
    }
    assert!(!run.err.contains('\u{202e}'));
    for (from, input) in [
        ("--from-mcp", "{}"),
        ("--from-mcp", "a: [b"),
        ("--from-openapi", r#"{"swagger": "2.0"}"#),
        ("--from-openapi", "tools: []"),
    ] {
        let run = draft(from, input);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{from} {input}");
        assert!(run.err.starts_with("marque: standard input: "), "{}", run.err);
    }
    let bad = ["catalog", "draft", "--from-mcp", "../catalog/tools.json", "--client-id", "a", "--location", "nowhere"];
    let run = marque(&bad, "");
    assert!(run.code == 2 && run.err.contains("$.location"), "{}", run.err);
    assert_eq!(marque(&["catalog", "draft", "--client-id", "a", "--location", "http://x"], "").code, 2);
}

// ---- files

#[test]
fn bad_files_are_named_with_the_path_of_the_offence() {
    let mut plan = example("plan.json");
    plan["steps"][1]["args"]["note"] = json!({"text": {"max": 20, "urls": 1}});
    let wrong = file("wrong.json", &plan.to_string());
    let unknown = file("unknown.json", &example("call.json").to_string().replace("\"action\"", "\"act\""));
    let mut elsewhere = example("plan.json");
    elsewhere["steps"][0]["action"] = json!("invoice.burn");
    let elsewhere = file("elsewhere.json", &elsewhere.to_string());
    for (args, message) in [
        (vec!["lint", &wrong], format!("{wrong}: $.steps[1].args.note")),
        (vec!["lint", "none.json"], "none.json: No such file".into()),
        (vec!["lint", "."], ".: ".into()),
        (vec!["lint", "plan.json", "--catalog", "plan.json"], "plan.json: $".into()),
        (vec!["lint", "plan.json", "--catalog", "../cli.md"], "../cli.md: is neither JSON nor a compact JWS".into()),
        (vec!["check", "plan.json", "--call", &unknown], format!("{unknown}: $")),
        (vec!["check", "plan.json", "--call", "call.json", "--facts", "call.json"], "call.json: $".into()),
        (
            vec!["check", &elsewhere, "--call", "call.json", "--catalog", "catalog.json"],
            format!("{elsewhere}: $.steps[0].action"),
        ),
        (vec!["check", "-", "--call", "-"], "standard input can be only one".into()),
        (vec!["diff", "plan.json", &wrong], format!("{wrong}: $.steps[1].args.note")),
        (vec!["diff", "plan.json"], String::new()),
        (vec!["check", "plan.json", "--call", "call.json", "--now", "yesterday"], String::new()),
    ] {
        let run = marque(&[&["plan"], &args[..]].concat(), "");
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?} {}", run.err);
        assert!(run.err.contains(&message) && !run.err.contains("panicked"), "{args:?} {}", run.err);
    }
}

#[test]
fn a_signed_catalog_is_read_and_its_signature_left_unchecked_as_is_said() {
    let header = encode(json!({"alg": "ES256", "typ": "marque-catalog+jwt"}).to_string().as_bytes());
    let payload = encode(example("catalog.json").to_string().as_bytes());
    let compact = file("catalog.jws", &format!("{header}.{payload}.{}\n", encode(&[0; 64])));
    let run = check(&["--catalog", &compact, "--facts", "facts.json"], &call(|_| {}));
    assert_eq!(run.code, 7, "{}", run.err);
    assert!(run.err.contains("without checking who signed it") && run.err.contains("catalog.jws"), "{}", run.err);
}

/// What somebody else chose cannot move the cursor, or turn the text around.
#[test]
fn nothing_on_the_terminal_is_acted_on() {
    let hostile = call(|call| {
        call["args"]["note"] = json!("a\u{1b}[2J\u{9b}2J\u{202e}b");
        call["args"]["\u{1b}]0;x\u{7}"] = json!(1);
    });
    let run = check(&KNOWN, &hostile);
    assert!(run.out.contains("\\u001b[2J\\u009b2J\\u202eb"), "{}", run.out);
    assert!(!run.out.chars().any(|c| c.is_control() && c != '\n') && !run.out.contains('\u{202e}'));
}
