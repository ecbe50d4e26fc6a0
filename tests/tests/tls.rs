//! TLS as clients and operators see it, with an authority of our own.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tests::{Server, clients, server::free_port};

/// A change is seen within ten seconds; a busy machine may take longer.
const RELOAD_TIME_MAX: Duration = Duration::from_secs(40);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Another name than that of what it signs, or OpenSSL takes each for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, as a file in `folder`.
    fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("authority.pem");
        fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// A pair for `names` in `folder`.
    fn issue(&self, folder: &Path, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("public.crt"), certificate.pem()).unwrap();
        fs::write(folder.join("private.key"), key.serialize_pem()).unwrap();
    }
}

/// A server with a certificate for 127.0.0.1 and one for another name.
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

#[test]
fn protocols_and_names() {
    let (server, certs) = start(&Authority::new());
    clients::run(&server, "tls.py", &["protocols"]);
    clients::run(&server, "tls.py", &["served", "s3.example"]);
    // Another authority's certificate is noticed, once it is there whole.
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
