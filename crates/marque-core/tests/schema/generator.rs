//! Makes documents of a JSON Schema: of any schema that says no more than this file reads.
//!
//! What a schema cannot say it knows in one place, [`Generator::relate`]: most of the time it makes things that belong
//! together fit, so that many of the plans parse, and now and then it leaves them as they came.

use crate::heights::Heights;
use crate::texts::Texts;
use marque_core::value::decimal::Decimal;
use proptest::prelude::RngExt;
use serde_json::{Map, Value, json};

/// Constraints within each other, and lists and objects beside them, before the shortest way down is taken.
const DEPTH: usize = 11;

/// A step that was made and whose uses are counted, as others can name it.
struct Made {
    id: String,
    args: Vec<String>,
}

/// A source of documents that always gives the same ones.
pub struct Generator<'s> {
    root: &'s Value,
    heights: Heights<'s>,
    texts: Texts,
    made: Vec<Made>,
    /// Ids of steps whose uses are not counted.
    uncounted: Vec<String>,
    /// How often an earlier step was wanted where there was none.
    wanted: usize,
}

impl<'s> Generator<'s> {
    pub fn new(root: &'s Value) -> Self {
        Self {
            root,
            heights: Heights::new(root),
            texts: Texts::new(),
            made: Vec::new(),
            uncounted: Vec::new(),
            wanted: 0,
        }
    }

    /// The next document.
    pub fn document(&mut self) -> Value {
        self.made.clear();
        self.uncounted.clear();
        self.schema(self.root, 0)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.texts.random().random_range(0..end)
    }

