"""Clients that stand still: timeouts.py ENDPOINT IDLE_SECONDS HEADERS_SECONDS."""

import os
import socket
import ssl
import sys
import threading
import time
import urllib.parse

from client import client

BUCKET = "timeouts"
LARGE = 48 << 20

# A busy machine is late, but not for ever.
LATE = 10


class Store:
    def __init__(self, endpoint, idle, headers):
        self.idle, self.headers = idle, headers
        self.s3 = client(endpoint, signature_version="s3v4")
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_object(Bucket=BUCKET, Key="large", Body=bytes(LARGE))

    def connect(self):
        parts = urllib.parse.urlsplit(self.s3.meta.endpoint_url)
        connection = socket.create_connection((parts.hostname, parts.port), timeout=60)
        if parts.scheme == "http":
            return connection
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        return context.wrap_socket(connection, server_hostname=parts.hostname)

    def head(self, method, key, more=""):
        operation = "put_object" if method == "PUT" else "get_object"
        url = self.s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=600)
        parts = urllib.parse.urlsplit(url)
        return f"{method} {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n{more}\r\n".encode()

    def stores(self, key):
        return "Contents" in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=key)


def rest(connection):
    """What comes until the server closes."""
    answer = bytearray()
    try:
        while piece := connection.recv(1 << 20):
            answer += piece
    except (ConnectionResetError, ssl.SSLError):
        pass
    return bytes(answer)


def check_took(started, limit):
    took = time.monotonic() - started
    assert limit - 0.1 <= took < limit + LATE, f"{took:.1f} s, the limit is {limit} s"


def idle_from_the_start(store):
    with store.connect() as connection:
        started = time.monotonic()
        assert rest(connection) == b""
        check_took(started, store.idle)


def idle_after_a_request(store):
    with store.connect() as connection:
        # In between it is idle, but not for so long; longer than headers may take.
        for _ in range(2):
            connection.sendall(b"HEAD /minio/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")
            started = time.monotonic()
            time.sleep((store.headers + store.idle) / 2)
        connection.sendall(b"HEAD /minio/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")
        started = time.monotonic()
        assert rest(connection) == b""
        check_took(started, store.idle)


def half_of_the_headers(store):
    """It never pauses for long, and never comes to the end."""
    head = store.head("PUT", "half", "Content-Length: 0\r\n")
    with store.connect() as connection:
        started = time.monotonic()
        connection.sendall(head[: len(head) // 2])
        closed = threading.Event()

        def trickle():
            for byte in head[len(head) // 2 : -2]:
                if closed.wait(0.1):
                    return
                try:
                    connection.send(bytes([byte]))
                except OSError:
                    return

        trickling = threading.Thread(target=trickle)
        trickling.start()
        assert rest(connection) == b""
        closed.set()
        trickling.join()
        check_took(started, store.headers)
    assert not store.stores("half")


def a_body_that_stalls(store):
    with store.connect() as connection:
        connection.sendall(store.head("PUT", "stalled", "Content-Length: 1000\r\n") + b"x" * 999)
        started = time.monotonic()
        answer = rest(connection)
        # What is left of the body is waited for a little, so that the client reads the answer.
        check_took(started, store.idle)
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"<Code>RequestTimeout</Code>" in answer, answer
        assert b"connection: close" in answer.lower(), answer
    assert not store.stores("stalled")


def a_body_that_is_slow(store):
    """Longer in all than any limit, with pauses that are shorter."""
    with store.connect() as connection:
        connection.sendall(store.head("PUT", "slow", "Content-Length: 4\r\n"))
        for _ in range(4):
            time.sleep(store.idle / 2)
            connection.sendall(b"x")
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")
    assert store.s3.get_object(Bucket=BUCKET, Key="slow")["Body"].read() == b"xxxx"


def an_answer_that_is_not_read(store):
    with store.connect() as connection:
        connection.sendall(store.head("GET", "large"))
        time.sleep(2.5 * store.idle)
        assert len(rest(connection)) < LARGE
    with store.connect() as connection:
        connection.sendall(store.head("GET", "large", "Connection: close\r\n"))
        assert len(rest(connection)) > LARGE, "who reads gets it all"


def http2(store, first):
    """Opens a connection of HTTP/2, sends a frame and then nothing, and waits for its end."""
    # It needs the authority of a server that speaks TLS.
    import tls

    with tls.connect(store.s3.meta.endpoint_url, "127.0.0.1", ["h2"]) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + tls.frame(4, 0, 0) + tls.frame(*first))
        started = time.monotonic()
        assert rest(connection), "at least its settings"
        check_took(started, store.idle)


def idle_over_http2(store):
    http2(store, (8, 0, 0, b"\0\0\1\0"))


def half_of_the_headers_over_http2(store):
    # GET, https, and no end of the headers.
    http2(store, (1, 0, 1, b"\x82\x87"))


def main():
    store = Store(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
    failed = []

    def run(work):
        started = time.monotonic()
        try:
            work(store)
            print(f"{work.__name__}: {time.monotonic() - started:.1f} s")
        except Exception as error:
            failed.append(f"{work.__name__}: {error!r}")

    works = [
        idle_from_the_start,
        idle_after_a_request,
        half_of_the_headers,
        a_body_that_stalls,
        a_body_that_is_slow,
        an_answer_that_is_not_read,
    ]
    if sys.argv[1].startswith("https:"):
        works += [idle_over_http2, half_of_the_headers_over_http2]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


if __name__ == "__main__":
    main()
