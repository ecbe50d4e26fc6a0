//! Lost and corrupt drives: EC:2 on four drives reads through any two, and never returns wrong bytes.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tests::{
    Mounts, Server, binary, clients, damage, http,
    mounts::text,
    s3::{Client, Error},
    server::{ACCESS_KEY, SECRET_KEY},
};

fn run(server: &Server, phase: &str) {
    clients::run(server, "drives.py", &[phase]);
}

fn filled() -> Server {
    let server = Server::start(4);
    run(&server, "fill");
    run(&server, "verify");
    server
}

#[test]
fn one_drive_is_removed_under_the_running_server() {
    let server = filled();
    fs::remove_dir_all(&server.drives()[1]).unwrap();
    run(&server, "verify");
    run(&server, "work");
    run(&server, "verify");
    assert_eq!(http::status(server.port(), "GET", "/minio/health/cluster"), Some(200));
}

#[test]
fn two_drives_are_removed_under_the_running_server() {
    let server = filled();
    fs::remove_dir_all(&server.drives()[0]).unwrap();
    fs::remove_dir_all(&server.drives()[3]).unwrap();
    run(&server, "writes_refused");
    run(&server, "verify");
    run(&server, "writes_refused");
    let status = |path| http::status(server.port(), "GET", path);
    assert_eq!(status("/minio/health/live"), Some(200));
    assert_eq!(status("/minio/health/ready"), Some(200));
    assert_eq!(status("/minio/health/cluster"), Some(503));
    let answer = http::request(server.port(), "GET", "/minio/health/cluster").unwrap();
    let reason = "set 1: 2 of 4 drives serve, 3 with room are needed\n";
    assert!(answer.ends_with(reason), "{answer}");
    assert_eq!(status("/minio/health/cluster/read"), Some(200));
}

#[test]
fn two_drives_are_rotten_at_restart() {
    let mut server = filled();
    assert!(server.terminate().success());
    for drive in [0, 2] {
        let files = damage::rot(&server.drives()[drive]);
        assert!(files > 1, "nothing to rot");
    }
    server.restart_damaged();
    run(&server, "verify");
}

#[test]
fn the_indices_of_two_drives_are_rotten_at_restart() {
    let mut server = filled();
    assert!(server.terminate().success());
    for drive in [1, 3] {
        damage::rot(&server.drives()[drive].join(".minio.sys/index.redb"));
    }
    server.restart_damaged();
    run(&server, "verify");
}

/// The indices are intact, so that every read meets corrupt shards.
#[test]
fn the_shards_of_two_drives_are_rotten() {
    let server = filled();
    for drive in [1, 2] {
        assert!(damage::rot(&server.drives()[drive].join("data")) > 0, "nothing to rot");
    }
    run(&server, "verify");
    run(&server, "work");
}

#[test]
fn of_rotten_shards_on_three_drives_come_errors_or_right_bytes() {
    let server = filled();
    for drive in [0, 1, 3] {
        assert!(damage::rot(&server.drives()[drive].join("data")) > 0, "nothing to rot");
    }
    let output = clients::command(&server, "drives.py", &["verify_or_error"])
        .output()
        .unwrap();
    clients::check("drives.py", &["verify_or_error"], &output);
    // Small objects are in the indices, which are intact; larger ones are lost.
    let outcomes = String::from_utf8_lossy(&output.stdout);
    assert!(outcomes.contains("'right'") && outcomes.contains("503"), "{outcomes}");
}

#[test]
fn of_three_rotten_drives_come_errors_or_right_bytes() {
    let mut server = filled();
    assert!(server.terminate().success());
    for drive in [0, 1, 3] {
        damage::rot(&server.drives()[drive]);
    }
    server.restart_damaged();
    run(&server, "verify_or_error");
}

fn client(server: &Server) -> Client {
    Client::new(([127, 0, 0, 1], server.port()).into(), ACCESS_KEY, SECRET_KEY)
}

