//! `marque evidence export|step-ups|verify`: what an auditor takes away, and how she checks it, offline.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use marque_core::canonical::Digest;
use marque_core::step_up::Document;
use marque_core::timestamp;

use crate::flows::export_evidence::{export_evidence, list_step_ups};
use crate::flows::verify_file::{Approved, Report, Trust, expect_of_plan, verify_file};

/// Evidence of approvals.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the evidence file of an approved intent, or of one approved call of it.
    Export {
        /// The intent, or the step-up of the call.
        id: String,
        #[command(flatten)]
        export: super::RealmExport,
    },
    /// Write the ids of an intent's approved step-ups, one a line, in the order of their approval.
    StepUps {
        /// The intent.
        intent_id: String,
        #[command(flatten)]
        export: super::RealmExport,
    },
    /// Verify an evidence file, of a plan or of one call, offline. Exits 0 only if all of it holds.
    Verify {
        /// The evidence file.
        file: PathBuf,
        /// For one call: the evidence file of the plan that it must be a use of, which is verified as well.
        #[arg(long)]
        plan: Option<PathBuf>,
        /// The trust file that says whose keys are believed.
        #[arg(long)]
        trust: Option<PathBuf>,
    },
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match args.command {
        Command::Export { id, export } => export.write(async |cx| Ok(export_evidence(cx, &id).await?)),
        Command::StepUps { intent_id, export } => export.write(async |cx| {
            let ids = list_step_ups(cx, &intent_id).await?;
            Ok(ids.iter().map(|id| format!("{id}\n")).collect::<String>().into_bytes())
        }),
        Command::Verify { file, plan, trust } => verify(&std::fs::read(file)?, plan, trust),
    }
}

fn verify(file: &[u8], plan: Option<PathBuf>, trust: Option<PathBuf>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let trust = trust
        .map(|path| Trust::parse(&std::fs::read(path)?).map_err(|error| format!("the trust file: {error}").into()));
    let trust: Option<Trust> = trust.transpose().map_err(|error: Box<dyn std::error::Error>| error)?;
    let report = verify_file(file, trust.as_ref()).map_err(|error| format!("the evidence does not hold: {error}"))?;
    if let Some(path) = plan {
        let plan = verify_file(&std::fs::read(path)?, trust.as_ref());
        let plan = plan.map_err(|error| format!("the plan's evidence does not hold: {error}"))?;
        expect_of_plan(&report, &plan)?;
    }
    print(&report)?;
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    let kind =
        if report.backup_eligible { "can be synced to other devices" } else { "bound to one device, as it says" };
    let anchor = if report.is_anchored {
        "anchored: both keys are ones that the trust file names"
    } else {
        "unanchored: from the file alone nobody can prove whose keys these are; give --trust FILE"
    };
    let mut out = std::io::stdout().lock();
    match &report.approved {
        Approved::Plan(plan, digest) => {
            writeln!(out, "intent       {}", plan.intent_id)?;
            writeln!(out, "plan digest  {digest}  {}", digest.words())?;
        }
        Approved::Call(document, digest) => print_call(&mut out, document, digest)?,
    }
    writeln!(out, "approved by  {} ({}) at {}", report.username, report.sub, report.realm)?;
    writeln!(out, "approved at  {}", timestamp::format(report.approved_at)?)?;
    writeln!(out, "passkey      {kind}; used at {}", report.origin)?;
    writeln!(out, "Marque key   {} of {}", report.signer_thumbprint, report.issuer)?;
    writeln!(out, "realm key    {} of {}", report.realm_thumbprint, report.realm)?;
    writeln!(out, "{anchor}")?;
    Ok(())
}

fn print_call(out: &mut impl Write, document: &Document, digest: &Digest) -> std::io::Result<()> {
    let Document { action, resource, location, args, records, .. } = document;
    writeln!(out, "step-up      {}", document.step_up_id)?;
    writeln!(out, "digest       {digest}  {}", digest.words())?;
    writeln!(out, "call         {action} on {} {} at {location}", resource.kind, resource.id)?;
    args.iter().try_for_each(|argument| writeln!(out, "             {}: {}", argument.name, argument.value))?;
    records
        .iter()
        .try_for_each(|row| writeln!(out, "             record {} of {}: {}", row.id, row.collection, row.value))?;
    writeln!(out, "made by      {} with the key {}", document.presenter.client_id, document.presenter.cnf)?;
    writeln!(out, "step         {} of intent {}", document.step, document.intent_id)?;
    writeln!(out, "plan digest  {}  {}", document.plan_digest, document.plan_digest.words())
}
