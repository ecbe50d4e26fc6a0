//! Log lines on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is logged without `RUST_LOG`. The library behind the S3 requests logs every 404 as an error: it is
/// silent, and the server says itself what operators must know.
const DEFAULT_FILTER: &str = "info,s3s=off";

/// The access log is written only when it was asked for: whatever `RUST_LOG` says.
const ACCESS: &str = "access=info";

/// Sends log lines to standard error, for people or as JSON. `RUST_LOG` says what, [`DEFAULT_FILTER`] without it.
pub fn init(json: bool) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    if let Ok(access) = ACCESS.parse() {
        filter = filter.add_directive(access);
    }
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
