//! What the schema cannot say: for each rule where the schema names it, how a plan that breaks it is refused, and such
//! a plan.

use crate::plans::{argument, changed, plan};
use serde_json::{Value, json};

/// A rule that a JSON Schema cannot express.
pub struct Rule {
    /// What a description of the schema says of it.
    pub said: &'static str,
    /// What the refusal says.
    pub refused: &'static str,
    /// A document that the schema allows and the rule does not.
    pub broken_by: String,
}

fn rule(said: &'static str, refused: &'static str, broken_by: impl ToString) -> Rule {
    Rule { said, refused, broken_by: broken_by.to_string() }
}

/// Every rule.
pub fn rules() -> Vec<Rule> {
    [of_the_document(), of_steps(), of_constraints(), of_texts(), of_patterns()].into_iter().flatten().collect()
}

fn of_the_document() -> Vec<Rule> {
    let lists = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let long = (0..64).map(|n| (format!("a{n}"), json!({"const": "x".repeat(1020)}))).collect::<Value>();
    let twice = plan().to_string().replacen("\"agent\":", "\"agent\":\"x\",\"agent\":", 1);
    vec![
        rule("At most 65536 bytes", "bytes long; at most 65536", changed("/steps/1/args", long)),
        rule("nested at most 32 levels", "nested deeper than 32 levels", argument(json!({"const": lists}))),
        rule("of at most 20000 values", "more than 20000 values", argument(json!({"const": vec![1; 20_000]}))),
        rule("No member name twice", "appears twice", twice),
        rule("no point, no exponent", "is not a plain integer", changed("/limits/lifetime_secs", json!(60.0))),
        rule(
            "in Unicode normalization form C",
            "not in Unicode normalization form C",
            changed("/agent", json!("e\u{301}")),
        ),
        rule(
            "invisible, unassigned or change the direction",
            "which is invisible",
            changed("/purpose", json!("a\u{378}")),
        ),
    ]
}

fn of_steps() -> Vec<Rule> {
    let delegates = |first: &str, second: &str, step: &str| {
        changed("/delegates", json!([{"client_id": first, "steps": ["use"]}, {"client_id": second, "steps": [step]}]))
    };
    let budget = json!([{"steps": ["nowhere"], "max": "1"}]);
    let (earlier, once) =
        ("The id of a step that stands earlier in the plan.", "Each is named once, and the agent is none");
    let uncounted = |place: &str, value: Value| {
        let mut plan = changed(place, value);
        plan["steps"][0]["uses"] = "any".into();
        plan
    };
    let blocked = json!([{"resource": {"id": {"quote": {"step": "find"}}}}]);
    vec![
        rule("No two steps have the same id", "another step has this id", changed("/steps/1/id", json!("find"))),
        rule(once, "is named twice or is the agent itself", delegates("worker", "worker", "use")),
        rule(once, "is named twice or is the agent itself", delegates("worker", "agent", "use")),
        rule("The id of a step of the plan.", "the plan has no step", delegates("worker", "other", "nowhere")),
        rule("The id of a step of the plan.", "the plan has no step", changed("/limits/budgets", budget)),
        rule(earlier, "the plan has no step", changed("/steps/0/after", json!(["use"]))),
        rule("uses are counted, not", "whose uses are not counted", uncounted("/steps/1/after", json!(["find"]))),
        rule(
            "uses are counted, not",
            "whose uses are not counted",
            uncounted("/steps/1/resource/id", json!({"quote": {"step": "find"}})),
        ),
        rule(
            "uses are counted, not",
            "whose uses are not counted",
            uncounted("/limits/budgets", json!([{"steps": ["find"], "max": "1"}])),
        ),
        rule("that depends on no step", "depends on a step; what is blocked", changed("/blocked", blocked)),
        rule(earlier, "no earlier step has the id", argument(json!({"quote": {"step": "use"}}))),
        rule(
            earlier,
            "no earlier step has the id",
            changed("/steps/1/resource/id", json!({"quote": {"step": "nowhere"}})),
        ),
        rule(
            "one that its args name, not",
            "binds no argument",
            argument(json!({"same_as": {"step": "find", "arg": "x"}})),
        ),
        rule(
            "one that its args name, not",
            "binds no argument",
            argument(json!({"same_as": {"step": "find", "arg": "*"}})),
        ),
    ]
}

