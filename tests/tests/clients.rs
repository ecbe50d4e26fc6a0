//! Popular S3 clients, each with a workload and a server of its own; `docs/clients.md` tells how to configure them.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use std::{fs, path::Path};
use tests::{Server, clients, server::workspace};

/// Runs a workload that needs an empty folder.
fn run_in_folder(script: &str) {
    let server = Server::start(4);
    let folder = server.folder().join("files");
    fs::create_dir(&folder).unwrap();
    clients::run(&server, script, &[folder.to_str().unwrap()]);
}

#[test]
fn rclone() {
    run_in_folder("rclone.sh");
}

/// Skipped where the host does not allow mounts, as in many containers.
#[test]
fn rclone_mount() {
    let has_fuse = fs::OpenOptions::new().write(true).open("/dev/fuse").is_ok();
    if !has_fuse {
        clients::tell("skipped: rclone's mount, for /dev/fuse cannot be opened\n");
    } else if clients::installed("fuse") {
        run_in_folder("mount.sh");
    }
}

#[test]
fn s3cmd() {
    run_in_folder("s3cmd.sh");
}

#[test]
fn restic() {
    if clients::installed("restic") {
        run_in_folder("restic.sh");
    }
}

#[test]
fn minio_py() {
    run_in_folder("minio_py.py");
}

#[test]
fn minio_go() {
    if clients::installed("go") {
        clients::run(&Server::start(4), "minio_go", &[]);
    }
}

#[test]
fn mc() {
    if clients::installed("mc") {
        run_in_folder("mc.sh");
    }
}

#[test]
fn aws_sdk_for_go() {
    if clients::installed("go") {
        clients::run(&Server::start(4), "aws_sdk", &[]);
    }
}

#[test]
fn aws_sdk_for_javascript() {
    if clients::installed("js") {
        clients::run(&Server::start(4), "aws_sdk.js", &[]);
    }
}

/// Two versions of boto3 that handle `100 Continue` differently.
#[test]
fn boto3_new_and_old() {
    let server = Server::start(4);
    clients::run(&server, "expect.py", &[]);
    clients::run_with_old_boto3(&server, "expect.py");
}

#[test]
fn pyarrow() {
    clients::run(&Server::start(4), "lake.py", &["pyarrow"]);
}

#[test]
fn polars() {
    clients::run(&Server::start(4), "lake.py", &["polars"]);
}

#[test]
fn deltalake() {
    clients::run(&Server::start(4), "lake.py", &["deltalake"]);
}

/// The configuration in `docs/clients.md` is that of the workloads: every block of code is, line for line, in the file
/// that the line above it names.
#[test]
fn the_page_shows_what_is_tested() {
    let page = fs::read_to_string(workspace().join("docs/clients.md")).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.len() >= 10, "{} blocks", blocks.len());
    for (file, block) in blocks {
        let source = fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(
            dedented(&source).contains(&dedented(&block)),
            "{file} does not contain this block of docs/clients.md:\n{block}"
        );
    }
}

/// Returns the fenced blocks of a page, each with the path in backticks on the last line before it.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let (mut found, mut file, mut block) = (Vec::new(), "", None::<String>);
    for line in page.lines() {
        match (&mut block, line.starts_with("```")) {
            (None, true) => block = Some(String::new()),
            (None, false) if line.is_empty() => {}
            (None, false) => {
                file = line
                    .split('`')
                    .find(|name| name.starts_with("tests/"))
                    .unwrap_or_default()
            }
            (Some(_), true) => found.extend(block.take().map(|block| (file, block))),
            (Some(block), false) => *block += &format!("{line}\n"),
        }
    }
    found
}

/// Strips the indentation of each line.
fn dedented(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim())).collect()
}

#[test]
fn blocks_of_a_page() {
    let page = "A client, in `tests/py/client.py` (`x`):\n\n```python\na(\n    b\n)\n```\nEnd.\n";
    assert_eq!(blocks(page), [("tests/py/client.py", "a(\n    b\n)\n".to_owned())]);
    assert!(Path::new(blocks(page)[0].0).is_relative());
}
