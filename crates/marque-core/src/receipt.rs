//! Result receipts: what a permitted call came to, as the resource server that did it signed it.
//!
//! A receipt is a compact JWS of `typ` `marque-receipt+jwt`. It says which permit it is for and how the call ended, and
//! carries the result whole (`values`: any JSON, plain text being a JSON string) or as hashes of salted leaves
//! (`disclosures`), of which whoever may see them is shown some, in the form of SD-JWT (RFC 9901 §4.2.1): base64url of
//! `[salt, pointer, value]`, named by the SHA-256 of these characters. Pointers are JSON pointers (RFC 6901) of leaves: of
//! scalars and of empty containers. Members named `0`, `1`, … without a gap, and no others, make up a list.

use crate::canonical::{Digest, decode, encode};
use crate::constraint::Field;
use crate::json::{self, Refused};
use crate::limits;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a permitted call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened, or may have happened: the use counts.
    Committed,
    /// It certainly did not happen: the use is free again.
    Released,
}

impl Outcome {
    /// The word on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Released => "released",
        }
    }
}

/// The payload of a `marque-receipt+jwt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Client id of the resource server, whose registered key signs it.
    pub iss: String,
    /// The Marque issuer.
    pub aud: String,
    /// When it was signed; seconds since the Unix epoch.
    pub iat: i64,
    /// The permit's id: a permit has one receipt.
    pub jti: String,
    /// The intent's id.
    pub intent: String,
    /// Id of the step that was used.
    pub step: String,
    /// The digest of the call.
    pub call_digest: Digest,
    /// The permit's number among all permits of the intent, from 1.
    pub seq: u64,
    /// How the call ended.
    pub outcome: Outcome,
    /// What it gave; absent where it gave nothing that a later step may depend on.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub result: Option<ReceiptResult>,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptResult {
    /// All of it.
    Values(Value),
    /// The hashes of its leaves.
    Disclosures(BTreeSet<Digest>),
}

/// What is known of a call's result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownResult {
    /// The result, if all of it is known.
    pub whole: Option<Value>,
    /// The leaves that are known of one that is not known whole, by JSON pointer.
    pub leaves: BTreeMap<String, Value>,
}

/// Why a receipt, or what was disclosed with it, is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is not in the form of a receipt.
    #[error("{0}")]
    Malformed(#[from] Refused),
    /// It says something else than what the permit was given for.
    #[error("$.{0}: is not what the permit was given for")]
    OfAnotherCall(&'static str),
    /// It was signed in the future.
    #[error("$.iat: is in the future")]
    NotYet,
    /// A call that was not done gave nothing.
    #[error("$.result: a released call has no result")]
    ResultOfNothing,
    /// Something was disclosed that the receipt does not name, or not in the one form.
    #[error("disclosures[{0}]: {1}")]
    Disclosure(usize, &'static str),
    /// There are no random numbers.
    #[error("there are no random numbers for salts")]
    NoSalt,
    /// The result cannot be taken apart so that it can be put together again.
    #[error("{0}: has only the members 0, 1, …, which make up a list when its leaves are disclosed")]
    LooksLikeList(String),
}

/// Whom a receipt has to be from and for, and which call it has to be about: as Marque gave them with the permit.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'e> {
    /// The resource server that was given the permit.
    pub client_id: &'e str,
    /// The Marque issuer.
    pub issuer: &'e str,
    /// The permit's id.
    pub permit_id: &'e str,
    /// The intent's id.
    pub intent_id: &'e str,
    /// Id of the step that was used.
    pub step: &'e str,
    /// The digest of the call.
    pub call_digest: Digest,
    /// The permit's number among all permits of the intent.
    pub seq: u64,
    /// Seconds since the Unix epoch.
    pub now: i64,
}

impl Receipt {
    /// Reads the payload of a receipt. The caller has verified the signature.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn parse(payload: &[u8]) -> Result<Self, ReceiptError> {
        Ok(json::typed(json::parse_call(payload, limits::RECEIPT_BYTES)?)?)
    }

    /// Checks that it is about the call that was permitted, and says nothing that contradicts itself.
    ///
    /// # Errors
    /// The first member that is not as it must be.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), ReceiptError> {
        let differs = [
            ("iss", self.iss != expected.client_id),
            ("aud", self.aud != expected.issuer),
            ("jti", self.jti != expected.permit_id),
            ("intent", self.intent != expected.intent_id),
            ("step", self.step != expected.step),
            ("call_digest", self.call_digest != expected.call_digest),
            ("seq", self.seq != expected.seq),
        ];
        if let Some((member, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err(ReceiptError::OfAnotherCall(member));
        }
        if self.iat > expected.now.saturating_add(limits::CLOCK_LEEWAY_SECS) {
            return Err(ReceiptError::NotYet);
        }
        match (self.outcome, &self.result) {
            (Outcome::Released, Some(_)) => Err(ReceiptError::ResultOfNothing),
            _ => Ok(()),
        }
    }

    /// What the receipt, and what was disclosed with it, says of the result.
    ///
    /// # Errors
    /// When something was disclosed that the receipt does not name, twice, or not in the one form.
    pub fn known(&self, disclosures: &[String]) -> Result<KnownResult, ReceiptError> {
        match &self.result {
            None if disclosures.is_empty() => Ok(KnownResult::default()),
            None => Err(ReceiptError::NOTHING_LEFT),
            Some(result) => result.known(disclosures),
        }
    }
}