/// Waits until `done`, with a timeout that suffices for a busy machine.
fn eventually(server: &Server, what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "never: {what}\n{}",
            server.log()
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Starts a server on tmpfs mounts in a namespace of their own; returns `None`, and says so, where that is not allowed.
fn mounted(drives: usize, options: &str) -> Option<Server> {
    let mounts = match Mounts::new() {
        Ok(mounts) => mounts,
        Err(why) => {
            clients::tell(&format!("skipped: no mount namespace: {why}"));
            return None;
        }
    };
    let mut server = Server::prepare(drives);
    for drive in server.drives() {
        mounts.tmpfs(drive, options);
    }
    server.enter(mounts);
    server.set_variable("MINIO_PROMETHEUS_AUTH_TYPE", "public");
    server.restart();
    Some(server)
}

/// Puts and reads objects that are large enough for files of their own, until the drive at `path` is offline.
fn work_until_offline(server: &Server, path: &Path) {
    let mut client = client(server);
    let body = vec![7; 1 << 20];
    let offline = format!("drive offline drive={}", path.display());
    let mut number = 0;
    eventually(server, "the drive is offline", || {
        number += 1;
        let key = format!("k{number}");
        client.put("bucket", &key, &body).expect("three drives take it");
        assert_eq!(client.get("bucket", &key).expect("and give it"), body);
        server.log().contains(&offline)
    });
}

// `drive.opened-root`
#[test]
fn nothing_is_made_at_the_path_of_a_drive_that_was_renamed_away() {
    let server = Server::start(4);
    client(&server).create_bucket("bucket").unwrap();
    let drive = &server.drives()[1];
    let away = server.folder().join("away");
    fs::rename(drive, &away).unwrap();
    work_until_offline(&server, drive);
    assert!(!drive.exists(), "a new tree at the drive's old path");
    // Another folder takes the path: it is not the drive's.
    fs::create_dir(drive).unwrap();
    let mut client = client(&server);
    for number in 0..20 {
        client.put("bucket", &format!("n{number}"), &vec![1; 1 << 20]).unwrap();
    }
    assert_eq!(fs::read_dir(drive).unwrap().count(), 0);
}

// `drive.opened-root`
#[test]
fn nothing_is_made_on_the_file_system_below_one_that_was_lazily_unmounted() {
    let Some(server) = mounted(4, "size=200m") else {
        return;
    };
    client(&server).create_bucket("bucket").unwrap();
    let drive = &server.drives()[2];
    server.mounts().run("umount", &["--lazy", text(drive)]);
    work_until_offline(&server, drive);
    assert_eq!(
        fs::read_dir(drive).unwrap().count(),
        0,
        "a tree on the file system below"
    );
}

/// Puts objects of both kinds: in the index, and in files.
fn fill(server: &Server) {
    let mut client = client(server);
    client.create_bucket("bucket").unwrap();
    client.put("bucket", "small", b"hello").unwrap();
    client.put("bucket", "large", &vec![7; 1 << 20]).unwrap();
}

fn check_filled(server: &Server) {
    let mut client = client(server);
    assert_eq!(client.get("bucket", "small").unwrap(), b"hello");
    assert_eq!(client.get("bucket", "large").unwrap(), vec![7; 1 << 20]);
    client.put("bucket", "large", &vec![7; 1 << 20]).unwrap();
}

// `format.foreign-data`
#[test]
fn what_is_left_at_the_path_of_a_drive_that_is_gone_is_offline_alone() {
    let mut server = Server::start(4);
    fill(&server);
    assert!(server.terminate().success());
    let (drive, away) = (server.drives()[1].clone(), server.folder().join("away"));
    fs::rename(&drive, &away).unwrap();
    let shard = drive.join("data/ab/ab000000000000000000000000000000.1");
    fs::create_dir_all(shard.parent().unwrap()).unwrap();
    fs::write(&shard, "a shard").unwrap();
    server.restart();
    check_filled(&server);
    let log = server.log();
    assert!(
        log.contains("there is \"data\" and no format.json") || log.contains(r#"there is \"data\" and no format.json"#),
        "{log}"
    );
    assert_eq!(fs::read(&shard).unwrap(), b"a shard");
    assert_eq!(fs::read_dir(&drive).unwrap().count(), 1);
    // A lost format.json alone has the same effect.
    assert!(server.terminate().success());
    fs::remove_dir_all(&drive).unwrap();
    fs::rename(&away, &drive).unwrap();
    fs::rename(drive.join(".minio.sys/format.json"), &away).unwrap();
    server.restart();
    check_filled(&server);
    assert!(!drive.join(".minio.sys/format.json").exists());
}

// `format.by-identity`
#[test]
fn drives_whose_mounts_were_renumbered_serve_in_their_own_places() {
    let mut server = Server::start(4);
    fill(&server);
    assert!(server.terminate().success());
    let drives = server.drives().to_vec();
    let away = server.folder().join("away");
    fs::rename(&drives[0], &away).unwrap();
    fs::rename(&drives[2], &drives[0]).unwrap();
    fs::rename(&away, &drives[2]).unwrap();
    server.restart();
    assert!(
        server.log().contains("the drive is used at its own place"),
        "{}",
        server.log()
    );
    check_filled(&server);
    // Reads now need both renumbered drives.
    fs::remove_dir_all(&drives[1]).unwrap();
    fs::remove_dir_all(&drives[3]).unwrap();
    assert_eq!(client(&server).get("bucket", "large").unwrap(), vec![7; 1 << 20]);
}

// `format.topology`
#[test]
fn a_drive_of_another_deployment_is_refused_by_name() {
    let (mut server, mut other) = (Server::start(4), Server::start(4));
    fill(&server);
    assert!(server.terminate().success() && other.terminate().success());
    fs::rename(&server.drives()[3], server.folder().join("away")).unwrap();
    fs::rename(&other.drives()[3], &server.drives()[3]).unwrap();
    server.restart();
    check_filled(&server);
    assert!(server.log().contains("it is of deployment "), "{}", server.log());
}

/// Returns the output of `impl admin info`.
fn admin_info(server: &Server) -> String {
    let mut command = Command::new(binary());
    command.args(["admin", "info", "--endpoint", &server.endpoint()]);
    command
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY);
    String::from_utf8_lossy(&command.output().expect("it runs").stdout).into_owned()
}

/// Waits until all four drives serve.
fn until_whole(server: &Server) {
    eventually(server, "all drives serve", || {
        admin_info(server).contains("4 of 4 online")
    });
}

// `drive.reopened`
#[test]
fn a_drive_that_is_back_serves_without_a_restart() {
    let server = Server::start(4);
    fill(&server);
    let (drive, away) = (server.drives()[1].clone(), server.folder().join("away"));
    fs::rename(&drive, &away).unwrap();
    work_until_offline(&server, &drive);
    fs::rename(&away, &drive).unwrap();
    until_whole(&server);
    // The drive that came back counts: with another one gone, writes need it.
    fs::remove_dir_all(&server.drives()[0]).unwrap();
    check_filled(&server);
    let log = server.log();
    assert!(log.contains("drive online: it was opened anew"), "{log}");
}

/// Starts a server on ext4 images, mounted as if each drive were a device of its own.
fn on_images(drives: usize) -> Option<Server> {
    let mounts = Mounts::new().map_err(|why| clients::tell(&format!("skipped: no mount namespace: {why}")));
    let (mounts, mut server) = (mounts.ok()?, Server::prepare(drives));
    for drive in server.drives() {
        let image = drive.with_extension("img");
        fs::File::create(&image).unwrap().set_len(128 << 20).unwrap();
        mounts.run("mkfs.ext4", &["-q", "-F", text(&image)]);
        let mounted = mounts.output("mount", &["-o", "loop", text(&image), text(drive)]);
        if !mounted.status.success() {
            let error = String::from_utf8_lossy(&mounted.stderr).into_owned();
            clients::tell(&format!("skipped: no loop mount: {error}"));
            return None;
        }
    }
    server.enter(mounts);
    server.restart();
    Some(server)
}

// `drive.releases`, `drive.reopened`
#[test]
fn a_failed_drive_can_be_unmounted_and_mounted_again() {
    let Some(server) = on_images(4) else { return };
    fill(&server);
    let drive = server.drives()[1].clone();
    let system = server.mounts().see(&drive).join(".minio.sys");
    // Fails the drive while its file system stays mounted.
    fs::rename(&system, system.with_file_name("hidden")).unwrap();
    work_until_offline(&server, &drive);
    fs::rename(system.with_file_name("hidden"), &system).unwrap();
    // Hides the drive's own folder, so that it is not opened again before it is unmounted.
    until_whole(&server);
    fs::rename(&system, system.with_file_name("hidden")).unwrap();
    work_until_offline(&server, &drive);
    eventually(&server, "it can be unmounted", || {
        server.mounts().output("umount", &[text(&drive)]).status.success()
    });
    let image = drive.with_extension("img");
    server
        .mounts()
        .run("mount", &["-o", "loop", text(&image), text(&drive)]);
    let system = server.mounts().see(&drive).join(".minio.sys");
    fs::rename(system.with_file_name("hidden"), &system).unwrap();
    until_whole(&server);
    check_filled(&server);
}

/// Drive with a frozen file system, until dropped: writes block, and a process in such a write cannot be killed.
struct Frozen<'a> {
    server: &'a Server,
    drive: PathBuf,
}

