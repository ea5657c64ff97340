//! `marque postgres start|stop|status`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::Output;
use crate::postgres::{self, Running};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start the server unless it runs, and print its connection URL.
    Start {
        #[command(flatten)]
        place: Place,
        /// The loopback TCP port. Default: the last one used, else a random free one.
        #[arg(long)]
        port: Option<u16>,
        /// Create this database where it is missing. May be repeated.
        #[arg(long = "database", value_name = "NAME")]
        databases: Vec<String>,
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Stop the server and wait for its end.
    Stop {
        #[command(flatten)]
        place: Place,
    },
    /// Print the connection URL of the running server; exits 1 where none runs.
    Status {
        #[command(flatten)]
        place: Place,
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
}

#[derive(Debug, ClapArgs)]
struct Place {
    /// The server's directory. Default: `$XDG_STATE_HOME/marque/postgres`, else `~/.local/state/marque/postgres`.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Place {
    fn dir(self) -> Result<PathBuf, &'static str> {
        self.dir
            .or_else(postgres::default_dir)
            .ok_or("neither XDG_STATE_HOME nor HOME is set; name a directory with --dir")
    }
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    match args.action {
        Action::Start { place, port, databases, output } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let running = runtime.block_on(postgres::start(&place.dir()?, port, &databases))?;
            print(&running, &databases, output);
        }
        Action::Stop { place } => {
            let was_running = postgres::stop(&place.dir()?)?;
            eprintln!("{}", if was_running { "stopped" } else { "not running" });
        }
        Action::Status { place, output } => match postgres::status(&place.dir()?)? {
            Some(running) => print(&running, &[], output),
            None => {
                eprintln!("not running");
                return Ok(ExitCode::FAILURE);
            }
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn print(running: &Running, databases: &[String], output: Output) {
    if output == Output::Text {
        println!("{}", running.default_url());
        return;
    }
    let urls: serde_json::Map<_, _> = databases.iter().map(|name| (name.clone(), json!(running.url(name)))).collect();
    let answer = json!({
        "url": running.default_url(), "port": running.port, "pid": running.pid, "home": running.home, "databases": urls,
    });
    println!("{answer}");
}
