//! Templates that are filled with values.

use super::{Fmt, Truth, World, history, work};
use crate::text;
use std::ops::Range;

/// A template up to its first slot: the text before it, its name, and what follows.
/// `None` where there is no slot any more.
pub(super) fn first_slot(template: &str) -> Option<(&str, &str, &str)> {
    let (literal, rest) = template.split_once('{')?;
    let (name, rest) = rest.split_once('}')?;
    Some((literal, name, rest))
}

/// A text that is divided, and where the links in it lead.
struct Filled<'t> {
    text: &'t str,
    links: Vec<Range<usize>>,
}

impl Filled<'_> {
    /// Whether what says where a link leads stands on both sides of where the rest of the text begins.
    fn is_joined_before(&self, rest: &str) -> bool {
        let at = self.text.len() - rest.len();
        let next = self.links.partition_point(|link| link.end <= at);
        self.links.get(next).is_some_and(|link| link.start < at)
    }
}

impl Fmt {
    /// Whether a text is the template with its slots filled: some way to divide it must satisfy every slot. Where a link
    /// leads must be said by the template between two slots, or by one slot's text, which its constraint then allows:
    /// pieces that hold no link must not become one where they meet.
    pub(super) fn test(&self, text: &str, world: &World<'_>) -> Truth {
        if text::check_free(text).is_err() {
            return Truth::Fails;
        }
        if !world.work.spend(work::of_links(text)) {
            return Truth::Unknown;
        }
        let filled = Filled { text, links: text::links(text) };
        let may_hold = !self.slots.values().any(|slot| history::is_unknowable(slot, world));
        self.fill(&self.template, text, may_hold, &filled, world)
    }

    /// Divides the rest of a text. Where it cannot hold as a whole, the first way that is not known to fail is enough.
    fn fill(&self, template: &str, text: &str, may_hold: bool, filled: &Filled<'_>, world: &World<'_>) -> Truth {
        // The ends of a slot are looked for in the whole text.
        if !world.work.spend(1 + work::of_text(text) + work::of_text(template)) {
            return Truth::Unknown;
        }
        let Some((literal, name, rest)) = first_slot(template) else { return (template == text).into() };
        let (Some(text), Some(slot)) = (text.strip_prefix(literal), self.slots.get(name)) else { return Truth::Fails };
        if filled.is_joined_before(text) {
            return Truth::Fails;
        }
        let following = first_slot(rest).map_or(rest, |(literal, ..)| literal);
        let mut best = Truth::Fails;
        for end in ends(text, following) {
            if !world.work.spend(1) {
                return Truth::Unknown;
            }
            let (piece, after) = text.split_at(end);
            if filled.is_joined_before(after) {
                continue;
            }
            let way = match history::written_test(slot, piece, world) {
                Truth::Fails => continue,
                Truth::Unknown if best == Truth::Unknown => continue,
                fits => {
                    let may_hold = may_hold && fits == Truth::Holds;
                    Truth::all([fits, self.fill(rest, after, may_hold, filled, world)])
                }
            };
            match way {
                Truth::Holds => return Truth::Holds,
                Truth::Unknown if !may_hold => return Truth::Unknown,
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
