//! Templates that are filled with values.

use super::{Fmt, Truth, World, history, work};
use crate::text;

/// A template up to its first slot: the text before it, its name, and what follows.
/// `None` where there is no slot any more.
pub(super) fn first_slot(template: &str) -> Option<(&str, &str, &str)> {
    let (literal, rest) = template.split_once('{')?;
    let (name, rest) = rest.split_once('}')?;
    Some((literal, name, rest))
}

impl Fmt {
    /// Whether a text is the template with its slots filled: some way to divide it must satisfy every slot. A link must
    /// stand in the template or in one slot's text: what has none there must not become one where it meets the rest.
    pub(super) fn test(&self, text: &str, world: &World<'_>) -> Truth {
        if text::check_free(text).is_err() {
            return Truth::Fails;
        }
        if !world.work.spend(work::of_links(text) + work::of_links(&self.template)) {
            return Truth::Unknown;
        }
        let may_link = !text::has_link(text) || text::has_link(&self.template);
        self.fill(&self.template, text, may_link, world)
    }

    fn fill(&self, template: &str, text: &str, may_link: bool, world: &World<'_>) -> Truth {
        // The ends of a slot are looked for in the whole text.
        if !world.work.spend(1 + work::of_text(text) + work::of_text(template)) {
            return Truth::Unknown;
        }
        let Some((literal, name, rest)) = first_slot(template) else { return (may_link && template == text).into() };
        let (Some(text), Some(slot)) = (text.strip_prefix(literal), self.slots.get(name)) else { return Truth::Fails };
        let following = first_slot(rest).map_or(rest, |(literal, ..)| literal);
        let mut best = Truth::Fails;
        for end in ends(text, following) {
            let (piece, after) = text.split_at(end);
            let of_links = if may_link { 0 } else { work::of_links(piece) };
            if !world.work.spend(1 + of_links) {
                return Truth::Unknown;
            }
            let filled = match history::written_test(slot, piece, world) {
                Truth::Fails => continue,
                fits => Truth::all([fits, self.fill(rest, after, may_link || text::has_link(piece), world)]),
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
