//! Log lines on standard error.

use std::io::IsTerminal;
use tracing_subscriber::{
    EnvFilter,
    filter::{Directive, LevelFilter},
};

/// Sends log lines to standard error, for people or as JSON. `RUST_LOG` sets the level, `info` without it; the
/// access log, which is written only when it was asked for, does not depend on it.
pub fn init(json: bool) {
    let access: Directive = "access=info".parse().expect("a directive");
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy()
        .add_directive(access);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = match json {
        true => lines.json().flatten_event(true).try_init(),
        false => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
    };
    // Someone who embeds the server may have set a subscriber already; it then gets the lines.
    drop(set);
}
