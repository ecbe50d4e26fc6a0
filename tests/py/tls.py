"""What a server offers in its handshake: protocols, certificates by name."""

import os
import socket
import ssl
import sys
import urllib.parse

AUTHORITY = os.environ["AWS_CA_BUNDLE"]


def connect(endpoint, name, protocols=(), verify=True, **versions):
    parts = urllib.parse.urlsplit(endpoint)
    context = ssl.create_default_context(cafile=AUTHORITY)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    for attribute, version in versions.items():
        setattr(context, attribute, version)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
    return context.wrap_socket(connection, server_hostname=name)


def frame(kind, flags, stream, payload=b""):
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def http2_status(endpoint, path):
    """The first header of the answer to a GET over HTTP/2: its status, as an index of the static table."""
    with connect(endpoint, "127.0.0.1", ["h2"]) as tls:
        literal = bytes([0x04, len(path)]) + path.encode()
        authority = b"127.0.0.1"
        # GET, https, a literal path, a literal authority.
        headers = b"\x82\x87" + literal + bytes([0x01, len(authority)]) + authority
        tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 0x5, 1, headers))
        stream = tls.makefile("rb")
        while True:
            head = stream.read(9)
            length, kind = int.from_bytes(head[:3], "big"), head[3]
            payload = stream.read(length)
            if kind == 1:
                return payload[0]


def protocols(endpoint):
    for offered, agreed in [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)]:
        with connect(endpoint, "127.0.0.1", offered) as tls:
            assert tls.selected_alpn_protocol() == agreed, offered
    for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
        with connect(endpoint, "127.0.0.1", minimum_version=version, maximum_version=version) as tls:
            tls.sendall(b"GET /minio/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert tls.recv(100).startswith(b"HTTP/1.1 200"), version
    # Index 8 of HPACK's static table is status 200.
    assert http2_status(endpoint, "/minio/health/ready") == 0x88
    try:
        connect(endpoint, "127.0.0.1", minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
        raise AssertionError("TLS 1.1 is spoken")
    except ssl.SSLError:
        pass


def served(endpoint, *names):
    for name in names:
        with connect(endpoint, name) as tls:
            assert name in [value for _, value in tls.getpeercert()["subjectAltName"]], name


def serial(endpoint, name):
    with connect(endpoint, name, verify=False) as tls:
        print(hash_of(tls.getpeercert(binary_form=True)))


def hash_of(certificate):
    import hashlib

    return hashlib.sha256(certificate).hexdigest()


if __name__ == "__main__":
    globals()[sys.argv[2]](sys.argv[1], *sys.argv[3:])
