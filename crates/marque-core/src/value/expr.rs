//! Arithmetic over named values, exact to the last digit.
//!
//! ```text
//! expression = product { ("+" | "-") product }
//! product    = factor { ("*" | "/") factor }
//! factor     = [ "-" ] ( number | variable | "(" expression ")" | function )
//! function   = "round" "(" expression "," digit ")"
//!            | ( "min" | "max" ) "(" expression "," expression ")"
//! ```
//! Numbers are in plain notation (see [`Decimal::parse`]), variables are `[a-z][a-z0-9_]{0,31}` other than the
//! functions' names, and spaces may stand between any of them.

use crate::limits;
use crate::value::decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeSet;
use winnow::Result;
use winnow::combinator::{dispatch, eof, fail, opt, peek, preceded, terminated};
use winnow::error::StrContext::Expected;
use winnow::error::StrContextValue::Description;
use winnow::prelude::*;
use winnow::token::{any, one_of, take_while};

/// Characters of a variable's name.
const NAME_CHARS: usize = 32;

/// An arithmetic expression as it was written, and its meaning.
#[derive(Clone, Debug)]
pub struct Expr {
    text: String,
    root: Node,
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says where it is wrong, counting characters from 1, and what was expected there.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let chars = text.chars().count();
        if chars > limits::EXPR_CHARS {
            return Err(format!("is {chars} characters long; at most {} are allowed", limits::EXPR_CHARS));
        }
        // First, so that the parser, which calls itself for what is in parentheses, is bounded by it.
        if let Some(at) = too_deep(text) {
            let most = limits::EXPR_DEPTH;
            return Err(format!("is no expression: at character {at}: more than {most} parentheses within each other"));
        }
        let end = eof.context(Expected(Description("an operator or the end")));
        let root = preceded(spaces, terminated(sum, end)).parse(text).map_err(|error| {
            let at = text.get(..error.offset()).unwrap_or_default().chars().count() + 1;
            format!("is no expression: at character {at}: {}", error.inner())
        })?;
        if root.size() > limits::EXPR_NODES {
            let most = limits::EXPR_NODES;
            return Err(format!("has more than {most} numbers, variables, operators and functions"));
        }
        Ok(Self { text: text.to_owned(), root })
    }

    /// The names of the variables.
    pub fn variables(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.root.variables(&mut names);
        names
    }

    /// The exact value, given the variables' values: `None` as soon as one has none, or something on the way is
    /// not exact, like a third. Nothing is allocated.
    pub fn value(&self, of: &dyn Fn(&str) -> Option<Decimal>) -> Option<Decimal> {
        self.root.value(of)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expr {}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(source: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[derive(Clone, Debug)]
enum Node {
    Number(Decimal),
    Variable(String),
    Minus(Box<Self>),
    Round(Box<Self>, u32),
    Both(Operation, Box<Self>, Box<Self>),
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
}

impl Node {
    fn size(&self) -> usize {
        match self {
            Self::Number(_) | Self::Variable(_) => 1,
            Self::Minus(of) | Self::Round(of, _) => 1 + of.size(),
            Self::Both(_, left, right) => 1 + left.size() + right.size(),
        }
    }

    fn variables<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Self::Number(_) => {}
            Self::Variable(name) => {
                names.insert(name);
            }
            Self::Minus(of) | Self::Round(of, _) => of.variables(names),
            Self::Both(_, left, right) => {
                left.variables(names);
                right.variables(names);
            }
        }
    }

    fn value(&self, of: &dyn Fn(&str) -> Option<Decimal>) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Variable(name) => of(name),
            Self::Minus(node) => node.value(of).map(Decimal::negated),
            Self::Round(node, digits) => node.value(of)?.round(*digits),
            Self::Both(operation, left, right) => operation.apply(left.value(of)?, right.value(of)?),
        }
    }
}

impl Operation {
    fn apply(self, left: Decimal, right: Decimal) -> Option<Decimal> {
        match self {
            Self::Add => left.checked_add(right),
            Self::Sub => left.checked_sub(right),
            Self::Mul => left.checked_mul(right),
            Self::Div => left.checked_div(right),
            Self::Min => Some(left.min(right)),
            Self::Max => Some(left.max(right)),
        }
    }
}