impl ReceiptError {
    const NOTHING_LEFT: Self = Self::Disclosure(0, "the receipt has no hashes: nothing is left to disclose");
}

impl ReceiptResult {
    /// What it says together with what was disclosed of it.
    ///
    /// # Errors
    /// As [`Receipt::known`].
    pub fn known(&self, disclosures: &[String]) -> Result<KnownResult, ReceiptError> {
        match self {
            Self::Values(value) if disclosures.is_empty() => {
                Ok(KnownResult { whole: Some(value.clone()), leaves: BTreeMap::new() })
            }
            Self::Values(_) => Err(ReceiptError::NOTHING_LEFT),
            Self::Disclosures(hashes) => disclosed(hashes, disclosures),
        }
    }
}

fn disclosed(hashes: &BTreeSet<Digest>, disclosures: &[String]) -> Result<KnownResult, ReceiptError> {
    let mut leaves = BTreeMap::new();
    for (index, disclosure) in disclosures.iter().enumerate() {
        let refused = |why| ReceiptError::Disclosure(index, why);
        if !hashes.contains(&Digest::of(disclosure.as_bytes())) {
            return Err(refused("its hash is not in the receipt"));
        }
        let (pointer, value) = read_leaf(disclosure).map_err(refused)?;
        if leaves.insert(pointer, value).is_some() {
            return Err(refused("discloses the same leaf as another one"));
        }
    }
    if leaves.len() < hashes.len() {
        return Ok(KnownResult { whole: None, leaves });
    }
    let whole = join(leaves.iter().map(|(pointer, leaf)| (segments(pointer), leaf)).collect())
        .ok_or(ReceiptError::Disclosure(0, "the leaves do not fit into one result"))?;
    Ok(KnownResult { whole: Some(whole), leaves: BTreeMap::new() })
}

