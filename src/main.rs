//! Arguments and dispatch, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    stockhold::cli::main()
}
