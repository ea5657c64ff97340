//! The files that describe a plan, its catalogs, a call and what was done before.

use std::io::Read;
use std::path::{Path, PathBuf};

use marque_core::call::{Call, CallResource};
use marque_core::catalog::{Catalog, UnknownActions};
use marque_core::claims::Confirmation;
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Records};
use marque_core::json::{self, Refused};
use marque_core::plan::{ResolvedPlan, SubmittedPlan};
use marque_core::resolve::{Completion, resolve};
use marque_core::value::instant::Moment;
use marque_core::{jws, limits, names, timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Failure;
use crate::clock::Clock;

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// The catalogs that a command is given.
#[derive(Debug, clap::Args)]
pub(super) struct CatalogFiles {
    /// A catalog: its JSON, or the compact JWS that holds it. May be repeated.
    #[arg(long = "catalog", value_name = "FILE")]
    catalogs: Vec<PathBuf>,
}

/// When a command takes it to be.
#[derive(Debug, clap::Args)]
pub(super) struct Now {
    /// The instant of the call, and of the submission where a plan states a lifetime (RFC 3339). Default: now.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    now: Option<i64>,
}

impl Now {
    pub(super) fn secs(&self) -> i64 {
        self.now.unwrap_or_else(|| Clock::default().now().unix_timestamp())
    }
}

fn instant(text: &str) -> Result<i64, String> {
    let moment = Moment::parse(text).ok_or("is not an RFC 3339 instant, like 2026-11-22T03:00:00Z")?;
    i64::try_from(moment.as_nanos().div_euclid(1_000_000_000)).map_err(|_| "is too far away".into())
}

/// A plan as an agent submits it, or as Marque resolved it.
pub(super) enum Plan {
    Submitted(SubmittedPlan),
    Resolved(ResolvedPlan),
}

/// What a plan permits.
pub(super) struct Permitted {
    pub(super) envelope: Envelope,
    /// Whether no catalog described the steps.
    pub(super) is_as_written: bool,
}

impl CatalogFiles {
    /// Reads the catalogs. What is signed is read without checking who signed it, and that is said.
    pub(super) fn read(&self) -> Result<Vec<Catalog>, Failure> {
        self.catalogs.iter().map(|path| catalog(path)).collect()
    }
}

impl Plan {
    /// Reads a plan; a resolved one has an `intent_id`.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = bytes(path)?;
        let value = json::parse_plan(&bytes, limits::EVIDENCE_BYTES).map_err(|refused| bad(path, &refused))?;
        let plan = if value.get("intent_id").is_some() {
            ResolvedPlan::from_value(value).map(Self::Resolved)
        } else {
            SubmittedPlan::parse(&bytes).map(Self::Submitted)
        };
        plan.map_err(|refused| bad(path, &refused))
    }

    /// What the plan permits if it is approved, with the catalogs at hand.
    pub(super) fn permits(self, path: &Path, catalogs: &[Catalog], now: i64) -> Result<Permitted, Failure> {
        let envelope = match self {
            Self::Resolved(plan) => Envelope::of(&plan).map_err(|refused| bad(path, &refused))?,
            Self::Submitted(plan) if catalogs.is_empty() => {
                return Ok(Permitted { envelope: Envelope::as_written(&plan, now), is_as_written: true });
            }
            Self::Submitted(plan) => {
                let resolved = completed(plan, catalogs, now).map_err(|message| named(path, message))?;
                Envelope::of(&resolved).map_err(|refused| bad(path, &refused))?
            }
        };
        Ok(Permitted { envelope, is_as_written: false })
    }
}

