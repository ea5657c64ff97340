//! What single constraints leave open.

use super::{Described, Report, Rule};
use crate::catalog::{ArgumentKind, Sensitive};
use crate::constraint::{Arguments, Constraint, DomainRule, NumRange, TextRule};
use crate::plan::Class;
use crate::value::pattern::Pattern;
use serde_json::{Value, json};

/// Characters of a text that is still read at a glance: beyond them it is long for something that is sent out.
const GLANCE_CHARS: u64 = 2_000;
/// Entries of a list that a person still counts.
const GLANCE_ITEMS: u64 = 20;

/// Where a constraint stands.
pub(super) struct Place<'p> {
    pub(super) step: &'p Described<'p>,
    /// The argument that it belongs to; `None` for the resource.
    pub(super) argument: Option<&'p str>,
}

impl Place<'_> {
    fn kind(&self) -> Option<ArgumentKind> {
        self.described().map(|described| described.0)
    }

    fn described(&self) -> Option<(ArgumentKind, Option<Sensitive>)> {
        let described = self.step.action?.args.get(self.argument?)?;
        Some((described.kind, described.sensitive))
    }

    /// Whether the value leaves the organisation, or could as far as is known.
    fn may_leave(&self) -> bool {
        let is_egress = self.described().is_some_and(|(_, sensitive)| sensitive == Some(Sensitive::Egress));
        self.argument.is_some() && (is_egress || self.step.may_be(Class::Send))
    }

    fn may_spend(&self) -> bool {
        let is_money = self.described().is_some_and(|(_, sensitive)| sensitive == Some(Sensitive::Money));
        self.argument.is_some() && (is_money || self.step.may_be(Class::Pay))
    }

    /// Looks at a constraint and at all its parts.
    pub(super) fn check(&self, path: &str, constraint: &Constraint, report: &mut Report) {
        use Constraint as C;
        let under = |member: &str| format!("{path}.{member}");
        match constraint {
            C::Any(_) => self.any(path, report),
            C::OneOf(values) => single(path, values, report),
            C::Text(rule) => self.text(path, rule, report),
            C::Pattern(pattern) => loose(path, pattern, report),
            C::Num(range) => self.number(path, range, report),
            C::Domain(rule) => subdomains(path, rule, report),
            C::Prefix(prefix) if prefix == "/" => {
                report.add(Rule::RootPrefix, path, "any path at all is under /", "name the folder that is meant");
            }
            C::Each(of) => {
                let mend = "say how many items at most";
                report.add(Rule::UnboundedList, path, "a list of any length", mend);
                report.write(json!({"items": {"of": of.expected(), "max": GLANCE_ITEMS}}));
                self.check(&under("each"), of, report);
            }
            C::Items(rule) => self.check(&under("items.of"), &rule.of, report),
            C::Obj(members) => self.members(&under("obj"), members, report),
            C::All(parts) => self.all(&under("all"), parts, report),
            C::Either(parts) => self.either(&under("either"), parts, report),
            C::Optional(inner) => self.check(&under("optional"), inner, report),
            C::Fmt(rule) => self.members(&under("fmt.slots"), &rule.slots, report),
            C::Attr(rule) => self.members(&under("attr.where"), &rule.attributes, report),
            C::Ref(rule) => self.members(&under("ref.where"), &rule.rows, report),
            _ => {}
        }
    }

    /// Of several that must all hold it is enough that one is narrow.
    fn all(&self, path: &str, parts: &[Constraint], report: &mut Report) {
        let of_part = |(index, part): (usize, &Constraint)| {
            let mut report = Report::default();
            self.check(&format!("{path}[{index}]"), part, &mut report);
            report.findings
        };
        let found: Vec<_> = parts.iter().enumerate().map(of_part).collect();
        if found.iter().all(|findings| !findings.is_empty()) {
            report.findings.extend(found.into_iter().flatten());
        }
    }

    fn either(&self, path: &str, parts: &[Constraint], report: &mut Report) {
        for (index, part) in parts.iter().enumerate() {
            self.check(&format!("{path}[{index}]"), part, report);
        }
    }

    fn members(&self, path: &str, members: &Arguments, report: &mut Report) {
        for (name, constraint) in members {
            match name.as_str() {
                "*" => open(&format!("{path}.*"), "members", report),
                name => self.check(&format!("{path}.{name}"), constraint, report),
            }
        }
    }

    fn any(&self, path: &str, report: &mut Report) {
        let Some(argument) = self.argument else {
            let mend = "list the resources, or bind them by prefix, pattern or an earlier step's result";
            report.add(Rule::AnyValue, path, "any resource of this type", mend);
            return;
        };
        let mend = "say what it may be: a value, a list, a range, or where it comes from";
        report.add(Rule::AnyValue, path, format!("anything at all in {argument:?}"), mend);
        // What is at stake is not guessed at.
        if self.described().is_some_and(|(_, sensitive)| sensitive.is_some()) {
            return;
        }
        let is_whole = path.ends_with(&format!(".args.{argument}"));
        report.write(match self.kind().filter(|_| is_whole) {
            Some(ArgumentKind::Integer | ArgumentKind::Number) => json!({"num": {"min": "0", "max": "100"}}),
            Some(ArgumentKind::Boolean) => json!({"const": false}),
            Some(ArgumentKind::Array) => json!({"items": {"of": {"text": {"max": 200}}, "max": GLANCE_ITEMS}}),
            Some(ArgumentKind::Object) => json!({"obj": {"NAME": {"text": {"max": 200}}}}),
            Some(ArgumentKind::String) | None => json!({"text": {"max": 200}}),
        });
    }

    fn text(&self, path: &str, rule: &TextRule, report: &mut Report) {
        if !self.may_leave() {
            return;
        }
        let maybe = self.step.unless_known("sent out");
        let max = rule.max.min(GLANCE_CHARS);
        if rule.urls {
            let message = format!("links in what is sent out: they can carry anything away{maybe}");
            report.add(Rule::LinksInSend, path, message, "leave out urls, or name the link as a const");
            report.write(json!({"text": {"max": max}}));
        }
        if rule.max > GLANCE_CHARS {
            let message = format!("up to {} characters of the agent's own choice are sent out{maybe}", rule.max);
            report.add(Rule::LongTextInSend, path, message, "allow as many as are needed, or use fmt with a template");
            report.write(json!({"text": {"max": max}}));
        }
    }

    fn number(&self, path: &str, range: &NumRange, report: &mut Report) {
        let missing = match (&range.min, &range.max) {
            (None, _) => "lower",
            (_, None) => "upper",
            _ => return,
        };
        if !self.may_spend() {
            return;
        }
        let maybe = self.step.unless_known("a payment");
        report.add(
            Rule::OpenNumber,
            path,
            format!("a number without a {missing} bound{maybe}"),
            "state both bounds, or use amount with a currency",
        );
        if let (None, Some(max)) = (&range.min, &range.max) {
            report.write(json!({"num": {"min": "0", "max": max.as_str()}}));
        }
    }
}

