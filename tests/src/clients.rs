//! boto3 and the aws cli, in a virtual environment of the workspace.

use crate::server::{ACCESS_KEY, SECRET_KEY, Server, workspace};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// The folder of the clients; installs them if they are missing.
fn clients() -> &'static Path {
    static CLIENTS: OnceLock<PathBuf> = OnceLock::new();
    CLIENTS.get_or_init(|| {
        let script = workspace().join("scripts/install-clients.sh");
        let output = Command::new(script).output().expect("the script runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

fn configure(command: &mut Command) {
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{}:{path}", clients().join("bin").display()))
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        // Whatever the machine has configured must not count.
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1");
}

/// `tests/py/<script> ENDPOINT ARGUMENTS…` for a server, to be run.
#[must_use]
pub fn command(server: &Server, script: &str, arguments: &[&str]) -> Command {
    let path = workspace().join("tests/py").join(script);
    let mut command = match path.extension() {
        Some(extension) if extension == "py" => {
            let mut python = Command::new(clients().join("bin/python"));
            python.arg(path);
            python
        }
        _ => Command::new(path),
    };
    command.arg(server.endpoint()).args(arguments);
    configure(&mut command);
    if let Some(authority) = server.authority() {
        // boto3 and the aws cli, Python itself, and curl.
        for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"] {
            command.env(name, authority);
        }
    }
    command
}

/// Runs a script against a server and fails the test if it fails.
pub fn run(server: &Server, script: &str, arguments: &[&str]) {
    let output = command(server, script, arguments).output().expect("the script runs");
    check(script, arguments, &output);
}

/// Fails the test if a script has failed.
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
