//! `demo up`, `demo down`, `demo run`, `demo authzen-fixture`, `demo keycloak`: the demonstration's own command.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use marque_demo::Result;
use marque_demo::authzen;
use marque_demo::place::{Place, Ports};
use marque_demo::stack::{self, Stack};
use marque_demo::story;

/// Runs Marque's demonstration on real servers.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything, write env.json, and leave it running.
    Up(Where),
    /// Stop everything that `up` started.
    Down(Where),
    /// Start everything, tell the story, and stop everything. Succeeds only if every line of the story does.
    Run(Where),
    /// Load the fixture of the AuthZEN certification scenario into a running stack, and write authzen.json.
    AuthzenFixture(Running),
    /// Unpack and build Keycloak unless that was done, and print its folder. Starts nothing.
    Keycloak(Running),
}

#[derive(Debug, Args)]
struct Running {
    /// The stack's folder. Default: target/demo.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Where {
    /// The stack's folder. Default: target/demo.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The first of the stack's ports.
    #[arg(long, default_value = "7400", value_parser = ports)]
    port_base: Ports,
}

fn ports(text: &str) -> std::result::Result<Ports, String> {
    text.parse().ok().and_then(Ports::new).ok_or_else(|| "a port from 1024 to 65515".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(at) => {
            let place = Place::new(at.dir.as_deref())?;
            let start = Instant::now();
            let stack = stack::guard(&place, stack::up(place.clone(), at.port_base)).await?;
            println!("up in {:.1} s\n", start.elapsed().as_secs_f64());
            describe(&stack);
        }
        Command::Down(at) => stack::down(&Place::new(at.dir.as_deref())?).await?,
        Command::AuthzenFixture(at) => {
            let place = Place::new(at.dir.as_deref())?;
            authzen::load(&place).await?;
            println!("loaded; for programs: {}", authzen::fixture_file(&place.dir).display());
        }
        Command::Keycloak(at) => {
            let place = Place::new(at.dir.as_deref())?;
            println!("{}", stack::build_keycloak(&place).await?.display());
        }
        Command::Run(at) => return tell(&Place::new(at.dir.as_deref())?, at.port_base).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn tell(place: &Place, ports: Ports) -> Result<ExitCode> {
    let start = Instant::now();
    let whole = {
        let place = place.clone();
        async move { story::run(&stack::up(place, ports).await?).await }
    };
    let went_well = stack::guard(place, whole).await?;
    stack::down(place).await?;
    println!("{:.1} s from the first start to the last stop", start.elapsed().as_secs_f64());
    Ok(if went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(stack: &Stack) {
    let env = &stack.env;
    println!("  Marque           {}", env.marque.issuer);
    println!(
        "  Keycloak         {} (administrator: {}, {})",
        env.keycloak.base, env.keycloak.admin.username, env.keycloak.admin.password
    );
    println!("  resource server  {}", env.resource_server.url);
    println!("  worker           {}", env.worker.url);
    println!("  user             {}, {}", env.user.username, env.user.password);
    println!("  for programs     {}", stack.place.env_file().display());
}