fn read_leaf(disclosure: &str) -> Result<(String, Value), &'static str> {
    let bytes = decode(disclosure).ok_or("is not in base64url without padding")?;
    let value = json::parse_call(&bytes, limits::RECEIPT_BYTES).map_err(|_| "is not strict JSON")?;
    let [salt, pointer, leaf]: [Value; 3] = match value {
        Value::Array(parts) => parts.try_into().map_err(|_| "is not [salt, pointer, value]")?,
        _ => return Err("is not [salt, pointer, value]"),
    };
    let (Value::String(salt), Value::String(pointer)) = (salt, pointer) else {
        return Err("salt and pointer are texts");
    };
    if decode(&salt).is_none_or(|salt| salt.len() < limits::SALT_BYTES) {
        return Err("its salt is shorter than 16 bytes");
    }
    if Field::try_from(pointer.clone()).is_err() || segments(&pointer).len() > limits::JSON_DEPTH {
        return Err("its pointer is no JSON pointer, or too long");
    }
    if is_leaf(&leaf) { Ok((pointer, leaf)) } else { Err("its value is not a leaf") }
}

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => true,
    }
}

/// A leaf with what is left of its pointer.
type Rest<'l> = (Vec<String>, &'l Value);

/// The one value that has exactly these leaves.
fn join(leaves: Vec<Rest<'_>>) -> Option<Value> {
    if let [(path, leaf)] = leaves.as_slice()
        && path.is_empty()
    {
        return Some((*leaf).clone());
    }
    let mut members: BTreeMap<String, Vec<Rest<'_>>> = BTreeMap::new();
    for (mut path, leaf) in leaves {
        let name = path.pop()?;
        members.entry(name).or_default().push((path, leaf));
    }
    let members = members.into_iter().map(|(name, below)| Some((name, join(below)?)));
    let mut members: Map<String, Value> = members.collect::<Option<_>>()?;
    if !is_list(&members) {
        return Some(Value::Object(members));
    }
    let items = list_names(members.len()).filter_map(|name| members.remove(&name));
    Some(Value::Array(items.collect()))
}

/// The segments of a pointer, the last one first.
fn segments(pointer: &str) -> Vec<String> {
    let unescaped = |segment: &str| segment.replace("~1", "/").replace("~0", "~");
    let mut segments: Vec<_> = pointer.split('/').skip(1).map(unescaped).collect();
    segments.reverse();
    segments
}

fn is_list(members: &Map<String, Value>) -> bool {
    !members.is_empty() && list_names(members.len()).all(|name| members.contains_key(&name))
}

fn list_names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|index| index.to_string())
}

/// One leaf of a result, ready to be disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Where it is: a JSON pointer.
    pub pointer: String,
    /// What discloses it.
    pub disclosure: String,
}

/// Takes a result apart into leaves, each with a salt of its own: at least [`limits::SALT_BYTES`] random bytes in base64url.
///
/// # Errors
/// When an object of the result would come back as a list, or there is no salt.
pub fn disclose(
    result: &Value,
    mut salt: impl FnMut() -> Option<String>,
) -> Result<(ReceiptResult, Vec<Leaf>), ReceiptError> {
    let mut found = Vec::new();
    collect_leaves(String::new(), result, &mut found)?;
    let mut leaves = Vec::with_capacity(found.len());
    for (pointer, value) in found {
        let salt = salt().ok_or(ReceiptError::NoSalt)?;
        let disclosure = encode(json!([salt, pointer, value]).to_string().as_bytes());
        leaves.push(Leaf { pointer, disclosure });
    }
    let hashes = leaves.iter().map(|leaf| Digest::of(leaf.disclosure.as_bytes())).collect();
    Ok((ReceiptResult::Disclosures(hashes), leaves))
}

fn collect_leaves<'r>(
    pointer: String,
    value: &'r Value,
    leaves: &mut Vec<(String, &'r Value)>,
) -> Result<(), ReceiptError> {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) if is_list(members) => Err(ReceiptError::LooksLikeList(pointer)),
        Value::Object(members) if !members.is_empty() => members
            .iter()
            .try_for_each(|(name, member)| collect_leaves(format!("{pointer}/{}", escaped(name)), member, leaves)),
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| collect_leaves(format!("{pointer}/{index}"), item, leaves)),
        leaf => {
            leaves.push((pointer, leaf));
            Ok(())
        }
    }
}
