//! The `impl` binary: everything is in the library, so that tests and the simulation run the same code.

use std::process::ExitCode;

/// Small allocations are a third of what a small request costs; what it saves is in `specs/performance.md`.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    store::cli::main()
}
