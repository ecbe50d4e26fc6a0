//! Command line of the binary as scripts see it: exit codes, standard output and standard error.

use std::process::{Command, Output};

fn run(line: &str, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(crate::BINARY);
    // Isolates the test from the machine's environment.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("MINIO_") || name.starts_with("IMPL_PEER_") {
            command.env_remove(&*name);
        }
    }
    command.env("RUST_LOG", "off").envs(env.iter().copied());
    command.args(line.split_whitespace()).output().expect("the binary runs")
}

/// Checks that a command exits with `code`, with `error` as one line on standard error and nothing on standard output.
fn check_fails(line: &str, env: &[(&str, &str)], code: i32, error: &str) {
    let output = run(line, env);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
    assert!(output.stdout.is_empty(), "{line}");
    assert!(stderr.starts_with(&format!("error: {error}")), "{line}: {stderr}");
    if code == 1 {
        assert_eq!(stderr.lines().count(), 1, "{line}: {stderr}");
    }
}

#[test]
fn errors_are_one_line_and_exit_with_1() {
    check_fails("server", &[], 1, "no drives given");
    check_fails("server /a /b", &[], 1, "2 drives are too few");
    check_fails(
        "server http://h{1...4}/d",
        &[],
        1,
        "everybody knows the default root user minioadmin",
    );
    check_fails("server http://h/d{1...4}", &[], 1, "all URLs are of one node, h:9000;");
    check_fails("server /a{1...4} /b{1...4}", &[], 1, "2 pools given");
    check_fails(
        "server /a",
        &[("MINIO_ROOT_USER", "admin")],
        1,
        "MINIO_ROOT_USER is set but MINIO_ROOT_PASSWORD",
    );
    check_fails("server /a", &[("MINIO_VOLUMES", "/b /c /d")], 1, "3 drives are too few");
    check_fails("server /a --address 9000", &[], 1, "--address 9000: expected HOST:PORT");
    check_fails(
        "server /a",
        &[("MINIO_STORAGE_CLASS_STANDARD", "EC:x")],
        1,
        "MINIO_STORAGE_CLASS_STANDARD=EC:x",
    );
    check_fails("erasure 19", &[], 1, "19 drives cannot be divided");
    check_fails("erasure 16 --parity 9", &[], 1, "--parity: parity 9 is too high");
}

#[test]
fn usage_errors_exit_with_2() {
    check_fails("sever", &[], 2, "unrecognized subcommand");
    check_fails("server --adress :1 /a", &[], 2, "unexpected argument");
    check_fails("erasure 16 --parity x", &[], 2, "invalid value");
    check_fails("erasure 16 --all --parity 4", &[], 2, "the argument");
}

#[test]
fn answers_go_to_standard_output_and_exit_with_0() {
    for (line, begins) in [
        ("erasure 16", "16 drives: 1 set × 16\n"),
        ("erasure 16 --json", "{\n  \"pools\""),
        ("--version", "impl "),
        ("server --help", "Store objects on drives"),
    ] {
        let output = run(line, &[]);
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(begins), "{line}");
        assert!(output.stderr.is_empty(), "{line}");
    }
}

#[test]
fn a_server_that_is_not_there_is_one_line() {
    // No server listens on port 1 of this host.
    check_fails(
        "admin info --endpoint http://127.0.0.1:1",
        &[],
        1,
        "http://127.0.0.1:1: cannot connect: ",
    );
    check_fails(
        "admin info --endpoint https://127.0.0.1:1",
        &[],
        1,
        "https://127.0.0.1:1: cannot connect: ",
    );
    check_fails(
        "admin info",
        &[("MINIO_ROOT_USER", "root")],
        1,
        "MINIO_ROOT_USER is set but MINIO_ROOT_PASSWORD is not: set both, or neither",
    );
}
