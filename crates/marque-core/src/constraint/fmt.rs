//! Templates that are filled with values.

use super::{Fmt, Truth, World, history};
use crate::text;

/// A template up to its first slot: the text before it, its name, and what follows.
/// `None` where there is no slot any more.
pub(super) fn first_slot(template: &str) -> Option<(&str, &str, &str)> {
    let (literal, rest) = template.split_once('{')?;
    let (name, rest) = rest.split_once('}')?;
    Some((literal, name, rest))
}

impl Fmt {
    /// Whether a text is the template with its slots filled: some way to divide it must satisfy every slot.
    pub(super) fn test(&self, text: &str, world: &World<'_>) -> Truth {
        if text::check_free(text).is_err() { Truth::Fails } else { self.fill(&self.template, text, world) }
    }

    fn fill(&self, template: &str, text: &str, world: &World<'_>) -> Truth {
        let Some((literal, name, rest)) = first_slot(template) else { return (template == text).into() };
        let (Some(text), Some(slot)) = (text.strip_prefix(literal), self.slots.get(name)) else { return Truth::Fails };
        let following = first_slot(rest).map_or(rest, |(literal, ..)| literal);
        let mut best = Truth::Fails;
        for end in ends(text, following) {
            let (piece, after) = text.split_at(end);
            if !world.work.spend(1) {
                return Truth::Unknown;
            }
            let filled = match history::written_test(slot, piece, world) {
                Truth::Fails => continue,
                fits => Truth::all([fits, self.fill(rest, after, world)]),
            };
            match filled {
                Truth::Holds => return Truth::Holds,
                Truth::Unknown => best = Truth::Unknown,
                Truth::Fails => {}
            }
        }
        best
    }
}

/// Where a slot's value may end: before each place where the text that follows it in the template stands.
fn ends<'t>(text: &'t str, following: &'t str) -> Box<dyn Iterator<Item = usize> + 't> {
    if following.is_empty() {
        return Box::new(std::iter::once(text.len()));
    }
    Box::new(text.match_indices(following).map(|(at, _)| at))
}
