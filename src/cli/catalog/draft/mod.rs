//! `marque catalog draft`: a catalog to be reviewed, from what a service says of itself.
//!
//! What a vendor says is a claim. A draft takes the gravest of what is said and what the names suggest; where nothing
//! is known it takes the gravest there is. Nothing of the vendor's prose comes into it.

mod action;
mod mcp;
mod openapi;
mod schema;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use marque_core::catalog::{Catalog, CatalogAction, CatalogDocument};
use marque_core::limits;
use serde_json::Value;

use super::super::plan::{Failure, files, show};
use action::Operation;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// An OpenAPI 3 document, JSON or YAML; - is standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "from_mcp", conflicts_with = "from_mcp")]
    from_openapi: Option<PathBuf>,
    /// The answer to an MCP tools/list request, JSON or YAML; - is standard input.
    #[arg(long, value_name = "FILE")]
    from_mcp: Option<PathBuf>,
    /// Client id of the resource server at the realm.
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// URI of the resource server.
    #[arg(long, value_name = "URI")]
    location: String,
    /// The catalog's version.
    #[arg(long, default_value_t = 1)]
    version: u64,
}

/// What a document offers: operations, and what of it could not be read.
#[derive(Default)]
struct Offer {
    operations: Vec<Operation>,
    left_out: Vec<String>,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let (path, offer) = match (&args.from_openapi, &args.from_mcp) {
        (Some(path), _) => (path, openapi::read(&document(path)?)),
        (None, Some(path)) => (path, mcp::read(&document(path)?)),
        (None, None) => return Err(Failure::Input("name a document with --from-openapi or --from-mcp".into())),
    };
    let offer = offer.map_err(|message| files::named(path, message))?;
    let empty = CatalogDocument {
        iss: args.client_id,
        version: args.version,
        location: args.location,
        environments: Default::default(),
        collections: Default::default(),
        actions: Default::default(),
    };
    let (draft, notes) = drafted(empty, offer).map_err(Failure::Input)?;
    let text = serde_json::to_string_pretty(&draft).map_err(io::Error::from)?;
    writeln!(io::stdout().lock(), "{text}")?;
    for note in notes {
        eprintln!("marque: {}", show::plain(&note));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a document as JSON, else as YAML.
fn document(path: &Path) -> Result<Value, Failure> {
    let bytes = files::bytes(path)?;
    if bytes.len() > limits::EVIDENCE_BYTES {
        return Err(files::named(path, format!("is larger than {} bytes", limits::EVIDENCE_BYTES)));
    }
    if let Ok(value) = serde_json::from_slice(&bytes) {
        return Ok(value);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| files::named(path, "is not UTF-8".into()))?;
    serde_saphyr::from_str(text).map_err(|error| files::named(path, format!("is neither JSON nor YAML: {error}")))
}

/// The catalog of an offer, and what is to be reviewed in it.
fn drafted(mut draft: CatalogDocument, offer: Offer) -> Result<(CatalogDocument, Vec<String>), String> {
    expect_whole(&draft)?;
    let mut notes: Vec<String> = offer.left_out.iter().map(|text| format!("left out: {text}")).collect();
    for operation in offer.operations {
        let name = operation.name.clone();
        let (action, guesses) = operation.draft();
        if draft.actions.contains_key(&name) {
            notes.push(format!("left out: a second operation that is called {name:?}"));
        } else if let Err(message) = is_well_formed(&draft, &name, &action) {
            notes.push(format!("left out: {name:?}: {message}"));
        } else {
            notes.extend(guesses.into_iter().map(|guess| format!("review $.actions.{name}.{guess}")));
            draft.actions.insert(name, action);
        }
    }
    expect_whole(&draft)?;
    let count = draft.actions.len();
    notes.push(format!("{count} drafted; each line above is a guess or a claim of the vendor, until you have read it"));
    Ok((draft, notes))
}

/// Whether an action can stand in a catalog.
fn is_well_formed(draft: &CatalogDocument, name: &str, action: &CatalogAction) -> Result<(), String> {
    let alone = CatalogDocument {
        iss: draft.iss.clone(),
        location: draft.location.clone(),
        environments: draft.environments.clone(),
        collections: draft.collections.clone(),
        actions: [(name.to_owned(), action.clone())].into(),
        version: draft.version,
    };
    expect_whole(&alone)
}

fn expect_whole(draft: &CatalogDocument) -> Result<(), String> {
    let bytes = serde_json::to_vec(draft).map_err(|error| error.to_string())?;
    Catalog::parse(&bytes).map(drop).map_err(|refused| refused.to_string())
}
