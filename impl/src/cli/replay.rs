//! `impl replay`: runs the machines of a recorded server again.

use super::{fail, print};
use clap::Args;
use model::trace::{Entry, Replay, Violation};
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Check what a server recorded with --trace
///
/// Runs the protocol's machines again on what they were fed, and finds the first event that does not follow from those
/// before it: another answer, a message that nobody sent, an answer that left before it was durable, a vote that breaks
/// a rule. Each rule's name is explained in specs/.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct ReplayArgs {
    /// What `impl server --trace FILE` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("line {line} is no event: {source}")]
    Line { line: usize, source: serde_json::Error },
    #[error("line {line} does not follow from those before it: {violation}")]
    Violation { line: usize, violation: Violation },
}

pub(super) fn run(args: &ReplayArgs) -> ExitCode {
    match replay(&args.file) {
        Ok(text) => print(&text),
        Err(error) => fail(&error),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a tool of one pass over one file, without a runtime"
)]
fn replay(path: &Path) -> Result<String, ReplayError> {
    let unreadable = |source| ReplayError::Read {
        path: path.display().to_string(),
        source,
    };
    let mut lines = BufReader::new(File::open(path).map_err(unreadable)?);
    let (mut replay, mut text) = (Replay::new(), String::new());
    for line in 1.. {
        text.clear();
        lines.read_line(&mut text).map_err(unreadable)?;
        // The last line may be cut off: the process ended while it was written.
        if !text.ends_with('\n') {
            break;
        }
        let entry: Entry = serde_json::from_str(&text).map_err(|source| ReplayError::Line { line, source })?;
        let taken = replay.take(entry);
        taken.map_err(|violation| ReplayError::Violation { line, violation })?;
    }
    Ok(format!(
        "{} steps of machines follow from each other.\n",
        replay.steps()
    ))
}
