//! The person, with a passkey in memory, and what the realm's extension does for her: renders the page and hands her
//! gesture to the realm. All of it is checked by Marque as everywhere.

use crate::marque::{Marque, RP_ID};
use crate::realm::{Realm, SUB, now};
use bench_keys::{Failure, PasskeyKey};
use marque_core::canonical::{Digest, decode, encode};
use marque_core::catalog::Catalog;
use marque_core::challenge::Approval;
use marque_core::display::{DisplayRecord, RENDERER, catalogs_digest, lines, lines_digest};
use marque_core::jws;
use marque_core::names::{CLAIM_APPROVAL, TYP_PLAN_REQUEST};
use marque_core::plan::ResolvedPlan;
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::Uuid;

/// Where her approval page is.
pub const ORIGIN: &str = "http://localhost:8080";
/// User present and verified (WebAuthn Level 3 §6.1).
const FLAGS: u8 = 0x05;
/// What comes before the coordinates of a P-256 key in COSE (RFC 9053 §2.1), and between them.
const COSE: ([u8; 10], [u8; 3]) = ([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 0x20], [0x22, 0x58, 0x20]);

/// The person.
pub struct Person {
    realm: Arc<Realm>,
    http: reqwest::Client,
    passkey: PasskeyKey,
    credential_id: String,
    public_key: String,
    counter: AtomicU32,
}

/// A browser that is signed in at the receipt of one intent.
pub struct Receipt {
    url: String,
    cookie: String,
}

/// What the extension was handed.
struct Shown {
    plan: ResolvedPlan,
    plan_digest: Digest,
    display: DisplayRecord,
    nonce: Digest,
}