impl<'a> Frozen<'a> {
    fn new(server: &'a Server, drive: PathBuf) -> Frozen<'a> {
        server.mounts().run("fsfreeze", &["--freeze", text(&drive)]);
        Frozen { server, drive }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.server
            .mounts()
            .output("fsfreeze", &["--unfreeze", text(&self.drive)]);
    }
}

#[test]
fn a_call_that_hangs_in_the_kernel_is_named() {
    let Some(server) = on_images(4) else { return };
    fill(&server);
    let drive = server.drives()[2].clone();
    let frozen = Frozen::new(&server, drive.clone());
    let mut client = client(&server);
    let put = client.put("bucket", "k", &vec![1; 1 << 20]);
    let mut info = String::new();
    eventually(&server, "the call is named", || {
        info = admin_info(&server);
        info.contains("has not returned for")
    });
    drop(frozen);
    put.expect("three drives take it");
    assert!(info.contains(text(&drive)), "{info}");
    eventually(&server, "it goes on", || {
        !admin_info(&server).contains("has not returned for")
    });
    until_whole(&server);
}

/// Puts objects of `bytes` until one is refused because the drives are full; returns the number of objects.
fn fill_up(server: &Server, bytes: usize) -> usize {
    let mut client = client(server);
    let body = vec![7; bytes];
    for number in 0..2000 {
        if let Err(error) = client.put("bucket", &format!("k{number}"), &body) {
            check_full::<()>(Err(error));
            return number;
        }
    }
    panic!("the drives are never full");
}

fn check_full<T: std::fmt::Debug>(refused: Result<T, Error>) {
    let error = refused.expect_err("the drives are full");
    let full = (error.status(), error.code().as_deref() == Some("XMinioStorageFull"));
    assert_eq!(full, (Some(507), true), "{error}");
}

/// Checks that full drives refuse writes as such, and log it once; they take deletes, and then objects again.
fn check_full_drives(server: &Server, objects: usize) {
    let mut client = client(server);
    eventually(server, "all drives are full", || {
        admin_info(server).matches("ok: full").count() == 4
    });
    for _ in 0..10 {
        for bytes in [0, 1, 100_000, 1 << 20] {
            check_full(client.put("bucket", "refused", &vec![1; bytes]));
        }
    }
    check_full(client.create_bucket("other"));
    let upload = client.request("POST", "/bucket/upload", &[("uploads", "")], &[], b"");
    assert_eq!(upload.unwrap().status, 507);
    let status = |path| http::status(server.port(), "GET", path);
    assert_eq!(status("/minio/health/cluster"), Some(503));
    let metrics = http::request(server.port(), "GET", "/minio/v2/metrics/node").unwrap();
    let full = metrics.lines().filter(|line| line.starts_with("impl_node_drive_full{"));
    assert_eq!(full.filter(|line| line.ends_with(" 1")).count(), 4, "{metrics}");
    assert_eq!(
        metrics.matches("\nminio_node_drive_free_inodes{").count(),
        4,
        "{metrics}"
    );
    for number in 0..objects {
        client.delete("bucket", &format!("k{number}")).unwrap();
    }
    eventually(server, "they have room", || !admin_info(server).contains("ok: full"));
    client.put("bucket", "taken", &vec![1; 100_000]).unwrap();
    let log = server.log();
    for drive in server.drives() {
        let lines = |what: &str| {
            log.lines()
                .filter(|line| line.contains(what) && line.contains(text(drive)))
                .count()
        };
        assert_eq!((lines("drive full"), lines("has room again")), (1, 1), "{log}");
    }
    assert!(!log.contains("request failed"), "{log}");
}

// `drive.full-is-a-state`
#[test]
fn every_write_that_full_drives_refuse_is_507_and_deletes_go_on() {
    let Some(server) = mounted(4, "size=48m") else { return };
    client(&server).create_bucket("bucket").unwrap();
    let objects = fill_up(&server, 1 << 20);
    check_full_drives(&server, objects);
}

// `drive.full-is-a-state`
#[test]
fn drives_without_inodes_are_full() {
    let Some(server) = mounted(4, "size=200m,nr_inodes=800") else {
        return;
    };
    client(&server).create_bucket("bucket").unwrap();
    let objects = fill_up(&server, 100_000);
    check_full_drives(&server, objects);
}
