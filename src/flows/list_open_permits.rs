//! A resource server asks which of its permits are open: after a crash it says of each what became of it.

use super::authenticate_resource_server::ResourceServer;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::store;
pub use crate::store::permits::OpenPermit;
use crate::store::permits::OpenPlace;
use marque_core::canonical::{decode, encode};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Permits that one page lists at most, and unless told otherwise.
pub const PAGE: u32 = 100;

/// A page of the list.
pub struct Page {
    /// The permits, oldest first.
    pub permits: Vec<OpenPermit>,
    /// Where the next page begins; nothing if this is the last.
    pub next: Option<String>,
}

/// The resource server's own permits that are reserved or unknown, oldest first, after a place that an earlier page told.
/// Permits that are settled meanwhile move no other from page to page.
///
/// # Errors
/// `invalid_request` for a place that no page told, or a page of none or more than [`PAGE`].
pub async fn list_open_permits(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    after: Option<&str>,
    limit: Option<u32>,
) -> Result<Page, FlowError> {
    let invalid = |text: String| Refusal::new(OAuthError::InvalidRequest, text);
    let place = match after {
        None => OpenPlace { reserved_at: OffsetDateTime::UNIX_EPOCH, intent_id: Uuid::nil(), permit_id: Uuid::nil() },
        Some(text) => place(text).ok_or_else(|| invalid("after: must be the next of an earlier page".into()))?,
    };
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(invalid(format!("limit: must be 1 to {PAGE}")).into());
    }
    let (realm, client_id, now) = (cx.realm_name(), resource_server.client_id(), cx.app.clock.now());
    let read = async |conn: &mut PgConnection| {
        store::permits::mark_unknown(conn, now).await?;
        store::permits::open(conn, realm, client_id, place, i64::from(limit) + 1).await
    };
    let mut permits = cx.app.db.write(read).await?;
    let is_cut = permits.len() > limit as usize;
    permits.truncate(limit as usize);
    let next = permits.last().filter(|_| is_cut).map(told);
    Ok(Page { permits, next })
}

/// The place of a permit, as a page tells it: its instant in microseconds, which is what rows hold, and its ids.
fn told(last: &OpenPermit) -> String {
    let micros = last.reserved_at.unix_timestamp_nanos() / 1_000;
    encode(&[micros.to_be_bytes(), *last.intent_id.as_bytes(), *last.permit_id.as_bytes()].concat())
}

fn place(text: &str) -> Option<OpenPlace> {
    let bytes = decode(text)?;
    let part = |at: usize| -> Option<[u8; 16]> { bytes.get(at..at + 16)?.try_into().ok() };
    let nanos = i128::from_be_bytes(part(0)?).checked_mul(1_000)?;
    let reserved_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    let (intent_id, permit_id) = (Uuid::from_bytes(part(16)?), Uuid::from_bytes(part(32)?));
    (bytes.len() == 48).then_some(OpenPlace { reserved_at, intent_id, permit_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_what_a_page_told_and_nothing_else() {
        let reserved_at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap();
        let permit = OpenPermit {
            intent_id: Uuid::from_u128(1),
            permit_id: Uuid::from_u128(2),
            step_id: "s".into(),
            seq: Some(1),
            call_id: "c".into(),
            call_digest: Vec::new(),
            state: "reserved".into(),
            reserved_at,
        };
        let text = told(&permit);
        let expected = OpenPlace { reserved_at, intent_id: permit.intent_id, permit_id: permit.permit_id };
        assert_eq!(place(&text), Some(expected));
        let far = encode(&[i128::MAX.to_be_bytes(), [0; 16], [0; 16]].concat());
        for wrong in ["", "x", &text[1..], &format!("{text}AAAA"), &far] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
