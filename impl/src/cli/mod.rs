//! The command line: `impl server`, `impl erasure`, `impl admin` and `impl replay`.
//!
//! Exit codes: 0 when all went well, for a server after a stop signal; 1 for an error in what was asked
//! for or at start; 2 for a command line that cannot be read.

mod admin;
mod banner;
mod erasure;
mod logging;
mod replay;
mod report;
mod server;

pub use banner::{Banner, OwnNode};
pub use server::{StartError, announce, serve};

use clap::{Parser, Subcommand};
use std::{io, path::Path, process::ExitCode};

/// Name of the program for people.
pub const PRODUCT: &str = "impl object store";

const ABOUT: &str = "An erasure-coded S3 object store: one binary, from one folder to many drives";

const EXAMPLES: &str = "\
Examples:
  Try it: one folder, no protection against a lost drive
    impl server /tmp/store

  Four drives, of which any two may fail
    impl server /mnt/drive{1...4}

  What would 16 drives give with four for parity?
    impl erasure 16 --parity 4

  Talk to it with any S3 client
    aws --endpoint-url http://127.0.0.1:9000 s3 mb s3://photos
";

/// The whole command line.
#[derive(Parser)]
#[command(name = "impl", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Server(Box<server::ServerArgs>),
    Erasure(erasure::ErasureArgs),
    Admin(admin::AdminArgs),
    Replay(replay::ReplayArgs),
}

/// Reads the command line, does what it says, and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Server(args) => server::run(*args),
        Command::Erasure(args) => erasure::run(&args),
        Command::Admin(args) => admin::run(args),
        Command::Replay(args) => replay::run(&args),
    }
}

/// Reads the file of a secret, as configuration asks for it.
#[expect(
    clippy::disallowed_methods,
    reason = "secrets are read once, before there is a runtime"
)]
fn read_secret(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// Standard output did not take what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
struct OutputError(#[source] io::Error);

/// Writes all that was asked for to standard output, and returns the exit code. A reader that has gone away (`| head`)
/// is no error of ours.
fn print(text: &str) -> ExitCode {
    use std::io::Write;
    let mut output = io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&OutputError(error)),
        _ => ExitCode::SUCCESS,
    }
}

/// The one line that every failure ends with.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    use std::io::Write;
    // Unlike eprintln!, this does not panic when standard error is closed or full.
    drop(writeln!(io::stderr(), "error: {error}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The help of a subcommand, or of the program, as a terminal of 100 columns shows it.
    fn help(subcommand: Option<&str>) -> String {
        let mut command = Cli::command().term_width(100);
        command.build();
        let shown = match subcommand {
            Some(name) => command.find_subcommand_mut(name).expect("a subcommand"),
            None => &mut command,
        };
        shown.render_long_help().to_string()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_texts() {
        insta::assert_snapshot!("help", help(None));
        insta::assert_snapshot!("help_server", help(Some("server")));
        insta::assert_snapshot!("help_erasure", help(Some("erasure")));
        insta::assert_snapshot!("help_admin", help(Some("admin")));
        insta::assert_snapshot!("help_replay", help(Some("replay")));
    }

    #[test]
    fn usage_errors_exit_with_2() {
        for line in [
            "impl",
            "impl sever",
            "impl server --adress :1 /d",
            "impl erasure",
            "impl erasure 16 --parity x",
            "impl admin",
            "impl admin prometheus --days 0",
        ] {
            let Err(error) = Cli::try_parse_from(line.split(' ')) else {
                panic!("{line}: parsed")
            };
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn flags_may_stand_before_the_drives_or_after() {
        for line in [
            "impl server --json --address :1 /d",
            "impl server /d --address :1 --json",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Server(args) = cli.command else {
                panic!("{line}: not a server")
            };
            let given = args.given();
            assert_eq!(
                (given.drives, given.address),
                (vec!["/d".to_owned()], Some(":1".to_owned())),
                "{line}"
            );
            assert!(given.output.json && !given.output.quiet, "{line}");
        }
    }
}
