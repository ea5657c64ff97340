//! Status lists (Token Status List): where verifiers that are no gates learn that a token was revoked.
//!
//! A token is given a place when it is minted: drawn at random, so that neighbours in a list have nothing in common. The
//! list is computed from what was revoked, signed by a key of its own purpose, and given out again until it is as old as
//! it says that it may be.

use super::{Context, FlowError, OAuthError, Refusal};
use crate::batch::{Batch, BatchError};
use crate::keys::Purpose;
use crate::store::Database;
use crate::store::status_places::{self, Ended, Place, PlacedToken};
use crate::{random, store};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use marque_core::canonical::encode;
use marque_core::claims::{StatusClaim, StatusPlace};
use marque_core::status_list::{BITS, Status, pack};
use moka::sync::Cache;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// Places of one list: 32 KiB before compression, and some tens of bytes while little is revoked. A power of two.
const PLACES: usize = 1 << 17;
/// A list is computed anew, and asked for again, after so many seconds.
pub const TTL_SECS: i64 = 30;
/// A list is believed for so many seconds at most.
const LIFETIME_SECS: i64 = 300;
/// Lists that are remembered at once.
const REMEMBERED: u64 = 64;
/// Octets of one random place.
const DRAW: usize = 4;

/// Lists that were computed a moment ago.
pub struct RememberedLists(Cache<i32, Arc<Signed>>);

struct Signed {
    jws: String,
    signer: String,
}

impl Default for RememberedLists {
    fn default() -> Self {
        let ttl = Duration::from_secs(TTL_SECS.unsigned_abs());
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_live(ttl).build())
    }
}

fn uri(cx: Context<'_>, list: i32) -> String {
    format!("{}/{list}", aggregation_uri(cx))
}

/// Where all lists are named (§9).
pub(super) fn aggregation_uri(cx: Context<'_>) -> String {
    format!("{}/status", cx.issuer())
}

/// All lists that tokens may name (§9.3).
#[derive(Clone, Debug, Serialize)]
pub struct StatusLists {
    /// Their addresses.
    pub status_lists: Vec<String>,
}

/// Every list, in the order in which they came to be.
///
/// # Errors
/// When the database cannot be asked.
pub async fn status_lists(cx: Context<'_>) -> Result<StatusLists, FlowError> {
    let mut conn = cx.app.db.look().await?;
    let newest = status_places::newest_list(&mut conn, cx.realm_name()).await?.unwrap_or(0);
    Ok(StatusLists { status_lists: (0..=newest).map(|list| uri(cx, list)).collect() })
}

/// Takes tokens that are about to be signed, and answers which place each has: those that come at once share a statement.
pub type Places = Batch<PlacedToken, Option<Place>>;

/// Starts to give places.
pub fn start(db: Database) -> Places {
    Batch::start(1, move |tokens: Vec<PlacedToken>| {
        let db = db.clone();
        async move { db.write(async |conn| place_all(conn, &tokens).await).await }
    })
}

/// Gives each token a place in the newest list while that has room, else in the next one.
async fn place_all(conn: &mut PgConnection, tokens: &[PlacedToken]) -> Result<Vec<Option<Place>>, BatchError> {
    let mut places = vec![None; tokens.len()];
    for after_newest in [0, 0, 1, 1] {
        let without: Vec<usize> = (0..).zip(&places).filter(|(_, place)| place.is_none()).map(|(at, _)| at).collect();
        let drawn = without.iter().filter_map(|at| tokens.get(*at)).map(|token| Ok((token, draws()?)));
        let drawn =
            drawn.collect::<Result<Vec<_>, FlowError>>().map_err(|error| BatchError::Failed(error.to_string()))?;
        if drawn.is_empty() {
            break;
        }
        let taken = status_places::take(conn, &drawn, after_newest).await?;
        for (at, place) in without.into_iter().zip(taken) {
            places.get_mut(at).into_iter().for_each(|slot| *slot = place);
        }
    }
    Ok(places)
}

/// Gives a token a place.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn place(cx: Context<'_>, intent_id: Uuid, jti: Uuid, exp: i64) -> Result<StatusClaim, FlowError> {
    let expires_at = OffsetDateTime::from_unix_timestamp(exp).map_err(FlowError::internal)?;
    let token = PlacedToken { realm: cx.realm_name().into(), intent_id, jti, expires_at };
    let place = match cx.app.status_places.ask_with_others(jti, token.clone()).await? {
        Some(place) => place,
        None => cx.app.db.write(async |conn| place_all(conn, &[token]).await).await?.into_iter().flatten().next(),
    };
    let place = place.ok_or_else(|| FlowError::Unavailable("no place in a status list is free".into()))?;
    let idx = u32::try_from(place.idx).map_err(FlowError::internal)?;
    Ok(StatusClaim { status_list: StatusPlace { idx, uri: uri(cx, place.list) } })
}

