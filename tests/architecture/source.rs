//! A reading of Rust source that is enough for paths: comments and test modules left out.

/// A word, a text in quotes, or any other single character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Word(String),
    Text(String),
    Mark(char),
}

/// The tokens of a source file up to its test module.
pub fn tokens(source: &str) -> Vec<Token> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let (token, next) = token(&chars, at);
        tokens.extend(token);
        at = next;
    }
    tokens
}

fn token(chars: &[char], at: usize) -> (Option<Token>, usize) {
    let following = chars.get(at + 1).copied();
    match chars[at] {
        '/' if following == Some('/') => (None, skip(chars, at, |c| c != '\n')),
        '/' if following == Some('*') => (None, after_block_comment(chars, at)),
        '"' => text(chars, at + 1),
        'r' if matches!(following, Some('"' | '#')) => raw_text(chars, at),
        '\'' => (None, after_quote(chars, at)),
        c if c.is_alphanumeric() || c == '_' => {
            let end = skip(chars, at, |c| c.is_alphanumeric() || c == '_');
            (Some(Token::Word(chars[at..end].iter().collect())), end)
        }
        c if c.is_whitespace() => (None, at + 1),
        c => (Some(Token::Mark(c)), at + 1),
    }
}

fn skip(chars: &[char], from: usize, pass: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| !pass(*c)).map_or(chars.len(), |length| from + length)
}

fn after_block_comment(chars: &[char], from: usize) -> usize {
    let end = chars[from + 2..].windows(2).position(|pair| pair == ['*', '/']);
    end.map_or(chars.len(), |length| from + 2 + length + 2)
}

fn text(chars: &[char], from: usize) -> (Option<Token>, usize) {
    let mut at = from;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    let end = at.min(chars.len());
    (Some(Token::Text(chars[from..end].iter().collect())), end + 1)
}

/// `r"…"`, `r#"…"#`; a raw name such as `r#type` is read as marks and a word.
fn raw_text(chars: &[char], at: usize) -> (Option<Token>, usize) {
    let quote = skip(chars, at + 1, |c| c == '#');
    if chars.get(quote) != Some(&'"') {
        return (None, quote);
    }
    let close: String = format!("\"{}", "#".repeat(quote - at - 1));
    let rest: String = chars[quote + 1..].iter().collect();
    let inside = rest.split(&close).next().unwrap_or_default().to_owned();
    let next = quote + 1 + inside.chars().count() + close.chars().count();
    (Some(Token::Text(inside)), next)
}

/// Behind a character in quotes, or behind a lifetime.
fn after_quote(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => skip(chars, at + 3, |c| c != '\'') + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => skip(chars, at + 1, |c| c.is_alphanumeric() || c == '_'),
    }
}

/// What follows `root::` wherever it stands: the first name of each path, groups taken apart.
pub fn names_under(tokens: &[Token], root: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if *token == Token::Word(root.into()) && !is_inside_path(tokens, at) && is_path(tokens, at + 1) {
            first_names(tokens, at + 3, &mut names);
        }
    }
    names
}

/// Whether a name is used as the start of a path or imported as a whole.
pub fn mentions(tokens: &[Token], name: &str) -> bool {
    let whole = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        matches!(before, Some(Token::Word(word)) if word == "use" || word == "crate")
    };
    tokens.iter().enumerate().any(|(at, token)| {
        *token == Token::Word(name.into()) && !is_inside_path(tokens, at) && (is_path(tokens, at + 1) || whole(at))
    })
}

/// The rooms that a file at `depth` modules below the root reaches by climbing with `super::`.
pub fn names_above(tokens: &[Token], depth: usize) -> Vec<String> {
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let word = Token::Word("super".into());
        if *token != word || is_inside_path(tokens, at) {
            continue;
        }
        let (mut end, mut climbed) = (at, 0);
        while tokens.get(end) == Some(&word) && is_path(tokens, end + 1) {
            climbed += 1;
            end += 3;
        }
        if climbed >= depth {
            first_names(tokens, end, &mut names);
        }
    }
    names
}

fn is_path(tokens: &[Token], at: usize) -> bool {
    matches!(tokens.get(at..at + 2), Some([Token::Mark(':'), Token::Mark(':')]))
}

/// Whether a word follows `something::`; `::word` alone starts at the crates.
fn is_inside_path(tokens: &[Token], at: usize) -> bool {
    at >= 3
        && is_path(tokens, at - 2)
        && matches!(tokens[at - 3], Token::Word(_) | Token::Mark('>'))
        && tokens[at - 3] != Token::Word("use".into())
}

fn first_names(tokens: &[Token], at: usize, names: &mut Vec<String>) {
    match tokens.get(at) {
        Some(Token::Word(name)) => names.push(name.clone()),
        Some(Token::Mark('*')) => names.push("*".into()),
        Some(Token::Mark('{')) => group_names(tokens, at + 1, names),
        _ => {}
    }
}

fn group_names(tokens: &[Token], from: usize, names: &mut Vec<String>) {
    let (mut depth, mut first) = (1, true);
    for token in &tokens[from..] {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth -= 1,
            Token::Mark(',') if depth == 1 => first = true,
            Token::Word(name) if depth == 1 && first => {
                names.push(name.clone());
                first = false;
            }
            Token::Mark('*') if depth == 1 && first => names.push("*".into()),
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

#[test]
fn reads_paths_and_skips_comments_texts_and_tests() {
    let source = r##"
        //! [`crate::doc`]
        use crate::{a, b::{c, d}, e as f}; /* crate::hidden */
        fn x<'a>(y: &'a str, q: char) { crate::g::h(); let _ = ("crate::text", '"', '\'', r#"crate::raw " "#); crate::i! {} }
        use crate::*;
    "##;
    let source = format!("{source}\n#[cfg(test)]\nmod tests {{ use crate::test; }}");
    assert_eq!(names_under(&tokens(&source), "crate"), ["a", "b", "e", "g", "i", "*"]);
    let texts: Vec<_> = tokens(&source).into_iter().filter(|token| matches!(token, Token::Text(_))).collect();
    assert_eq!(texts, [Token::Text("crate::text".into()), Token::Text("crate::raw \" ".into())]);
}

#[test]
fn finds_libraries_however_they_are_named() {
    for source in [
        "use axum;",
        "use axum as web;",
        "use axum::Router;",
        "fn f() -> axum::Router {}",
        "::axum::x()",
        "#[axum::debug_handler] fn f() {}",
        "use {std::fs, axum::x};",
        "extern crate axum;",
        "use ::axum::x;",
    ] {
        assert!(mentions(&tokens(source), "axum"), "{source}");
    }
    for source in ["// axum::Router", "\"axum::x\"", "let axum = 1;", "use my::axum::x;", "use axum_core::x;"] {
        assert!(!mentions(&tokens(source), "axum"), "{source}");
    }
}

#[test]
fn climbs_to_the_root_and_not_within_a_room() {
    let above = |source: &str, depth| names_above(&tokens(source), depth);
    assert_eq!(above("use super::store;", 1), ["store"]);
    assert_eq!(above("use super::super::{store, keys};", 2), ["store", "keys"]);
    assert_eq!(above("fn f() { super::super::super::store::x() }", 3), ["store"]);
    assert!(above("use super::store;", 2).is_empty(), "a module of the same room");
}
