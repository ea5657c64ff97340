//! The times that a JWT of somebody else's states (RFC 7519 §4.1.4 to §4.1.6), read in one way everywhere.
//!
//! `exp` is always there. Whatever is stated is a whole number of seconds; anything else is refused and never taken for absent.
//! Two clocks may differ by [`limits::CLOCK_LEEWAY_SECS`]. Marque's own tokens are not read here: they end without leeway.

use crate::limits;
use serde_json::{Map, Value};

/// How long a JWT may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lives {
    /// As long as its issuer says.
    AsIssued,
    /// So many seconds from `iat`, which has to be there.
    FromIssue(i64),
    /// So many seconds from now: whoever made it may have left out when.
    FromNow(i64),
}

/// What a JWT's times say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it was issued, if it says so; seconds since the Unix epoch.
    pub iat: Option<i64>,
    /// When it ends; seconds since the Unix epoch.
    pub exp: i64,
}

/// Why the times of a JWT are not acceptable. Reads on from the JWT's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimesError {
    /// A time that has to be there is not.
    #[error("has no {0}")]
    Missing(&'static str),
    /// A time is stated as something else than whole seconds.
    #[error("states {0} as no whole number of seconds")]
    Malformed(&'static str),
    /// It is over.
    #[error("is over (exp)")]
    Over,
    /// It is from the future, or not yet valid.
    #[error("is from the future (iat, nbf)")]
    Future,
    /// It lives longer than it may.
    #[error("may live {0} seconds at most (exp)")]
    TooLong(i64),
}

impl Times {
    /// The times of a JWT that is valid now, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn check(claims: &Map<String, Value>, lives: Lives, now: i64) -> Result<Self, TimesError> {
        let (iat, nbf) = (instant(claims, "iat")?, instant(claims, "nbf")?);
        let exp = instant(claims, "exp")?.ok_or(TimesError::Missing("exp"))?;
        let latest = now.saturating_add(limits::CLOCK_LEEWAY_SECS);
        if [iat, nbf].into_iter().flatten().any(|at| at > latest) {
            return Err(TimesError::Future);
        }
        let longest = match lives {
            Lives::AsIssued => None,
            Lives::FromIssue(secs) => Some((secs, iat.ok_or(TimesError::Missing("iat"))?)),
            Lives::FromNow(secs) => Some((secs, latest)),
        };
        if let Some((secs, from)) = longest
            && exp > from.saturating_add(secs)
        {
            return Err(TimesError::TooLong(secs));
        }
        let times = Self { iat, exp };
        if times.over_at() <= now { Err(TimesError::Over) } else { Ok(times) }
    }

    /// From when on it is taken nowhere, however the clocks differ: so long its id is remembered.
    pub fn over_at(&self) -> i64 {
        self.exp.saturating_add(limits::CLOCK_LEEWAY_SECS)
    }
}

fn instant(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, TimesError> {
    claims.get(name).map(|value| value.as_i64().ok_or(TimesError::Malformed(name))).transpose()
}