    /// True `of_100` times in 100.
    pub(crate) fn chance(&mut self, of_100: usize) -> bool {
        self.below(100) < of_100
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len());
        from[at].clone()
    }

    fn schema(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(members) = schema.as_object() else { return self.pick(&[json!(1), json!("x"), json!(null)]) };
        if let Some(target) = members.get("$ref").and_then(Value::as_str) {
            return self.reference(target, members, depth);
        }
        if let Some(value) = members.get("const") {
            return value.clone();
        }
        if let Some(values) = members.get("enum").and_then(Value::as_array) {
            return self.pick(values);
        }
        if let Some(examples) = members.get("examples").and_then(Value::as_array).filter(|_| depth > 0) {
            let often = if members.get("type") == Some(&"string".into()) { 50 } else { 5 };
            if self.chance(often) {
                let example = self.pick(examples);
                return self.relate_all(example);
            }
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(branches) = members.get(choice).and_then(Value::as_array) {
                return self.choice(members, choice, branches, depth);
            }
        }
        match self.kind(members.get("type").unwrap_or(&Value::Null), depth).as_str() {
            "object" => self.object(members, depth),
            "array" => self.array(members, depth),
            "string" => self.texts.text(members).into(),
            "integer" => self.integer(members),
            "boolean" => self.chance(50).into(),
            "null" => Value::Null,
            other => panic!("a type that is not read here: {other}"),
        }
    }

    /// One of the types; one without parts where it is deep enough.
    fn kind(&mut self, types: &Value, depth: usize) -> String {
        match types {
            Value::String(only) => only.clone(),
            Value::Array(types) => {
                let names: Vec<_> = types.iter().filter_map(Value::as_str).collect();
                let has_parts = |name: &&str| matches!(*name, "object" | "array");
                let flat = names.iter().copied().filter(|name| !has_parts(name)).collect::<Vec<_>>();
                let few = depth >= DEPTH || self.chance(70);
                self.pick(if few { &flat } else { &names }).to_owned()
            }
            other => panic!("no type: {other}"),
        }
    }

    fn reference(&mut self, target: &str, beside: &Map<String, Value>, depth: usize) -> Value {
        let name = target.strip_prefix("#/$defs/").unwrap_or_else(|| panic!("a reference elsewhere: {target}"));
        match name {
            "EarlierStep" if self.made.is_empty() => self.wanted += 1,
            "EarlierStep" | "StepOfPlan" if !self.made.is_empty() && self.chance(99) => {
                let at = self.below(self.made.len());
                return self.made[at].id.as_str().into();
            }
            "StepOfPlan" if !self.uncounted.is_empty() => return self.pick(&self.uncounted.clone()).into(),
            _ => {}
        }
        let root = self.root;
        let target = &root["$defs"][name];
        let more = beside.iter().filter(|(name, _)| !matches!(name.as_str(), "$ref" | "description" | "default"));
        let more: Vec<_> = more.collect();
        let made =
            if more.is_empty() { self.schema(target, depth) } else { self.schema(&narrowed(target, &more), depth) };
        if name == "SubmittedStep" {
            self.remember(&made);
        }
        made
    }

    fn remember(&mut self, step: &Value) {
        if step.get("uses") == Some(&"any".into()) && !self.chance(1) {
            return self.uncounted.push(step["id"].as_str().unwrap().to_owned());
        }
        let names = step["args"].as_object().map(|args| args.keys().filter(|name| *name != "*").cloned().collect());
        self.made.push(Made { id: step["id"].as_str().unwrap().to_owned(), args: names.unwrap_or_default() });
    }

    /// One of the branches, together with what stands beside them. Members that only other branches ask for are left
    /// out. A branch that wants an earlier step where there is none is mostly given up for another.
    fn choice(&mut self, members: &Map<String, Value>, choice: &str, branches: &[Value], depth: usize) -> Value {
        let mut possible: Vec<&Value> = branches.iter().collect();
        if depth >= DEPTH {
            let lowest = branches.iter().map(|branch| self.heights.of(branch)).min().unwrap();
            possible.retain(|branch| self.heights.of(branch) == lowest);
        }
        loop {
            let branch = self.pick(&possible);
            let whole = beside(members, choice, branches, branch);
            let wanted = self.wanted;
            let made = self.schema(&whole, depth);
            if self.wanted == wanted || self.chance(2) {
                return made;
            }
        }
    }

    fn object(&mut self, members: &Map<String, Value>, depth: usize) -> Value {
        let none = Map::new();
        let properties = members.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let mut names = self.names(members, properties, depth);
        if let Some((name, more)) = dependent(members, &names) {
            let mut members = merged(&members.clone().into(), more);
            members["dependentSchemas"].as_object_mut().unwrap().remove(name);
            members["required"].as_array_mut().unwrap().push(name.as_str().into());
            return self.object(members.as_object().unwrap(), depth);
        }
        // What is named elsewhere in the plan comes first.
        names.sort_by_key(|name| (name != "steps", name != "id", name.clone()));
        let mut made = Map::new();
        for name in names {
            let value = self.schema(&properties[&name], depth + 1);
            made.insert(name, value);
        }
        self.further(members, depth, &mut made);
        self.relate(made.into())
    }

    /// Names of stated properties: all that are required, some of the others.
    fn names(&mut self, members: &Map<String, Value>, properties: &Map<String, Value>, depth: usize) -> Vec<String> {
        let listed = |value: &Value| {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let required = members.get("required").map(listed).unwrap_or_default();
        let bound = |name: &str| members.get(name).and_then(Value::as_u64).map(|bound| bound as usize);
        let (least, most) = (bound("minProperties").unwrap_or(0), bound("maxProperties").unwrap_or(usize::MAX));
        let mut names = required;
        let often = if depth >= DEPTH { 5 } else { 40 };
        let mut others: Vec<_> = properties.keys().filter(|name| !names.contains(name)).cloned().collect();
        while !others.is_empty() && names.len() < most {
            let other = others.swap_remove(self.below(others.len()));
            let is_needed = members.get("additionalProperties") == Some(&false.into()) && names.len() < least;
            if is_needed || self.chance(often) {
                let with = members.get("dependentRequired").and_then(|needs| needs.get(&other)).map(listed);
                names.push(other);
                names.extend(with.into_iter().flatten());
            }
        }
        names.sort();
        names.dedup();
        names
    }

    /// Members of other names, where they may be.
    fn further(&mut self, members: &Map<String, Value>, depth: usize, made: &mut Map<String, Value>) {
        let Some(schema @ Value::Object(_)) = members.get("additionalProperties") else { return };
        let bound = |name: &str, or: u64| members.get(name).and_then(Value::as_u64).unwrap_or(or) as usize;
        let most = if depth >= DEPTH { 0 } else { 3 };
        let count = self.below(most + 1).max(bound("minProperties", 0).saturating_sub(made.len()));
        for _ in 0..count.min(bound("maxProperties", 9) - made.len()) {
            let name = json!({"type": "string", "minLength": 0});
            let name = members.get("propertyNames").map_or(name, |names| merged(&json!({"type": "string"}), names));
            let is_stated = |name: &str| members.get("properties").is_some_and(|stated| stated.get(name).is_some());
            if let Some(name) = self.schema(&name, depth + 1).as_str().filter(|name| !is_stated(name)) {
                let value = self.schema(schema, depth + 1);
                made.entry(name.to_owned()).or_insert(value);
            }
        }
    }

    fn array(&mut self, members: &Map<String, Value>, depth: usize) -> Value {
        let bound = |name: &str, or: u64| members.get(name).and_then(Value::as_u64).unwrap_or(or) as usize;
        let (least, most) = (bound("minItems", 0), bound("maxItems", 9));
        let more = if depth >= DEPTH { 0 } else { self.pick(&[0, 0, 1, 1, 2, 3]) };
        let is_set = members.get("uniqueItems") == Some(&true.into());
        let mut items: Vec<Value> = Vec::new();
        for _ in 0..(least + more).min(most) {
            let wanted = self.wanted;
            let item = self.schema(&members["items"], depth + 1);
            if is_set && self.wanted > wanted && self.chance(98) {
                self.wanted = wanted;
            } else if !is_set || !items.contains(&item) {
                items.push(item);
            }
        }
        items.into()
    }

    fn integer(&mut self, members: &Map<String, Value>) -> Value {
        let bound = |name: &str, or: i64| members.get(name).and_then(Value::as_i64).unwrap_or(or);
        let (least, most) = (bound("minimum", -1000), bound("maximum", 1000));
        // 5.0 is an integer too, says JSON Schema.
        if self.below(2000) == 0 {
            return json!(least as f64);
        }
        let any = self.texts.random().random_range(least..=most);
        self.pick(&[least, most, any, any.clamp(least, least.saturating_add(9))]).into()
    }

    /// [`Self::relate`] for everything in a value, the inmost first.
    fn relate_all(&mut self, value: Value) -> Value {
        let Value::Object(members) = value else { return value };
        let made = members.into_iter().map(|(name, member)| (name, self.relate_all(member))).collect();
        self.relate(Value::Object(made))
    }

    /// Makes members fit each other that belong together, most of the time.
    fn relate(&mut self, mut made: Value) -> Value {
        let Some(members) = made.as_object_mut() else { return made };
        if self.chance(2) {
            return made;
        }
        for (low, high) in [("min", "max"), ("from", "to")] {
            put_in_order(members, low, high);
        }
        if members.contains_key("template") && members.get("slots").is_some_and(Value::is_object) {
            let names = members["slots"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            members["template"] = names.iter().map(|name| format!("{{{name}}} and ")).collect::<String>().into();
        }
        if members.contains_key("expr") && members.get("vars").is_some_and(Value::is_object) {
            let names = members["vars"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            members["expr"] =
                if names.is_empty() { "1 + 2".into() } else { format!("({}) * 2", names.join(" + ")).into() };
        }
        let named = members.values().any(|value| value.get("step").is_some());
        if let Some(rule) = members.values_mut().next().filter(|_| named) {
            self.point_back(rule.as_object_mut().unwrap());
        }
        made
    }

    /// Lets a rule about an earlier step name one, and an argument that this one has.
    fn point_back(&mut self, rule: &mut Map<String, Value>) {
        let needs_argument = rule.contains_key("arg");
        let fit: Vec<usize> =
            (0..self.made.len()).filter(|at| !needs_argument || !self.made[*at].args.is_empty()).collect();
        if fit.is_empty() {
            self.wanted += 1;
            return;
        }
        let step = self.pick(&fit);
        rule["step"] = self.made[step].id.as_str().into();
        if needs_argument {
            let args = self.made[step].args.clone();
            rule["arg"] = self.pick(&args).into();
        }
    }
}

/// What else a schema says if one of the members is there.
fn dependent<'s>(members: &'s Map<String, Value>, names: &[String]) -> Option<(&'s String, &'s Value)> {
    let schemas = members.get("dependentSchemas").and_then(Value::as_object)?;
    schemas.iter().find(|(name, _)| names.contains(name))
}

/// A branch together with what stands beside the list of branches.
fn beside(members: &Map<String, Value>, choice: &str, branches: &[Value], branch: &Value) -> Value {
    let kept = members.iter().filter(|(name, _)| !matches!(name.as_str(), "examples" | "oneOf" | "anyOf"));
    let mut rest: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    if rest.keys().all(|name| name == "description") {
        return branch.clone();
    }
    if let Some(properties) = rest.get_mut("properties").and_then(Value::as_object_mut) {
        let asks = |branch: &Value, name: &str| {
            branch.get("required").and_then(Value::as_array).is_some_and(|names| names.contains(&name.into()))
        };
        let others = |name: &str| choice == "oneOf" && branches.iter().any(|other| asks(other, name));
        properties.retain(|name, _| asks(branch, name) || !others(name));
    }
    merged(&rest.into(), branch)
}

/// A definition with what stands beside the reference to it. Of two patterns the second is `also`.
fn narrowed(target: &Value, more: &[(&String, &Value)]) -> Value {
    let mut narrowed = target.clone();
    for (name, value) in more {
        let before = narrowed[name.as_str()].take();
        if *name == "pattern" && before.is_string() && before != **value {
            narrowed["also"] = before;
        }
        narrowed[name.as_str()] = (*value).clone();
    }
    narrowed
}

/// Both schemas in one: lists are put together, and of two of anything else the second counts.
fn merged(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut both = one.clone();
            for (name, value) in other {
                let value = one.get(name).map_or_else(|| value.clone(), |before| merged(before, value));
                both.insert(name.clone(), value);
            }
            both.into()
        }
        (Value::Array(one), Value::Array(other)) => [one.as_slice(), other].concat().into(),
        _ => other.clone(),
    }
}

/// Exchanges two bounds if they are the wrong way round.
fn put_in_order(members: &mut Map<String, Value>, low: &str, high: &str) {
    let texts = (members.get(low).and_then(Value::as_str), members.get(high).and_then(Value::as_str));
    let (Some(first), Some(second)) = texts else { return };
    let is_wrong = match (Decimal::parse(first), Decimal::parse(second)) {
        (Ok(first), Ok(second)) => first > second,
        _ => first > second,
    };
    if is_wrong {
        let (first, second) = (members[low].take(), members[high].take());
        members.insert(low.into(), second);
        members.insert(high.into(), first);
    }
}
