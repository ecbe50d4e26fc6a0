//! Log lines on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is logged unless it is told otherwise. s3s calls every mistake of a client an error.
const DEFAULT: &str = "info,s3s=off";

/// Sends log lines to standard error, for people or as JSON. `RUST_LOG` says which, [`DEFAULT`] without it.
pub fn init(json: bool) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = EnvFilter::new(if wanted.is_empty() { DEFAULT } else { &wanted });
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