/// The plan as Marque would complete it. What only tells who and where stays empty: no decision depends on it.
fn completed(plan: SubmittedPlan, catalogs: &[Catalog], now: i64) -> Result<ResolvedPlan, String> {
    let ends = plan.limits.expires_at.as_deref().and_then(|text| timestamp::parse(text).ok());
    let client_id = plan.agent.clone();
    let with = Completion {
        issuer: "",
        realm_issuer: "",
        intent_id: "",
        client_id: &client_id,
        cnf: Confirmation::Jkt(String::new()),
        started_by: None,
        catalogs,
        blocked: &[],
        unknown_actions: UnknownActions::Refuse,
        // A plan that states its end was submitted before it, whenever that was.
        now: ends.map_or(now, |end| end - 1),
    };
    resolve(plan, &with).map_err(|rejection| format!("{rejection} ({})", rejection.reason))
}

/// A concrete call as a file states it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallDocument {
    location: Option<String>,
    action: String,
    resource: CallResource,
    #[serde(default)]
    args: Map<String, Value>,
    environment: Option<String>,
    #[serde(default)]
    records: Records,
}

/// Reads a call. One that names no location is at the plan's only one.
pub(super) fn call(path: &Path, envelope: &Envelope) -> Result<Call, Failure> {
    let document: CallDocument = document(path)?;
    let mut locations: Vec<&String> = envelope.steps.iter().map(|step| &step.location).collect();
    locations.sort();
    locations.dedup();
    let location = match (document.location, &locations[..]) {
        (Some(stated), _) => stated,
        (None, [only]) => (*only).clone(),
        (None, _) => return Err(named(path, "$.location: is missing, and the plan is about several".into())),
    };
    let mut call = Call::new(location, document.action, document.resource, document.args);
    call.environment = document.environment;
    call.records = document.records;
    Ok(call)
}

/// Reads what was done before; without a file nothing was.
pub(super) fn facts(path: Option<&PathBuf>) -> Result<Facts, Failure> {
    path.map_or_else(|| Ok(Facts::default()), |path| document(path))
}

/// Refuses that more than one of some files is standard input: it can be read once.
pub(super) fn one_standard_input<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), Failure> {
    if paths.into_iter().filter(|path| path.as_os_str() == STANDARD_INPUT).count() > 1 {
        return Err(Failure::Input("standard input can be only one of the files".into()));
    }
    Ok(())
}

impl CatalogFiles {
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.catalogs
    }
}

fn document<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let value = json::parse_call(&bytes(path)?, limits::EVIDENCE_BYTES).map_err(|refused| bad(path, &refused))?;
    json::typed(value).map_err(|refused| bad(path, &refused))
}

/// Reads a catalog: its JSON, or the compact JWS that holds it.
pub(in crate::cli) fn catalog(path: &Path) -> Result<Catalog, Failure> {
    let bytes = bytes(path)?;
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Catalog::parse(&bytes).map_err(|refused| bad(path, &refused));
    }
    let no_catalog = || named(path, format!("is neither JSON nor a compact JWS of the type {}", names::TYP_CATALOG));
    let compact = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| no_catalog())?;
    let payload = jws::unverified_payload(compact).map_err(|_| no_catalog())?;
    let catalog = Catalog::parse(&payload).map_err(|refused| bad(path, &refused))?;
    eprintln!("marque: {}: read without checking who signed it", name(path));
    Ok(catalog)
}

/// The bytes of a file, as many as any document may have and one more.
pub(in crate::cli) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than any document may have: the rest is of no use.
    let most = limits::EVIDENCE_BYTES as u64 + 1;
    let read = if path.as_os_str() == STANDARD_INPUT {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| named(path, error.to_string()))?;
    Ok(bytes)
}

/// What a file is called in messages.
pub(in crate::cli) fn name(path: &Path) -> String {
    if path.as_os_str() == STANDARD_INPUT { "standard input".into() } else { path.display().to_string() }
}

fn bad(path: &Path, refused: &Refused) -> Failure {
    named(path, refused.to_string())
}

/// What is wrong with a file.
pub(in crate::cli) fn named(path: &Path, message: String) -> Failure {
    Failure::Input(format!("{}: {message}", name(path)))
}
