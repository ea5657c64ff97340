//! The strict rules of a document, and its canonical form where that is wanted: written while the document is read.

use super::too_large;
use crate::{limits, text};
use serde::de::Error;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

/// The canonical form of what was read so far.
pub(super) struct Page<'de> {
    /// RFC 8785, except for the objects that are open. Nothing of a page that is not kept.
    written: Vec<u8>,
    is_kept: bool,
    /// The members of the objects that are open, the innermost object's last.
    members: Vec<Member<'de>>,
    values: usize,
    max_depth: usize,
    /// Whether every text that is written without escapes is plain, because the whole document is.
    is_plain: bool,
}

/// A member of an object: its name, and where it is written.
struct Member<'de> {
    name: Cow<'de, str>,
    place: Range<usize>,
}

/// An object that is open: where its members are written, and which is the first of them.
pub(super) struct Begun {
    start: usize,
    first: usize,
}

impl<'de> Page<'de> {
    /// Nothing of this document yet, which may be nested so deep. What is not kept is checked alone: putting the members
    /// of objects in order costs their bytes once for each level of nesting.
    pub fn of(document: &str, max_depth: usize, is_kept: bool) -> Self {
        // Line breaks and tabs stand outside of strings: within one, JSON has them escaped.
        let is_plain = |byte: u8| matches!(byte, 0x20..0x7f | b'\n' | b'\r' | b'\t');
        let is_plain = document.bytes().fold(true, |all, byte| all & is_plain(byte));
        // Objects are put in order behind what is written.
        let written = Vec::with_capacity(if is_kept { 2 * document.len() } else { 0 });
        Self { written, is_kept, members: Vec::new(), values: 0, max_depth, is_plain }
    }

    /// The canonical form, once the document is read.
    pub fn into_written(self) -> Vec<u8> {
        self.written
    }

    /// Writes what stands between values.
    pub fn mark(&mut self, mark: u8) {
        if self.is_kept {
            self.written.push(mark);
        }
    }

    /// One value begins.
    pub fn enter<E: Error>(&mut self, depth: usize) -> Result<(), E> {
        self.values += 1;
        if self.values > limits::JSON_VALUES || depth > self.max_depth {
            return Err(E::custom("is too large"));
        }
        Ok(())
    }

    /// A text that the document holds as it is: nothing in it is escaped, so nothing in it needs to be.
    pub fn unescaped<E: Error>(&mut self, value: &str) -> Result<(), E> {
        if !self.is_plain {
            text::check_plain(value).map_err(E::custom)?;
        }
        if self.is_kept {
            self.written.push(b'"');
            self.written.extend_from_slice(value.as_bytes());
            self.written.push(b'"');
        }
        Ok(())
    }

    /// A text that the document holds with escapes.
    pub fn escaped<E: Error>(&mut self, value: &str) -> Result<(), E> {
        text::check_plain(value).map_err(E::custom)?;
        if self.is_kept {
            serde_json::to_writer(&mut self.written, value).map_err(E::custom)?;
        }
        Ok(())
    }

    /// A value that is written as it is shown.
    pub fn word(&mut self, value: impl fmt::Display) {
        if self.is_kept {
            self.written.extend_from_slice(value.to_string().as_bytes());
        }
    }

    /// A number, which is an integer that binary64 holds exactly.
    pub fn integer<E: Error>(&mut self, value: i64) -> Result<(), E> {
        if value.unsigned_abs() > limits::INTEGER_MAX.unsigned_abs() {
            return Err(too_large());
        }
        self.word(value);
        Ok(())
    }

    /// Begins an object.
    pub fn begin_object(&mut self) -> Begun {
        self.mark(b'{');
        Begun { start: self.written.len(), first: self.members.len() }
    }

    /// The name of the innermost object's next member.
    pub fn name<E: Error>(&mut self, name: Cow<'de, str>, is_first: bool) -> Result<(), E> {
        if !is_first {
            self.mark(b',');
        }
        let start = self.written.len();
        match &name {
            Cow::Borrowed(name) => self.unescaped(name)?,
            Cow::Owned(name) => self.escaped(name)?,
        }
        self.mark(b':');
        self.members.push(Member { name, place: start..start });
        Ok(())
    }

    /// The value of the member that was named last is written.
    pub fn end_member(&mut self) {
        if let Some(member) = self.members.last_mut() {
            member.place.end = self.written.len();
        }
    }

    /// Ends the innermost object. No two members have one name, and they are put in the order of their names as UTF-16
    /// (RFC 8785 §3.2.3).
    pub fn end_object<E: Error>(&mut self, Begun { start, first }: Begun) -> Result<(), E> {
        let members = self.members.get_mut(first..).unwrap_or_default();
        if !members.is_sorted_by(|one, next| order(one, next).is_lt()) {
            members.sort_unstable_by(order);
            if !members.is_sorted_by(|one, next| one.name != next.name) {
                return Err(E::custom("has a member twice"));
            }
            if self.is_kept {
                let end = self.written.len();
                for (index, member) in members.iter().enumerate() {
                    if index > 0 {
                        self.written.push(b',');
                    }
                    self.written.extend_from_within(member.place.clone());
                }
                self.written.copy_within(end.., start);
                self.written.truncate(end);
            }
        }
        self.members.truncate(first);
        self.mark(b'}');
        Ok(())
    }
}

fn order(one: &Member<'_>, other: &Member<'_>) -> Ordering {
    one.name.encode_utf16().cmp(other.name.encode_utf16())
}
