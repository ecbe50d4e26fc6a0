//! Web pages with presigned URLs, in a real browser.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use tests::{Server, clients, http};

#[test]
fn a_page_uploads_with_presigned_urls() {
    if clients::installed("chromium") {
        clients::run(&Server::start(4), "browser.py", &["allowed"]);
    }
}

#[test]
fn a_page_of_another_origin_does_not() {
    if clients::installed("chromium") {
        let server = Server::start_with(4, &[("MINIO_API_CORS_ALLOW_ORIGIN", "https://app.example.com")]);
        clients::run(&server, "browser.py", &["refused"]);
    }
}

/// An operator or a user opens the server's address in a browser.
#[test]
fn a_browser_is_told_what_this_is() {
    let server = Server::start(1);
    let ask = |path: &str, headers: &str| http::request_with(server.port(), "GET", path, headers).unwrap();
    let page = ask("/", "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("This server speaks the S3 protocol"), "{page}");
    for (path, headers) in [("/", "Accept: */*\r\n"), ("/bucket", "Accept: text/html\r\n")] {
        let refused = ask(path, headers);
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        assert!(refused.contains("<Code>AccessDenied</Code>"), "{refused}");
    }
}

/// CORS preflight of a page's request, which has no signature.
#[test]
fn preflights() {
    let server = Server::start_with(
        1,
        &[("MINIO_API_CORS_ALLOW_ORIGIN", "https://*.example.com,http://a.test:81")],
    );
    let ask = |method: &str, origin: &str| {
        let headers = format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-amz-meta-a\r\n"
        );
        let answer = http::request_with(server.port(), method, "/bucket/key", &headers).unwrap();
        answer.to_ascii_lowercase()
    };
    for origin in ["https://app.example.com", "http://a.test:81"] {
        let answer = ask("OPTIONS", origin);
        assert!(answer.starts_with("http/1.1 204"), "{answer}");
        for line in [
            &format!("access-control-allow-origin: {origin}"),
            "access-control-allow-methods: get, put, post, head, delete",
            "access-control-allow-headers: x-amz-meta-a",
        ] {
            assert!(answer.lines().any(|own| own == line), "{line}: {answer}");
        }
        // Error responses need CORS headers too: the page must be able to read them.
        let answer = ask("GET", origin);
        assert!(answer.starts_with("http/1.1 403"), "{answer}");
        assert!(
            answer.contains(&format!("access-control-allow-origin: {origin}\r\n")),
            "{answer}"
        );
        assert!(answer.contains("access-control-expose-headers: etag, "), "{answer}");
        assert!(answer.contains("vary: origin\r\n"), "{answer}");
    }
    for other in ["https://example.com", "http://a.test"] {
        let answer = ask("OPTIONS", other);
        assert!(answer.starts_with("http/1.1 403"), "{answer}");
        assert!(answer.contains("<code>accessforbidden</code>"), "{answer}");
        assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    }
    // The server's own endpoints must not allow pages.
    let own = http::request_with(
        server.port(),
        "GET",
        "/minio/health/live",
        "Origin: http://a.test:81\r\n",
    )
    .unwrap();
    assert!(!own.to_ascii_lowercase().contains("access-control"), "{own}");
}
