//! Findings and values on a terminal: values as JSON on one line, with nothing that a terminal would act on.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use marque_core::canonical::canonical_text;
use marque_core::lint::Finding;
use marque_core::text::check_plain;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Output;
use super::Failure;

/// Characters of a text that are shown; the JSON output has all of them.
const TEXT_CHARS: usize = 80;
/// Characters of a whole value that are shown.
const VALUE_CHARS: usize = 800;

/// What a lint found; exit code 1 where findings are denied.
pub(in crate::cli) fn findings<R: Display + Serialize>(
    findings: &[Finding<R>],
    output: Output,
    is_denied: bool,
) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", json!({"findings": findings}))?,
        Output::Text => print_findings(&mut out, findings)?,
    }
    Ok(if is_denied && !findings.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_findings<R: Display>(out: &mut impl Write, findings: &[Finding<R>]) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "{} ({})", plain(&finding.path), finding.rule)?;
        writeln!(out, "  {}", plain(&finding.message))?;
        writeln!(out, "  mend: {}", plain(&finding.mend))?;
        if let Some(write) = &finding.write {
            writeln!(out, "  write: {}", value(write))?;
        }
    }
    match findings.len() {
        0 => writeln!(out, "nothing found"),
        1 => writeln!(out, "1 finding"),
        count => writeln!(out, "{count} findings"),
    }
}

/// A value on one line. What is invisible or moves the cursor is written as its code; what is long ends with its length.
pub(in crate::cli) fn value(value: &Value) -> String {
    let text = canonical_text(&short(value));
    shortened(&text, VALUE_CHARS).unwrap_or(text).chars().map(visible).collect()
}

/// A value with its long texts cut off.
fn short(value: &Value) -> Value {
    match value {
        Value::String(text) => shortened(text, TEXT_CHARS).map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(short).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), short(member))).collect(),
        other => other.clone(),
    }
}

fn shortened(text: &str, most: usize) -> Option<String> {
    let count = text.chars().count();
    let begin = || text.chars().take(most).collect::<String>();
    (count > most).then(|| format!("{}… ({count} characters)", begin()))
}

/// Text that somebody else chose, in quotes.
pub(super) fn quoted(text: &str) -> String {
    value(&Value::from(text))
}

/// Words and names as they are, with nothing that a terminal would act on.
pub(in crate::cli) fn plain(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(c: char) -> String {
    let text = c.to_string();
    if check_plain(&text).is_ok() { text } else { format!("\\u{:04x}", u32::from(c)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_act_on() {
        assert_eq!(quoted("a\u{9b}2J\u{202e}b\u{1b}[0m"), "\"a\\u009b2J\\u202eb\\u001b[0m\"");
        assert_eq!(quoted("größe"), "\"größe\"");
        assert!(quoted(&"a".repeat(999)).ends_with("a… (999 characters)\""));
    }
}