fn of_constraints() -> Vec<Rule> {
    let deep = (0..8).fold(json!({"any": true}), |inner, _| json!({"each": inner}));
    let (low, wide) = (json!({"any": true}), json!({"all": vec![json!({"all": vec![json!({"any": true}); 16]}); 16]}));
    let object = |part: &Value| json!({"obj": (0..16).map(|n| (format!("a{n}"), part.clone())).collect::<Value>()});
    let (levels, many) = ("at most 8 levels of constraints and 256 of them", "has more than 8 levels or 256 parts");
    let (order, above) = ("not below min", "has a min above its max");
    let base = json!({"const": 1});
    let fmt = |template: &str| argument(json!({"fmt": {"template": template, "slots": {"a": low, "b": low}}}));
    let slots = "Each of the slots stands in it exactly once, and no other brace";
    let vars = json!({"compute": {"expr": "a + b", "vars": {"a": base}}});
    vec![
        rule(levels, many, argument(deep)),
        rule(levels, many, argument(wide)),
        rule(levels, many, argument(object(&object(&low)))),
        rule(
            "it has at most 1024 characters",
            "a value of more than 1024 characters",
            argument(json!({"const": vec!["x"; 300]})),
        ),
        rule(order, above, argument(json!({"num": {"min": "2", "max": "1"}}))),
        rule(order, above, argument(json!({"amount": {"min": "2", "max": "1", "currency": "EUR"}}))),
        rule(order, above, argument(json!({"rel": {"base": base, "min": "2", "max": "1"}}))),
        rule(
            "itself not before from",
            "ends before it begins",
            argument(json!({"time_window":
            {"from": "2026-11-22T03:00:01Z", "to": "2026-11-22T03:00:00Z"}})),
        ),
        rule("Two slots never touch", "has two slots that touch", fmt("{a}{b}")),
        rule(slots, "twice or without a constraint, or has a stray brace", fmt("{a} {a} {b}")),
        rule(slots, "twice or without a constraint, or has a stray brace", fmt("{a} {c}")),
        rule(slots, "has a stray brace, or lacks one of the slots", fmt("{a}")),
        rule("Exactly the variables of the expression", "are not exactly the variables", argument(vars)),
    ]
}

fn of_texts() -> Vec<Rule> {
    let location = |text: &str| changed("/steps/1/location", json!(text));
    let field = |field: &str| argument(json!({"ref": {"step": "find", "field": field}}));
    let expression = |expr: &str| argument(json!({"compute": {"expr": expr, "vars": {"a": {"const": 1}}}}));
    let long = format!("a.{}{}", "1".repeat(40), "a".repeat(40));
    let (normal, uri) = ("http or https, in normal form", "is not an http(s) URI in normal form");
    let digits = argument(json!({"num": {"max": "12345678901234567890.1234567890"}}));
    vec![
        rule(
            "29 February is in leap years only",
            "is not an RFC 3339 instant",
            changed("/steps/1/window", json!({"to": "2026-02-29T00:00:00Z"})),
        ),
        rule("at most 28 digits in all", "is not a decimal number in plain notation of at most 28 digits", digits),
        rule(normal, uri, location("https://rs.example:443/a")),
        rule(normal, uri, location("http://xn--a.example")),
        rule("each of at most 63 characters", "is not a host name", argument(json!({"domain": {"any_of": [long]}}))),
        rule("at most 512 bytes", "is not a JSON pointer", field(&format!("/{}", "ä".repeat(300)))),
        rule("Arithmetic of numbers in plain notation", "is no expression", expression("a +")),
        rule(
            "16 parentheses within each other",
            "is no expression",
            expression(&format!("{}a{}", "(".repeat(17), ")".repeat(17))),
        ),
        rule("At most 64 numbers, variables", "has more than 64 numbers", expression(&vec!["a"; 33].join("+"))),
    ]
}

fn of_patterns() -> Vec<Rule> {
    let pattern = |said, refused, text: &str| rule(said, refused, argument(json!({"pattern": text})));
    vec![
        pattern("A regular expression that the whole value matches", "is no pattern", "(a"),
        pattern("No anchors, word boundaries", "has an anchor or a word boundary", "^a"),
        pattern("No anchors, word boundaries", "has an anchor or a word boundary", r"a\b"),
        pattern("flags", "has a flag", "(?i)a"),
        pattern(r"\d, \w, \s", r"has `\d`, `\w` or `\s`", r"\d"),
        pattern(r"\d, \w, \s", r"has `\d`, `\w` or `\s`", r"[\d]"),
        pattern("Unicode and POSIX classes", "has a Unicode class", r"\pL"),
        pattern("Unicode and POSIX classes", "has a POSIX class", "[[:alpha:]]"),
        pattern("escaped codes", "has an escaped code", r"\x41"),
        pattern("look-around", "is no pattern", "(?=a)b"),
        pattern("named groups", "has a named group", "(?P<a>b)"),
        pattern("empty parts", "has an empty part", "(a|)"),
        pattern("lazy repetitions", "has a lazy repetition", "a*?"),
        pattern("repetitions of repetitions", "repeats a repetition", "a**"),
        pattern("In a class no class", "has a class within a class", "[a[b]]"),
        pattern("no &&, --, ~~", "has `&&`, `--` or `~~` in a class", "[a&&b]"),
        pattern(r"] only as \]", "has `]` in a class", "[]a]"),
        pattern("goes up to 1000", "repeats 1001 times", "a{1001}"),
        pattern("some ten groups nest", "is no pattern", &format!("{}a{}", "(".repeat(60), ")".repeat(60))),
        pattern("compiles to at most 262144 bytes", "bytes when it is compiled", "([a-z]{1000}){100}"),
        pattern("some plain text matches it", "matches nothing", "e[\u{301}]"),
    ]
}
