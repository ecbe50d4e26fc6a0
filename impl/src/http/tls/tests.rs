#![allow(clippy::disallowed_methods, reason = "certificates are files of the host")]

use super::*;
use crate::runtime::real::RealRuntime;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::fs;
use tokio_rustls::TlsConnector;

/// Certificate authority, and a folder of certificates that it has signed.
struct Fixture {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
    rt: Rt,
}

impl Fixture {
    fn new() -> Fixture {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Fixture {
            authority: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            rt: RealRuntime::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a new certificate and key for `names`, as PEM.
    fn pair(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.authority)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a new certificate and key into a folder.
    fn put(&self, folder: &str, names: &[&str]) {
        let (certificate, key) = self.pair(names);
        let folder = self.path(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("public.crt"), certificate).unwrap();
        fs::write(folder.join("private.key"), key).unwrap();
    }

    async fn load(&self) -> Result<Option<Arc<Tls>>, String> {
        let loaded = Tls::load(&self.rt, self.folder.path()).await;
        loaded.map_err(|error| {
            error
                .to_string()
                .replace(&self.folder.path().display().to_string(), "…")
        })
    }

    async fn served(&self) -> Arc<Tls> {
        self.load().await.unwrap().unwrap()
    }

    /// Connects a client that trusts the authority; returns the negotiated protocol.
    async fn shake(&self, tls: &Arc<Tls>, name: &str, protocols: &[&str]) -> Result<Option<Vec<u8>>, String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(tls.provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (client, server) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let (client, server) = tokio::join!(connector.connect(name, client), tls.accept(server));
        let client = client.map_err(|error| error.to_string())?;
        server.map_err(|error| error.to_string())?;
        Ok(client.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    }
}

#[tokio::test]
async fn clients_choose_the_protocol() {
    let fixture = Fixture::new();
    fixture.put("", &["localhost", "127.0.0.1"]);
    let tls = fixture.served().await;
    let agreed = |name, protocols| fixture.shake(&tls, name, protocols);
    assert_eq!(agreed("localhost", &["h2", "http/1.1"]).await, Ok(Some(b"h2".to_vec())));
    assert_eq!(agreed("127.0.0.1", &["http/1.1"]).await, Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(agreed("localhost", &[]).await, Ok(None));
    assert!(agreed("elsewhere.example", &[]).await.is_err());
}

#[tokio::test]
async fn further_names_have_their_own_certificates() {
    let fixture = Fixture::new();
    fixture.put("", &["s3.example"]);
    fixture.put("other.example", &["other.example"]);
    fixture.put("buckets", &["*.s3.example"]);
    fixture.put("CAs", &["nobody.example"]);
    fs::remove_file(fixture.path("CAs/private.key")).unwrap();
    let tls = fixture.served().await;
    for name in ["s3.example", "other.example", "photos.s3.example"] {
        assert_eq!(fixture.shake(&tls, name, &[]).await, Ok(None), "{name}");
    }
    for name in ["nobody.example", "a.b.s3.example", "unknown.example"] {
        assert!(fixture.shake(&tls, name, &[]).await.is_err(), "{name}");
    }
    assert_eq!(tls.serving.pairs().len(), 3, "what is in CAs/ is not served");
}

#[tokio::test]
async fn without_certificates_it_is_plain_http() {
    let fixture = Fixture::new();
    assert!(fixture.load().await.unwrap().is_none());
    assert!(Tls::load(&fixture.rt, &fixture.path("none")).await.unwrap().is_none());
    fs::create_dir(fixture.path("CAs")).unwrap();
    assert!(fixture.load().await.unwrap().is_none());
}

#[tokio::test]
async fn a_bad_pair_is_one_error_that_names_the_file() {
    let fixture = Fixture::new();
    let (certificate, key) = fixture.pair(&["localhost"]);
    let (_, other_key) = fixture.pair(&["localhost"]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (certificate, key, expected) in [
        (
            None,
            Some(&key[..]),
            "…/public.crt is missing, but private.key is there",
        ),
        (
            Some(&certificate[..]),
            None,
            "…/private.key is missing, but public.crt is there",
        ),
        (
            Some("x"),
            Some(&key),
            "…/public.crt: no certificate in it (PEM is expected)",
        ),
        (
            Some(&key),
            Some(&key),
            "…/public.crt: no certificate in it (PEM is expected)",
        ),
        (
            Some(&certificate),
            Some("x"),
            "…/private.key: no private key in it (PEM is expected)",
        ),
        (
            Some(&certificate),
            Some(&other_key),
            "…/private.key is not the key of public.crt beside it",
        ),
        (
            Some(&certificate),
            Some(encrypted),
            "…/private.key: the key is encrypted; that is not supported",
        ),
        (Some(&certificate[..60]), Some(&key), "…/public.crt: no PEM: "),
    ] {
        for (name, text) in [("public.crt", certificate), ("private.key", key)] {
            match text {
                Some(text) => fs::write(fixture.path(name), text).unwrap(),
                None => drop(fs::remove_file(fixture.path(name))),
            }
        }
        let error = fixture.load().await.unwrap_err();
        assert!(error.starts_with(expected), "{error}, expected {expected}");
    }
    fixture.put("", &["localhost"]);
    fs::create_dir(fixture.path("CAs")).unwrap();
    fs::write(fixture.path("CAs/ca.crt"), "x").unwrap();
    let error = fixture.load().await.unwrap_err();
    assert_eq!(error, "…/CAs/ca.crt: no certificate in it (PEM is expected)");
}

#[tokio::test]
async fn the_days_that_are_left_of_each_certificate_are_known() {
    let fixture = Fixture::new();
    fixture.put("", &["localhost"]);
    fixture.put("old.example", &["old.example"]);
    let key = KeyPair::generate().unwrap();
    let now_seconds = i64::try_from(fixture.rt.wall_nanos() / 1_000_000_000).unwrap();
    let mut soon = CertificateParams::new(vec!["old.example".to_owned()]).unwrap();
    soon.not_after = time::OffsetDateTime::from_unix_timestamp(now_seconds + 7 * 86_400 - 3600).unwrap();
    let soon = soon.signed_by(&key, &fixture.authority).unwrap();
    fs::write(fixture.path("old.example/public.crt"), soon.pem()).unwrap();
    fs::write(fixture.path("old.example/private.key"), key.serialize_pem()).unwrap();
    let tls = fixture.served().await;
    let days = tls.days_left();
    assert_eq!(days[0].0, "public.crt");
    assert!(days[0].1 > 365, "{days:?}");
    assert_eq!(days[1..], [("old.example/public.crt".to_owned(), 6)]);
    let mut told = BTreeMap::new();
    tls.warn_of_expiry(&mut told);
    assert_eq!(told, BTreeMap::from([("old.example/public.crt".to_owned(), 7)]));
}

#[tokio::test]
async fn a_further_name_needs_a_default() {
    let fixture = Fixture::new();
    fixture.put("other.example", &["other.example"]);
    let error = fixture.load().await.unwrap_err();
    assert!(error.starts_with("…: neither public.crt nor private.key"), "{error}");
}

#[tokio::test]
async fn new_certificates_are_taken_over_and_bad_ones_are_not() {
    let fixture = Fixture::new();
    fixture.put("", &["old.example"]);
    let tls = fixture.served().await;
    let mut told = BTreeMap::new();
    let works = async |name| fixture.shake(&tls, name, &[]).await.is_ok();
    fixture.put("", &["new.example"]);
    assert!(works("old.example").await);
    tls.reload(&mut told).await;
    assert!(works("new.example").await && !works("old.example").await);
    assert!(told.is_empty());

    // Half of a renewal: the key is still the old one.
    let (certificate, key) = fixture.pair(&["third.example"]);
    fs::write(fixture.path("public.crt"), certificate).unwrap();
    tls.reload(&mut told).await;
    tls.reload(&mut told).await;
    assert!(works("new.example").await);
    assert_eq!(told.len(), 1, "{told:?}");
    fs::write(fixture.path("private.key"), key).unwrap();
    tls.reload(&mut told).await;
    assert!(works("third.example").await && told.is_empty());

    // Another name is added and removed, although a certificate beside it is invalid.
    fixture.put("more.example", &["more.example"]);
    fixture.put("bad.example", &["bad.example"]);
    fs::write(fixture.path("bad.example/private.key"), "x").unwrap();
    tls.reload(&mut told).await;
    assert!(works("more.example").await && !works("bad.example").await);
    fs::remove_dir_all(fixture.path("more.example")).unwrap();
    tls.reload(&mut told).await;
    assert!(!works("more.example").await);

    // The default certificate is never dropped: the server would speak no TLS to its clients.
    fs::remove_file(fixture.path("public.crt")).unwrap();
    fs::remove_file(fixture.path("private.key")).unwrap();
    tls.reload(&mut told).await;
    assert!(works("third.example").await && told.len() == 2);
    fs::remove_dir_all(fixture.folder.path()).unwrap();
    tls.reload(&mut told).await;
    assert!(works("third.example").await);
}

/// Connects a client with this trust to `host`, at a server with these certificates.
async fn asked(tls: &Arc<Tls>, trust: Trust, host: &str) -> Result<(), HandshakeError> {
    let asking = ClientTls::new(&tls.rt, trust).await.unwrap();
    let (client, server) = tokio::io::duplex(1 << 16);
    let (client, _) = tokio::join!(asking.connect(host, Box::new(client)), tls.accept(server));
    client.map(drop)
}

#[tokio::test]
async fn a_client_trusts_the_authorities_of_its_folder() {
    let fixture = Fixture::new();
    fixture.put("", &["store.example", "127.0.0.1", "::1"]);
    let tls = fixture.served().await;
    let folder = tempfile::tempdir().unwrap();
    let system = folder.path().join("system.pem");
    let trust = || Trust::Authorities {
        system: Some(system.clone()),
        folder: Some(folder.path().to_owned()),
    };
    let error = ClientTls::new(&fixture.rt, trust()).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot read {}: ", system.display())),
        "{error}"
    );
    fs::write(&system, "nobody").unwrap();
    let error = asked(&tls, trust(), "store.example").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Authority(_)), "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");

    let authorities = folder.path().join("CAs");
    fs::create_dir(&authorities).unwrap();
    let error = asked(&tls, trust(), "store.example").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Authority(_)), "{error}");
    fs::write(authorities.join("own.crt"), fixture.authority.pem()).unwrap();
    for host in ["store.example", "127.0.0.1", "::1"] {
        asked(&tls, trust(), host).await.unwrap();
    }
    let error = asked(&tls, trust(), "other.example").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Name(_)), "{error}");
    fs::write(authorities.join("typo.crt"), "x").unwrap();
    let error = ClientTls::new(&fixture.rt, trust()).await.unwrap_err().to_string();
    assert!(
        error.ends_with("CAs/typo.crt: no certificate in it (PEM is expected)"),
        "{error}"
    );

    // An authority in the system's file suffices, whatever else is in the file.
    fs::remove_dir_all(&authorities).unwrap();
    fs::write(&system, format!("# all\n{}", fixture.authority.pem())).unwrap();
    asked(&tls, trust(), "store.example").await.unwrap();
}

