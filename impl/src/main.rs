//! The `impl` binary: everything is in the library, so that tests and the simulation run the same code.

use std::process::ExitCode;

fn main() -> ExitCode {
    store::cli::main()
}
