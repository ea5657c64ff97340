//! The program `marque`: everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    marque::cli::run()
}