/// Some random places. Where all of them are taken, most of the list is.
fn draws() -> Result<Vec<i32>, FlowError> {
    let bytes = random::bytes32()?;
    let drawn = bytes.chunks_exact(DRAW).filter_map(|chunk| <[u8; DRAW]>::try_from(chunk).ok());
    let place = |number: u32| i32::try_from(number as usize % PLACES).map_err(FlowError::internal);
    drawn.map(|chunk| place(u32::from_be_bytes(chunk))).collect()
}

/// A list, signed.
///
/// # Errors
/// `not_found` for a list that no token has a place in, and that is not the first.
pub async fn status_list(cx: Context<'_>, list: &str) -> Result<String, FlowError> {
    let unknown = || Refusal::new(OAuthError::NotFound, "there is no such status list");
    let number: i32 = list.parse().ok().filter(|number: &i32| number.to_string() == list).ok_or_else(unknown)?;
    let RememberedLists(remembered) = &cx.realm.status_lists;
    let signer = cx.realm.keyring.key(Purpose::StatusList)?;
    if let Some(signed) = remembered.get(&number).filter(|signed| signed.signer == signer.kid()) {
        return Ok(signed.jws.clone());
    }
    let mut conn = cx.app.db.look().await?;
    let newest = status_places::newest_list(&mut conn, cx.realm_name()).await?.unwrap_or(0);
    if !(0..=newest).contains(&number) {
        return Err(unknown().into());
    }
    let ended = store::status_places::ended(&mut conn, cx.realm_name(), number).await?;
    let now = cx.now_secs();
    let claims = json!({
        "iss": cx.issuer(), "sub": uri(cx, number), "iat": now, "exp": now + LIFETIME_SECS, "ttl": TTL_SECS,
        "status_list": {"bits": BITS, "lst": compressed(&ended)?, "aggregation_uri": aggregation_uri(cx)},
    });
    let jws = cx.realm.keyring.sign(Purpose::StatusList, &claims)?;
    remembered.insert(number, Arc::new(Signed { jws: jws.clone(), signer: signer.kid().to_owned() }));
    Ok(jws)
}

/// The whole list, with these places invalid or suspended: octets, zlib (RFC 1950), base64url.
fn compressed(ended: &[Ended]) -> Result<String, FlowError> {
    let status = |ended: &Ended| if ended.is_revoked { Status::Invalid } else { Status::Suspended };
    let set = ended.iter().filter_map(|ended| Some((usize::try_from(ended.idx).ok()?, status(ended).number())));
    zlib(&pack(PLACES, set)).map(|bytes| encode(&bytes))
}

fn zlib(bytes: &[u8]) -> Result<Vec<u8>, FlowError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(FlowError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::ZlibDecoder;
    use marque_core::canonical::decode;
    use marque_core::status_list::status_at;
    use serde::Deserialize;
    use std::fs;
    use std::io::Read;

    #[derive(Deserialize)]
    struct Vector {
        size: usize,
        set: Vec<(usize, u8)>,
        lst: String,
    }

    fn inflated(lst: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        ZlibDecoder::new(decode(lst).unwrap().as_slice()).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_lists_of_the_specification_are_what_is_made_of_their_statuses() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/status-list");
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 2);
        for file in files {
            let vector: Vector = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let bytes = pack(vector.size, vector.set.iter().copied());
            assert!(bytes == inflated(&vector.lst), "{}", file.display());
            assert!(vector.set.iter().all(|(index, status)| status_at(&bytes, *index) == Some(*status)));
            assert!(zlib(&bytes).unwrap().starts_with(&[0x78, 0xda]), "zlib, not gzip or bare deflate");
            assert!(inflated(&encode(&zlib(&bytes).unwrap())) == bytes);
        }
    }

    #[test]
    fn places_are_drawn_all_over_the_list() {
        let drawn: Vec<i32> = (0..100).flat_map(|_| draws().unwrap()).collect();
        let size = i32::try_from(PLACES).unwrap();
        assert!(drawn.iter().all(|place| (0..size).contains(place)));
        for quarter in 0..4 {
            assert!(drawn.iter().any(|place| place / (size / 4) == quarter), "none in quarter {quarter}");
        }
        let in_order = drawn.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
        assert!(in_order < 5, "{in_order} follow each other");
    }

    #[test]
    fn a_list_with_little_in_it_is_short() {
        let ended = |idx, is_revoked| Ended { idx, is_revoked };
        let bytes = inflated(&compressed(&[ended(5, true), ended(6, false)]).unwrap());
        assert_eq!(bytes.len(), PLACES / 4);
        assert_eq!([4, 5, 6].map(|index| status_at(&bytes, index)), [Some(0), Some(1), Some(2)]);
        assert!(compressed(&[ended(5, true), ended(70_000, true)]).unwrap().len() < 200);
    }
}