pub(super) fn open(path: &str, what: &str, report: &mut Report) {
    let mend = format!("name the {what} that are needed and leave the * out");
    report.add(Rule::OpenArguments, path, format!("any further {what}, with any value"), mend);
}

fn single(path: &str, values: &[Value], report: &mut Report) {
    if let [value] = values {
        report.add(Rule::SingleAlternative, path, "a choice among one", "say const: it reads as what it is");
        report.write(json!({"const": value}));
    }
}

fn loose(path: &str, pattern: &Pattern, report: &mut Report) {
    let text = pattern.as_str();
    let begins = [".*", ".+"].iter().any(|any| text.starts_with(any));
    // An escaped dot before the star is a dot.
    let ends = [".*", ".+"].iter().any(|any| {
        text.strip_suffix(any).is_some_and(|rest| rest.chars().rev().take_while(|c| *c == '\\').count() % 2 == 0)
    });
    if !begins && !ends {
        return;
    }
    let message = match (begins, ends) {
        (true, true) => "a pattern that begins and ends with anything",
        (true, false) => "a pattern that begins with anything",
        _ => "a pattern that ends with anything",
    };
    report.add(Rule::LoosePattern, path, message, "say which characters may stand there, and how many");
    let bounded = "[A-Za-z0-9 ._-]{0,64}";
    let inner = if begins { text.get(2..).unwrap_or_default() } else { text };
    let (inner, has_end) = match ends && !inner.is_empty() {
        true => (inner.get(..inner.len() - 2).unwrap_or_default(), true),
        false => (inner, false),
    };
    let narrowed = format!("{}{inner}{}", if begins { bounded } else { "" }, if has_end { bounded } else { "" });
    if Pattern::parse(&narrowed).is_ok() {
        report.write(json!({"pattern": narrowed}));
    }
}

fn subdomains(path: &str, rule: &DomainRule, report: &mut Report) {
    if !rule.subdomains {
        return;
    }
    let message = format!("any host below {}: whoever gets a name there is meant too", rule.any_of.join(", "));
    report.add(Rule::Subdomains, path, message, "list the hosts that are meant and leave out subdomains");
    report.write(json!({"domain": {"any_of": rule.any_of}}));
}
