//! What the parts of a plan look like that are more than their Rust types say: texts of a form, maps, lists.

use super::forms;
use crate::constraint::{Constraint, Reduce, Ref, True};
use crate::limits;
use crate::plan::{ResourceId, Uses, Version};
use crate::timestamp::Timestamp;
use crate::value::decimal::DecimalText;
use crate::value::expr::Expr;
use crate::value::pattern::Pattern;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// Defines the schemas of types, each under its name.
macro_rules! terms {
    ($($type:ty, $name:expr, $generator:pat => $schema:expr;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

/// Defines what a `String`, a map or a list is in some places of a plan: types that only have a schema.
macro_rules! places {
    ($($name:ident, $generator:pat => $schema:expr;)*) => {
        $(pub(crate) struct $name;)*
        terms! { $($name, stringify!($name), $generator => $schema;)* }
    };
}

terms! {
    Version, "Version", _ => json_schema!({"type": "integer", "const": 1});
    True, "True", _ => json_schema!({"type": "boolean", "const": true});
    Uses, "Uses", to => json_schema!({
        "description": "How often a step may be used, or any number of times: only for reads.",
        "oneOf": [to.subschema_for::<Count>(), {"type": "string", "const": "any"}],
    });
    ResourceId, "ResourceId", to => json_schema!({
        "description": "One resource id exactly, or a constraint on the id, which is a text.",
        "oneOf": [to.subschema_for::<Identifier>(), to.subschema_for::<Constraint>()],
    });
    Timestamp, "Timestamp", _ => form(
        "An instant in UTC with whole seconds. 29 February is in leap years only.", 20, forms::TIMESTAMP,
        &["2026-11-22T03:00:00Z"],
    );
    DecimalText, "Decimal", _ => form(&decimal("A decimal number"), 31, forms::DECIMAL, &["9.50", "0", "-3"]);
    Pattern, "Pattern", _ => form(
        &pattern(), limits::PATTERN_CHARS, forms::SOME_TEXT,
        &["INV-[0-9]{6}", "[a-z]{2,8}(-[0-9]+)?", "(red|green) .*"],
    );
    Expr, "Expression", _ => form(
        &expression(), limits::EXPR_CHARS, "^[a-z0-9_.,()+*/ -]+$", &["net * 1.19", "round(total / people, 2)", "max(a - b, 0)"],
    );
    Ref, "Ref", to => json_schema!({
        "description": "The rule of ref: a value of an earlier step's result, or of the rows of a list in it.",
        "oneOf": [of_result(to), of_rows(to)],
    });
}

places! {
    Purpose, _ => text("What the agent says the plan is for, in a sentence or two.", limits::PURPOSE_CHARS);
    PlainText, _ => json_schema!({
        "description": "A text without line breaks and characters that nobody sees.", "type": "string", "pattern": forms::PLAIN,
    });
    Identifier, _ => text("A name or an id, as it is.", limits::IDENTIFIER_CHARS);
    Count, _ => json_schema!({
        "description": "So often, counted.", "type": "integer", "minimum": 1, "maximum": limits::USES,
    });
    EarlierStep, _ => text("The id of a step that stands earlier in the plan. Its uses are counted, not \"any\".", limits::IDENTIFIER_CHARS);
    StepOfPlan, _ => text("The id of a step of the plan.", limits::IDENTIFIER_CHARS);
    Location, _ => form(
        "URI of a resource server, as it publishes it: http or https, in normal form, so without the scheme's own port. \
         No user, query, fragment, percent-encoding and final slash.",
        limits::IDENTIFIER_CHARS, &forms::location(), &["https://files.example.com", "http://localhost:7502/mail"],
    );
    Currency, _ => form("ISO 4217 code.", 3, "^[A-Z]{3}$", &["EUR"]);
    NotNegative, _ => form(&decimal("A decimal number, not below zero"), 30, forms::NOT_NEGATIVE, &["9.50", "0"]);
    Host, _ => form(
        "A host name in lower-case ASCII of two or more labels, each of at most 63 characters.", 253, &forms::host(), &["example.com"],
    );
    Prefix, to => plain_form(
        to, "A path in normal form that ends in /: no empty segment, no segment . or .. alone, nor one of these before a ;, none of \\ % ? #.",
        limits::VALUE_CHARS, &forms::prefix(), &["/reports/2026/", "inbox/"],
    );
    Template, _ => template();
    Pointer, to => pointer(to, "A JSON pointer (RFC 6901) within a row or record", forms::POINTER, &["/amount", ""]);
    Place, to => pointer(to, "A JSON pointer (RFC 6901) within the result", &forms::place(), &["/invoice/total"]);
    Column, to => pointer(
        to, "A JSON pointer (RFC 6901) within the result in which exactly one segment is *, each element of a list",
        &forms::column(), &["/invoices/*/total", "/*"],
    );
    PlanValue, _ => plan_value();
    Alternatives, to => {
        let value = to.subschema_for::<PlanValue>();
        json_schema!({"type": "array", "items": value, "minItems": 1, "maxItems": limits::ALTERNATIVES})
    };
    Parts, to => {
        let part = to.subschema_for::<Constraint>();
        json_schema!({"type": "array", "items": part, "minItems": 2, "maxItems": limits::BRANCHES})
    };
    Arguments, to => arguments(to);
    OneValue, _ => json_schema!({});
    Slots, to => json_schema!({
        "description": "What fills each slot of the template, by the slot's name.",
        "type": "object", "maxProperties": limits::BRANCHES,
        "propertyNames": {"$ref": "#/$defs/PlainText", "pattern": "^[^{}]+$"},
        "additionalProperties": to.subschema_for::<Constraint>(),
    });
    Variables, to => json_schema!({
        "type": "object", "maxProperties": limits::EXPR_NODES,
        "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,31}$", "not": {"enum": ["min", "max", "round"]}},
        "additionalProperties": to.subschema_for::<OneValue>(),
    });
    Attributes, to => row(to, 1);
    Rows, to => row(to, 0);
}

/// A text that a person reads: not empty, and nothing hidden in it.
fn text(description: &str, max: usize) -> Schema {
    json_schema!({
        "description": description, "type": "string", "minLength": 1, "maxLength": max, "pattern": forms::PLAIN,
    })
}

/// A text of some form.
fn form(description: &str, max: usize, pattern: &str, examples: &[&str]) -> Schema {
    json_schema!({
        "description": description, "type": "string", "maxLength": max, "pattern": pattern, "examples": examples,
    })
}

/// A text of some form whose pattern leaves hidden characters to [`PlainText`].
fn plain_form(to: &mut SchemaGenerator, description: &str, max: usize, pattern: &str, examples: &[&str]) -> Schema {
    let mut schema = to.subschema_for::<PlainText>();
    if let (Some(members), Some(more)) =
        (schema.as_object_mut(), form(description, max, pattern, examples).as_object_mut())
    {
        members.append(more);
    }
    schema
}

fn pointer(to: &mut SchemaGenerator, what: &str, pattern: &str, examples: &[&str]) -> Schema {
    let description = format!("{what}; at most {} bytes.", limits::IDENTIFIER_CHARS);
    plain_form(to, &description, limits::IDENTIFIER_CHARS, pattern, examples)
}

fn decimal(what: &str) -> String {
    format!(
        "{what} in plain notation: at most {} digits in all, without those zero before the point.",
        limits::DECIMAL_DIGITS
    )
}

fn pattern() -> String {
    format!(
        "A regular expression that the whole value matches, of what all languages read alike: literals, ., classes such \
         as [a-z], groups, alternatives, greedy repetitions. No anchors, word boundaries, flags, \\d, \\w, \\s, Unicode and \
         POSIX classes, escaped codes, look-around, named groups, empty parts, lazy repetitions, repetitions of \
         repetitions. In a class no class, no &&, --, ~~, and ] only as \\]. A repetition goes up to {} at most, some ten \
         groups nest, it compiles to at most {} bytes, and some plain text matches it.",
        limits::PATTERN_REPEATS,
        limits::PATTERN_BYTES
    )
}

fn expression() -> String {
    format!(
        "Arithmetic of numbers in plain notation and variables with + - * / ( ), round(expression, digits from 0 to 9), \
         min(a, b) and max(a, b). At most {} numbers, variables, operators and functions, {} parentheses within each \
         other. The value is exact: what does not divide evenly stands within no round and gives none.",
        limits::EXPR_NODES,
        limits::EXPR_DEPTH
    )
}

fn template() -> Schema {
    form(
        "Text with slots in braces. Each of the slots stands in it exactly once, and no other brace. Two slots never touch.",
        limits::VALUE_CHARS,
        forms::PLAIN,
        &["Invoice {number} of {date}"],
    )
}

fn plan_value() -> Schema {
    let description = format!(
        "Any JSON value without fractions. As canonical JSON (RFC 8785) it has at most {} characters.",
        limits::VALUE_CHARS
    );
    let (least, most, chars) = (-limits::INTEGER_MAX, limits::INTEGER_MAX, limits::VALUE_CHARS - 2);
    json_schema!({
        "description": description,
        "type": ["null", "boolean", "integer", "string", "array", "object"],
        "minimum": least, "maximum": most,
        "maxLength": chars, "pattern": forms::PLAIN,
        "items": {"$ref": "#/$defs/PlanValue"},
        "propertyNames": {"$ref": "#/$defs/PlainText"},
        "additionalProperties": {"$ref": "#/$defs/PlanValue"},
    })
}

/// The arguments of a call, or the members of an object.
fn arguments(to: &mut SchemaGenerator) -> Schema {
    to.subschema_for::<Constraint>();
    json_schema!({
        "type": "object",
        "maxProperties": limits::ARGUMENTS,
        "propertyNames": to.subschema_for::<Identifier>(),
        "properties": {"*": {
            "description": "All further arguments or members, whatever they are.",
            "type": "object", "properties": {"any": {"const": true}}, "required": ["any"], "additionalProperties": false,
        }},
        "additionalProperties": {"$ref": "#/$defs/Argument"},
    })
}

/// Constraints by place in a row or record.
fn row(to: &mut SchemaGenerator, least: usize) -> Schema {
    json_schema!({
        "type": "object", "minProperties": least, "maxProperties": limits::BRANCHES,
        "propertyNames": to.subschema_for::<Pointer>(),
        "additionalProperties": {"$ref": "#/$defs/RowConstraint"},
    })
}

fn of_result(to: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "One value of the result.",
        "type": "object",
        "properties": {"step": to.subschema_for::<EarlierStep>(), "field": to.subschema_for::<Place>()},
        "required": ["step", "field"],
        "additionalProperties": false,
    })
}

fn of_rows(to: &mut SchemaGenerator) -> Schema {
    let mut rows = to.subschema_for::<Rows>();
    rows.insert("description".into(), "Which rows count: constraints by JSON pointer within a row.".into());
    json_schema!({
        "description": "One value out of a column of the result.",
        "type": "object",
        "properties": {
            "step": to.subschema_for::<EarlierStep>(),
            "field": to.subschema_for::<Column>(),
            "where": rows,
            "reduce": to.subschema_for::<Reduce>(),
        },
        "required": ["step", "field", "reduce"],
        "additionalProperties": false,
    })
}