/// The character, counted from 1, at which there are too many open parentheses.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let at = text.chars().position(|c| {
        match c {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => {}
        }
        open > limits::EXPR_DEPTH
    })?;
    Some(at + 1)
}

fn sum(input: &mut &str) -> Result<Node> {
    let operation = |sign| if sign == '+' { Operation::Add } else { Operation::Sub };
    let mut left = product(input)?;
    while let Some(sign) = opt(symbol(['+', '-'])).parse_next(input)? {
        left = Node::Both(operation(sign), left.into(), product(input)?.into());
    }
    Ok(left)
}

fn product(input: &mut &str) -> Result<Node> {
    let operation = |sign| if sign == '*' { Operation::Mul } else { Operation::Div };
    let mut left = factor(input)?;
    while let Some(sign) = opt(symbol(['*', '/'])).parse_next(input)? {
        left = Node::Both(operation(sign), left.into(), factor(input)?.into());
    }
    Ok(left)
}

fn factor(input: &mut &str) -> Result<Node> {
    let minus = opt(symbol(['-'])).parse_next(input)?;
    let node = dispatch! { peek(opt(any));
        Some('0'..='9') => number,
        Some('a'..='z') => named,
        Some('(') => |input: &mut &str| { open(input)?; last(input) },
        _ => fail.context(Expected(Description("a number, a variable, a function or `(`"))),
    }
    .parse_next(input)?;
    Ok(if minus.is_some() { Node::Minus(node.into()) } else { node })
}

fn number(input: &mut &str) -> Result<Node> {
    let digits = take_while(1.., |c: char| c.is_ascii_digit() || c == '.');
    let number = digits.verify_map(|digits| Decimal::parse(digits).ok().map(Node::Number));
    terminated(number.context(Expected(Description("a number in plain notation, like 9.50"))), spaces).parse_next(input)
}

/// A variable or a function.
fn named(input: &mut &str) -> Result<Node> {
    let name = take_while(1.., |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_'))
        .verify(|name: &str| name.len() <= NAME_CHARS)
        .context(Expected(Description("a name of at most 32 characters")));
    match terminated(name, spaces).parse_next(input)? {
        "round" => round(input),
        "min" => both(Operation::Min, input),
        "max" => both(Operation::Max, input),
        name => Ok(Node::Variable(name.to_owned())),
    }
}

fn round(input: &mut &str) -> Result<Node> {
    let of = first(input)?;
    let digit = one_of('0'..='9').verify_map(|digit: char| digit.to_digit(10));
    let digits = terminated(digit.context(Expected(Description("a digit"))), spaces).parse_next(input)?;
    close("`)` behind the digit", input)?;
    Ok(Node::Round(of.into(), digits))
}

fn both(operation: Operation, input: &mut &str) -> Result<Node> {
    let left = first(input)?;
    Ok(Node::Both(operation, left.into(), last(input)?.into()))
}

/// `(`, an expression and a comma.
fn first(input: &mut &str) -> Result<Node> {
    open(input)?;
    terminated(sum, symbol([',']).context(Expected(Description("an operator or `,`")))).parse_next(input)
}

/// An expression and `)`.
fn last(input: &mut &str) -> Result<Node> {
    let node = sum(input)?;
    close("an operator or `)`", input)?;
    Ok(node)
}

fn open(input: &mut &str) -> Result<()> {
    symbol(['(']).void().context(Expected(Description("`(`"))).parse_next(input)
}

fn close(expected: &'static str, input: &mut &str) -> Result<()> {
    symbol([')']).void().context(Expected(Description(expected))).parse_next(input)
}

/// One of the characters, and the spaces behind it.
fn symbol<'i, const N: usize>(of: [char; N]) -> impl Parser<&'i str, char, winnow::error::ContextError> {
    terminated(one_of(of), spaces)
}

fn spaces(input: &mut &str) -> Result<()> {
    take_while(0.., ' ').void().parse_next(input)
}

#[cfg(test)]
mod tests;
