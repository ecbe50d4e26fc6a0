//! Clients that `scripts/install-clients.sh` installs, and the workloads in `tests/py`, `tests/sh`, `tests/js` and
//! `tests/go` that they run against a server.

use crate::server::{ACCESS_KEY, SECRET_KEY, Server, workspace};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// Returns the folder of the clients; installs them if they are missing.
fn clients() -> &'static Path {
    static CLIENTS: OnceLock<PathBuf> = OnceLock::new();
    CLIENTS.get_or_init(|| {
        let script = workspace().join("scripts/install-clients.sh");
        let output = Command::new(script).output().expect("the script runs");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{messages}");
        tell(&messages);
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// Returns whether the named group of clients could be installed. If not, says so even where the output of passing
/// tests is captured.
///
/// # Panics
/// If it could not, and `REQUIRE_CLIENTS` is set.
#[must_use]
pub fn installed(part: &str) -> bool {
    let installed = clients().join(format!("{part}.installed")).exists();
    if !installed {
        assert!(
            std::env::var_os("REQUIRE_CLIENTS").is_none(),
            "the clients of the part {part} are not installed"
        );
        tell(&format!("skipped: the clients of the part {part} are not installed\n"));
    }
    installed
}

/// Writes to standard error, bypassing the capture of the test harness.
pub fn tell(message: &str) {
    // Without standard error there is no reader to miss it.
    let _ = std::io::stderr().write_all(message.as_bytes());
}

fn configure(command: &mut Command) {
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{}:{path}", clients().join("bin").display()))
        .env("NODE_PATH", clients().join("js/node_modules"))
        .env("NODE_NO_WARNINGS", "1")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        // Isolates the clients from the machine's own configuration.
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1");
}

/// Returns the command of a workload, `<script> ENDPOINT ARGUMENTS…`. A name without extension is a program of
/// `tests/go`.
#[must_use]
pub fn command(server: &Server, script: &str, arguments: &[&str]) -> Command {
    let mut command = command_at(&[server.endpoint()], script, arguments);
    if let Some(authority) = server.authority() {
        // In this order for boto3 and the aws cli, Python and Go, curl, and Node, as `docs/clients.md` says.
        for name in [
            "AWS_CA_BUNDLE",
            "SSL_CERT_FILE",
            "CURL_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS",
        ] {
            command.env(name, authority);
        }
    }
    command
}

/// Returns the command of a workload against several nodes, `<script> ENDPOINTS… ARGUMENTS…`.
#[must_use]
pub fn command_at(endpoints: &[String], script: &str, arguments: &[&str]) -> Command {
    let source = |folder: &str| workspace().join(folder).join(script);
    let mut command = match Path::new(script).extension().and_then(|extension| extension.to_str()) {
        Some("py") => {
            let mut python = Command::new(clients().join("bin/python"));
            python.arg(source("tests/py"));
            python
        }
        Some("js") => {
            let mut node = Command::new("node");
            node.arg(source("tests/js"));
            node
        }
        Some(_) => Command::new(source("tests/sh")),
        None => Command::new(clients().join("bin").join(script)),
    };
    command.args(endpoints).args(arguments);
    configure(&mut command);
    command
}

/// Returns the command of a workload in Python with the older boto3, `<script> ENDPOINTS… ARGUMENTS…`.
#[must_use]
pub fn command_with_old_boto3(endpoints: &[String], script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(clients().join("boto3-old/bin/python"));
    command
        .arg(workspace().join("tests/py").join(script))
        .args(endpoints)
        .args(arguments);
    configure(&mut command);
    command
}

/// Runs a workload in Python with the older boto3 and fails the test if it fails.
pub fn run_with_old_boto3(server: &Server, script: &str) {
    let mut command = command_with_old_boto3(&[server.endpoint()], script, &[]);
    let output = command.output().expect("the script runs");
    check(script, &["boto3-old"], &output);
}

/// Runs a workload against a server and fails the test if it fails.
pub fn run(server: &Server, script: &str, arguments: &[&str]) {
    let output = command(server, script, arguments).output().expect("the script runs");
    check(script, arguments, &output);
}

/// Fails the test if a workload has failed.
pub fn check(script: &str, arguments: &[&str], output: &Output) {
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{script} {arguments:?}:\n{stdout}");
    assert!(
        output.status.success(),
        "{script} {arguments:?} failed:\n{stdout}\n{stderr}"
    );
}