impl Person {
    /// A person whose realm knows her passkey.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(realm: &Arc<Realm>) -> Result<Self, Failure> {
        let passkey = PasskeyKey::new()?;
        let (x, y) = passkey.coordinates()?;
        let public_key = encode(&[&COSE.0[..], &x, &COSE.1, &y].concat());
        let credential_id = encode(Uuid::new_v4().as_bytes());
        realm.set_passkey(&credential_id, &public_key);
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { realm: realm.clone(), http, passkey, credential_id, public_key, counter: AtomicU32::new(0) })
    }

    /// Approves a plan.
    ///
    /// # Errors
    /// When Marque does not take it.
    pub async fn approve(&self, marque: &Marque, intent_id: &str) -> Result<Receipt, Failure> {
        let begun = self.http.get(format!("{}/approve/{intent_id}", marque.issuer)).send().await?;
        let cookie = cookie_of(&begun)?;
        let to = begun.headers().get(LOCATION).ok_or("no redirect")?.to_str()?.to_owned();
        let to = reqwest::Url::parse(&to)?;
        let request_uri = to.query_pairs().find(|(name, _)| name == "request_uri").ok_or("no request_uri")?.1;
        let sign_in = self.realm.sign_in(&request_uri)?;
        let shown = self.shown(marque, intent_id).await?;
        let claim = Map::from_iter([(CLAIM_APPROVAL.to_owned(), self.gesture(intent_id, &shown)?)]);
        let code = self.realm.end_sign_in(&sign_in, claim)?;
        let back = [("state", sign_in.state.as_str()), ("code", &code), ("iss", &self.realm.issuer)];
        let back = reqwest::Url::parse_with_params(&format!("{}/callback", marque.issuer), back)?;
        let done = self.http.get(back).header(COOKIE, cookie).send().await?;
        if done.status() != 303 {
            return Err(format!("the approval is not taken: {}", done.text().await?).into());
        }
        Ok(Receipt { url: format!("{}/receipt/{intent_id}", marque.issuer), cookie: cookie_of(&done)? })
    }

    async fn shown(&self, marque: &Marque, intent_id: &str) -> Result<Shown, Failure> {
        let request = json!({
            "iss": self.realm.issuer, "aud": marque.issuer, "intent_id": intent_id, "iat": now(), "exp": now() + 60,
            "jti": Uuid::new_v4(),
        });
        let request = self.realm.key.sign(TYP_PLAN_REQUEST, &request)?;
        let asked = self.http.get(format!("{}/internal/plans/{intent_id}", marque.issuer));
        let answer = asked.header(AUTHORIZATION, format!("Bearer {request}")).send().await?.error_for_status()?;
        let answer = jws::unverified_claims(&answer.text().await?)?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).ok_or("the answer is incomplete");
        let bytes = decode(text("plan")?).ok_or("no plan")?;
        let plan = ResolvedPlan::from_canonical(&bytes).map_err(|refused| refused.to_string())?;
        let compacts = answer.get("catalogs").and_then(Value::as_array).ok_or("no catalogs")?;
        let catalogs = compacts.iter().filter_map(Value::as_str).map(catalog).collect::<Result<Vec<_>, _>>()?;
        let display = DisplayRecord {
            renderer: RENDERER.into(),
            template_sha256: Digest::of(b"the page of the measurements"),
            catalog_sha256: catalogs_digest(&plan),
            locale: "en".into(),
            lines_sha256: lines_digest(&lines(&plan, &catalogs, "en")?),
        };
        let nonce = Digest::from_base64(text("nonce")?).ok_or("no nonce")?;
        Ok(Shown { plan, plan_digest: Digest::of(&bytes), display, nonce })
    }

    /// The claim that the extension puts into the ID token.
    fn gesture(&self, intent_id: &str, shown: &Shown) -> Result<Value, Failure> {
        let approval = Approval {
            realm_issuer: &shown.plan.user.iss,
            intent_id,
            plan_digest: shown.plan_digest,
            display_digest: shown.display.digest(),
            nonce: *shown.nonce.as_bytes(),
        };
        let challenge = approval.challenge().ok_or("no challenge")?;
        let client_data =
            json!({"type": "webauthn.get", "challenge": challenge, "origin": ORIGIN, "crossOrigin": false}).to_string();
        let before = self.counter.fetch_add(1, Ordering::Relaxed);
        let authenticator_data =
            [&Digest::of(RP_ID.as_bytes()).as_bytes()[..], &[FLAGS], &(before + 1).to_be_bytes()].concat();
        let signed = [&authenticator_data[..], Digest::of(client_data.as_bytes()).as_bytes()].concat();
        Ok(json!({
            "v": 1, "decision": "approved", "intent_id": intent_id, "plan_digest": shown.plan_digest,
            "display": shown.display, "nonce": shown.nonce, "credential_id": self.credential_id,
            "public_key": self.public_key, "sign_count": before, "user_handle": encode(SUB.as_bytes()),
            "client_data_json": encode(client_data.as_bytes()), "authenticator_data": encode(&authenticator_data),
            "signature": encode(&self.passkey.sign(&signed)?),
        }))
    }

    /// Opens the receipt; what comes back revokes the intent.
    ///
    /// # Errors
    /// When the page is not shown.
    pub async fn revocation(&self, receipt: &Receipt) -> Result<reqwest::RequestBuilder, Failure> {
        let page = self.http.get(&receipt.url).header(COOKIE, &receipt.cookie).send().await?.error_for_status()?;
        let page = page.text().await?;
        let csrf = page.split_once("name=\"csrf\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
        let form = [("csrf", csrf.ok_or("the receipt has no button")?.0)];
        let request = self.http.post(format!("{}/revoke", receipt.url)).header(COOKIE, &receipt.cookie);
        Ok(request.form(&form))
    }
}

fn catalog(compact: &str) -> Result<Catalog, Failure> {
    Ok(Catalog::parse(&jws::unverified_payload(compact)?).map_err(|refused| refused.to_string())?)
}

/// The name and value of the cookie that an answer sets.
fn cookie_of(answer: &Response) -> Result<String, Failure> {
    let set = answer.headers().get(SET_COOKIE).ok_or_else(|| format!("no cookie: {}", answer.status()))?;
    Ok(set.to_str()?.split(';').next().unwrap_or_default().to_owned())
}
