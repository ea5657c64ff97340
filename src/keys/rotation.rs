//! Which of the keys of one purpose signs, and which are published beside it: the next one before it signs, the former
//! ones for as long as what they signed lives.

use super::Purpose;
use marque_core::limits;
use time::{Duration, OffsetDateTime};

/// When a key signs, and whether it was withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// From when on it signs.
    pub signs_from: OffsetDateTime,
    /// It holds no longer.
    pub is_withdrawn: bool,
}

/// What a key is for at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does not sign yet.
    Next,
    /// It signs.
    Signing,
    /// What it signed holds, until then or, without an end, until it is withdrawn.
    Former(Option<OffsetDateTime>),
    /// Nothing that it signed is left.
    Retired,
    /// Nothing that it signed holds.
    Withdrawn,
}

impl Role {
    /// Whether the key is published and believed.
    pub fn is_published(self) -> bool {
        matches!(self, Self::Next | Self::Signing | Self::Former(_))
    }
}

/// The roles of a purpose's keys, which are in the order in which they begin to sign. None signs where the newest one that
/// began was withdrawn and none is next: then another one is needed. A next one begins at once in such a case.
pub fn roles(purpose: Purpose, terms: &[Term], now: OffsetDateTime) -> Vec<Role> {
    let began = terms.iter().rposition(|term| term.signs_from <= now);
    let signing = began.filter(|index| terms.get(*index).is_some_and(|term| !term.is_withdrawn));
    let next = || terms.iter().position(|term| term.signs_from > now && !term.is_withdrawn);
    let signing = signing.or_else(next);
    let role = |(index, term): (usize, &Term)| match terms.get(index + 1) {
        _ if term.is_withdrawn => Role::Withdrawn,
        _ if Some(index) == signing => Role::Signing,
        _ if term.signs_from > now => Role::Next,
        Some(successor) => former(purpose, successor.signs_from, now),
        None => Role::Retired,
    };
    terms.iter().enumerate().map(role).collect()
}

fn former(purpose: Purpose, ended: OffsetDateTime, now: OffsetDateTime) -> Role {
    let until = purpose.lifetime().map(|lifetime| ended + lifetime + Duration::seconds(limits::CLOCK_LEEWAY_SECS));
    if until.is_some_and(|until| until <= now) { Role::Retired } else { Role::Former(until) }
}

/// When roles change by themselves for the next time; nothing if they do not.
pub fn next_change(terms: &[Term], roles: &[Role], now: OffsetDateTime) -> Option<OffsetDateTime> {
    let begins = terms.iter().map(|term| term.signs_from);
    let ends = roles.iter().filter_map(|role| if let Role::Former(until) = role { *until } else { None });
    begins.chain(ends).filter(|instant| *instant > now).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_000_000 + secs).unwrap()
    }

    fn terms(all: &[(i64, bool)]) -> Vec<Term> {
        all.iter().map(|(secs, is_withdrawn)| Term { signs_from: at(*secs), is_withdrawn: *is_withdrawn }).collect()
    }

    fn of(all: &[(i64, bool)], now: i64) -> Vec<Role> {
        roles(Purpose::TxnToken, &terms(all), at(now))
    }

    #[test]
    fn a_next_key_is_published_before_it_signs_and_the_former_while_what_it_signed_lives() {
        let both = [(0, false), (100, false)];
        let until = Role::Former(Some(at(100 + 300 + 10)));
        assert_eq!(of(&both, 99), [Role::Signing, Role::Next]);
        assert_eq!(of(&both, 100), [until, Role::Signing]);
        assert_eq!(of(&both, 409), [until, Role::Signing]);
        assert_eq!(of(&both, 410), [Role::Retired, Role::Signing]);
        let evidence = roles(Purpose::Evidence, &terms(&both), at(10_000_000));
        assert_eq!(evidence, [Role::Former(None), Role::Signing], "evidence is verified for as long as it is kept");
    }

    #[test]
    fn a_withdrawn_key_is_followed_by_the_next_one_at_once_and_never_by_a_former_one() {
        assert_eq!(of(&[(0, true)], 5), [Role::Withdrawn], "another one is needed");
        assert_eq!(of(&[(0, true), (100, false)], 5), [Role::Withdrawn, Role::Signing]);
        assert_eq!(of(&[(0, false), (100, true)], 5), [Role::Signing, Role::Withdrawn]);
        let former = Role::Former(Some(at(100 + 310)));
        assert_eq!(of(&[(0, false), (100, true)], 105), [former, Role::Withdrawn], "another one is needed");
        assert_eq!(of(&[(0, false), (100, true), (105, false)], 105), [former, Role::Withdrawn, Role::Signing]);
        assert_eq!(of(&[], 0), []);
    }

    #[test]
    fn a_change_that_time_brings_is_known_beforehand() {
        let both = terms(&[(0, false), (100, false)]);
        let next = |now| next_change(&both, &roles(Purpose::TxnToken, &both, at(now)), at(now));
        assert_eq!((next(0), next(99), next(100), next(410)), (Some(at(100)), Some(at(100)), Some(at(410)), None));
    }
}
