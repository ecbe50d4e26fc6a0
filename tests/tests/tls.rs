//! TLS as clients and operators see it, with a private certificate authority.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tests::{
    Server, binary, clients,
    server::{ACCESS_KEY, SECRET_KEY, free_port},
};

/// Time limit for a reload of certificates, which takes up to ten seconds and longer on a busy machine.
const RELOAD_TIME_MAX: Duration = Duration::from_secs(40);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // The issuer's name must differ from the subject's, or OpenSSL takes each certificate for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes the authority's certificate to a file in `folder`.
    fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("authority.pem");
        fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// Issues a certificate for `names` in `folder`.
    fn issue(&self, folder: &Path, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("public.crt"), certificate.pem()).unwrap();
        fs::write(folder.join("private.key"), key.serialize_pem()).unwrap();
    }
}

/// Starts a server with a certificate for 127.0.0.1 and one for another name.
fn start(authority: &Authority) -> (Server, PathBuf) {
    let mut server = Server::prepare(4);
    let certs = server.folder().join("certs");
    authority.issue(&certs, &["127.0.0.1", "localhost"]);
    authority.issue(&certs.join("s3.example"), &["s3.example"]);
    let file = authority.write(server.folder());
    server.use_certificates(&certs, file);
    server.restart();
    (server, certs)
}

#[test]
fn clients_over_https() {
    let (server, _) = start(&Authority::new());
    clients::run(
        &server,
        "conformance.py",
        &[
            "test_round_trip",
            "test_multipart",
            "test_listing",
            "test_presigned",
            "test_errors",
            "test_health",
        ],
    );
    let files = server.folder().join("files");
    fs::create_dir(&files).unwrap();
    clients::run(&server, "aws.sh", &[files.to_str().unwrap()]);
    assert!(server.log().contains("https://127.0.0.1:"), "{}", server.log());
}

/// Clients that `docs/clients.md` names for TLS: with a private authority, and only the endpoint changed.
#[test]
fn more_clients_over_https() {
    let authority = Authority::new();
    let (server, _) = start(&authority);
    let folder = |name: &str| {
        let folder = server.folder().join(name);
        fs::create_dir(&folder).unwrap();
        folder.to_str().unwrap().to_owned()
    };
    clients::run(&server, "rclone.sh", &[&folder("rclone")]);
    if clients::installed("restic") {
        clients::run(&server, "restic.sh", &[&folder("restic")]);
    }
    // One server for each, as their buckets have the same names.
    for (part, workload) in [("js", "aws_sdk.js"), ("go", "aws_sdk")] {
        if clients::installed(part) {
            clients::run(&start(&authority).0, workload, &[]);
        }
    }
}

/// Like `clients_that_stand_still` of `limits.rs`, but over TLS records.
#[test]
fn clients_that_stand_still_over_https() {
    let mut server = Server::prepare(1);
    let certs = server.folder().join("certs");
    let authority = Authority::new();
    authority.issue(&certs, &["127.0.0.1"]);
    let file = authority.write(server.folder());
    server.use_certificates(&certs, file);
    server.set_variable("MINIO_IDLE_TIMEOUT", "2s");
    server.add_arguments(&["--read-header-timeout", "1s"]);
    server.restart();
    clients::run(&server, "timeouts.py", &["2", "1"]);
}

#[test]
fn protocols_and_names() {
    let (server, certs) = start(&Authority::new());
    clients::run(&server, "tls.py", &["protocols"]);
    clients::run(&server, "tls.py", &["served", "s3.example"]);
    // A new certificate, of another authority, is loaded once its files are complete.
    let serial = |name: &str| {
        let output = clients::command(&server, "tls.py", &["serial", name]).output().unwrap();
        clients::check("tls.py", &["serial"], &output);
        String::from_utf8(output.stdout).unwrap()
    };
    let before = serial("127.0.0.1");
    fs::write(certs.join("private.key"), "no key").unwrap();
    let started = Instant::now();
    while !server.log().contains("no private key in it") {
        assert!(started.elapsed() < RELOAD_TIME_MAX, "{}", server.log());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(serial("127.0.0.1"), before, "a bad pair changes nothing");
    Authority::new().issue(&certs, &["127.0.0.1"]);
    while serial("127.0.0.1") == before {
        assert!(started.elapsed() < 2 * RELOAD_TIME_MAX, "{}", server.log());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(server.log().matches("no private key in it").count(), 1);
}

/// Runs `impl admin …` on the host of `server`, with its home folder.
fn admin(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("admin").args(arguments).env_remove("SSL_CERT_FILE");
    command
        .env("HOME", server.folder())
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
        .env_remove("MINIO_SITE_REGION");
    command.output().expect("it runs")
}

#[test]
fn the_admin_client_over_https() {
    let authority = Authority::new();
    let (server, _) = start(&authority);
    let endpoint = server.endpoint();
    let info = |more: &[&str]| admin(&server, &[&["info", "--endpoint", &endpoint], more].concat());
    let shown = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("State      online"),
            "{output:?}"
        );
    };
    let error = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{output:?}");
        text
    };

    let folder = server.folder().join("client");
    fs::create_dir_all(folder.join("CAs")).unwrap();
    let with_folder = ["--certs-dir", folder.to_str().unwrap()];
    for arguments in [&[][..], &with_folder] {
        let said = error(&info(arguments));
        let expected = format!("error: {endpoint}: no authority that is trusted has signed its certificate: put ");
        assert!(said.starts_with(&expected), "{said}");
        assert!(
            said.contains("CAs/ of --certs-dir, or accept any with --insecure"),
            "{said}"
        );
    }
    shown(&info(&["--insecure"]));
    authority.write(&folder.join("CAs"));
    shown(&info(&with_folder));
    let json = info(&[&with_folder[..], &["--json"]].concat());
    assert!(
        serde_json::from_slice::<serde_json::Value>(&json.stdout).is_ok(),
        "{json:?}"
    );
    error(&info(&[]));
    let home = server.folder().join(".minio/certs/CAs");
    fs::create_dir_all(&home).unwrap();
    authority.write(&home);
    shown(&info(&[]));

    // Requests with the wrong protocol, in both directions.
    let plain = Server::start(1);
    let said = error(&admin(
        &plain,
        &["info", "--endpoint", &plain.endpoint().replace("http:", "https:")],
    ));
    assert!(said.ends_with("it does not speak TLS there: try http://\n"), "{said}");
    let said = error(&admin(
        &server,
        &["info", "--endpoint", &endpoint.replace("https:", "http:")],
    ));
    assert!(said.contains("https://"), "{said}");

    let scrape = |more: &[&str]| {
        let output = admin(&server, &[&["prometheus", "--endpoint", &endpoint], more].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let checked = scrape(&[]);
    assert!(checked.contains("  scheme: https\n  static_configs:\n"), "{checked}");
    let unchecked = scrape(&["--insecure"]);
    let expected = "  scheme: https\n  tls_config:\n    insecure_skip_verify: true\n  static_configs:\n";
    assert!(unchecked.contains(expected), "{unchecked}");
}

#[test]
fn a_bad_pair_at_the_start_is_one_error() {
    let mut server = Server::prepare(1);
    let certs = server.folder().join("certs");
    let authority = Authority::new();
    authority.issue(&certs, &["localhost"]);
    fs::remove_file(certs.join("private.key")).unwrap();
    let file = authority.write(server.folder());
    server.use_certificates(&certs, file);
    let mut command: Command = server.command(free_port());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let key = certs.join("private.key");
    assert_eq!(
        said.lines().last().unwrap(),
        format!("error: {} is missing, but public.crt is there", key.display())
    );
}