#[tokio::test]
async fn a_client_tells_bad_certificates_apart() {
    let fixture = Fixture::new();
    let authorities = fixture.path("client/CAs");
    fs::create_dir_all(&authorities).unwrap();
    fs::write(authorities.join("own.crt"), fixture.authority.pem()).unwrap();
    let empty = fixture.path("client/none.pem");
    fs::write(&empty, "").unwrap();
    let trust = || Trust::Authorities {
        system: Some(empty.clone()),
        folder: Some(fixture.path("client")),
    };
    let serve = async |certificate: &str, key: &KeyPair| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("public.crt"), certificate).unwrap();
        fs::write(folder.path().join("private.key"), key.serialize_pem()).unwrap();
        Tls::load(&fixture.rt, folder.path()).await.unwrap().unwrap()
    };
    let key = KeyPair::generate().unwrap();
    let names = vec!["store.example".to_owned()];

    let mut expired = CertificateParams::new(names.clone()).unwrap();
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let tls = serve(&expired.signed_by(&key, &fixture.authority).unwrap().pem(), &key).await;
    let error = asked(&tls, trust(), "store.example").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Time(_)), "{error}");
    asked(&tls, Trust::Anybody, "store.example").await.unwrap();
    asked(&tls, Trust::Anybody, "other.example").await.unwrap();

    // Self-signed.
    let alone = CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem();
    let tls = serve(&alone, &key).await;
    let error = asked(&tls, trust(), "store.example").await.unwrap_err();
    assert!(matches!(error, HandshakeError::Authority(_)), "{error}");
    asked(&tls, Trust::Anybody, "store.example").await.unwrap();
    fs::write(authorities.join("alone.crt"), alone).unwrap();
    asked(&tls, trust(), "store.example").await.unwrap();

    // Server without TLS.
    let asking = ClientTls::new(&fixture.rt, Trust::Anybody).await.unwrap();
    let (client, mut server) = tokio::io::duplex(1 << 16);
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut server, answer).await.unwrap();
    let error = asking.connect("store.example", Box::new(client)).await.map(drop);
    assert!(matches!(error, Err(HandshakeError::NoTls)), "{error:?}");
}
