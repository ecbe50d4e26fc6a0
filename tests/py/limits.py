"""Many clients, slow clients, and much data: limits.py ENDPOINT WHAT."""

import hashlib
import http.client
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request

from client import client

MIB = 1 << 20


class Store:
    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.s3 = client(endpoint, signature_version="s3v4")
        self.s3.create_bucket(Bucket="limits")

    def url(self, method, key):
        return self.s3.generate_presigned_url(method, Params={"Bucket": "limits", "Key": key}, ExpiresIn=600)

    def begin(self, method, key, length=None):
        """A connection on which the headers of a request were sent."""
        parts = urllib.parse.urlsplit(self.url(method, key))
        connection = socket.create_connection((parts.hostname, parts.port), timeout=60)
        verb = "PUT" if method == "put_object" else "GET"
        head = f"{verb} {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        head += f"Content-Length: {length}\r\n\r\n" if length is not None else "\r\n"
        connection.sendall(head.encode())
        return connection

    def round_trip(self, size):
        body = hashlib.sha256(str(size).encode()).digest() * (size // 32)
        self.s3.put_object(Bucket="limits", Key="other", Body=body)
        assert self.s3.get_object(Bucket="limits", Key="other")["Body"].read() == body


    def metric(self, sample):
        """The value of a sample, named with its labels but for the server's."""
        with urllib.request.urlopen(f"{self.endpoint}/minio/v2/metrics/node", timeout=30) as answer:
            text = answer.read().decode()
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            labels = name.replace("{", ",").rstrip("}").split(",")
            if [label for label in labels if not label.startswith("server=")] == sample.split(","):
                return float(value)
        raise AssertionError(f"no {sample} in {text}")


def status(connection):
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def slow(store):
    store.s3.put_object(Bucket="limits", Key="large", Body=bytes(64 * MIB))
    senders = [store.begin("put_object", f"slow/{number}", 1000) for number in range(600)]
    # These fill what the system buffers, and then stand.
    readers = [store.begin("get_object", "large") for _ in range(20)]
    worst = 0
    for _ in range(10):
        started = time.monotonic()
        for sender in senders:
            sender.sendall(b"x")
        store.round_trip(4 * MIB)
        worst = max(worst, time.monotonic() - started)
        time.sleep(max(0, started + 1 - time.monotonic()))
    print(f"600 slow clients; a round trip of 4 MiB took at most {worst:.2f} s")
    assert worst < 10
    for connection in senders + readers:
        connection.close()
    store.round_trip(MIB)


def overload(store):
    store.s3.put_object(Bucket="limits", Key="large", Body=bytes(64 * MIB))
    answers = []

    def upload(number):
        try:
            connection = store.begin("put_object", f"k{number}", 8 * MIB)
            for piece in range(8):
                connection.sendall(bytes(MIB))
                if piece == 1:
                    time.sleep(3)
            answers.append(("put", *status(connection)))
        except OSError:
            # Refused before it was all sent: as good as an answer.
            answers.append(("put", 0, b""))

    def download(_):
        connection = store.begin("get_object", "large")
        time.sleep(3)
        try:
            answers.append(("get", *status(connection)))
        except OSError:
            answers.append(("get", 0, b""))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40) for work in (upload, download)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for what in ["put", "get"]:
        codes = [code for kind, code, _ in answers if kind == what]
        print(what, {code: codes.count(code) for code in sorted(set(codes))})
        assert codes.count(200) >= 3, codes
        assert set(codes) <= {0, 200, 503}, codes
    refused = [body for _, code, body in answers if code == 503]
    assert refused and all(b"<Code>SlowDown</Code>" in body for body in refused), refused[:1]
    store.round_trip(8 * MIB)
    # A body that was told so late is counted too, though its client may not have stayed for the answer.
    refused_for_memory = store.metric('impl_s3_requests_refused_total,want="memory"')
    assert refused_for_memory >= len(refused), refused_for_memory
    assert store.metric('impl_s3_requests_refused_total,want="slot"') == 0
    assert store.metric("impl_s3_memory_limit_bytes") == 128 * MIB
    assert store.metric("impl_s3_memory_used_bytes") == 0
    assert store.metric("impl_s3_slots_used_total") == 0


def requests(store):
    held = [store.begin("put_object", f"k{number}", 10) for number in range(4)]
    time.sleep(0.5)
    late = store.begin("get_object", "k0")
    time.sleep(0.5)
    incoming = store.metric("minio_s3_requests_incoming_total")
    assert store.metric("impl_s3_slots_limit_total") == store.metric("impl_s3_slots_used_total") == 4
    assert store.metric("minio_s3_requests_waiting_total") == 1
    assert store.metric('impl_s3_requests_waiting_total,want="slot"') == 1
    code, body = status(late)
    assert code == 503 and b"<Code>SlowDown</Code>" in body, (code, body)
    assert store.metric("minio_s3_requests_waiting_total") == 0
    assert store.metric('impl_s3_requests_refused_total,want="slot"') == 1
    assert store.metric('impl_s3_requests_refused_total,want="memory"') == 0
    assert store.metric("minio_s3_requests_incoming_total") == incoming, "probes and scrapes are none"
    # A signature is not needed for the answer, nor room for health.
    parts = urllib.parse.urlsplit(store.endpoint)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", "/minio/health/ready")
    assert connection.getresponse().status == 200
    for connection in held:
        connection.sendall(b"0123456789")
        assert status(connection)[0] == 200
    store.round_trip(MIB)


def large(store):
    size, piece = 5 << 30, hashlib.sha256(b"piece").digest() * (MIB // 32)
    started = time.monotonic()
    connection = store.begin("put_object", "large", size)
    md5 = hashlib.md5()
    for _ in range(size // MIB):
        connection.sendall(piece)
        md5.update(piece)
    code, body = status(connection)
    assert code == 200, (code, body)
    put_seconds = time.monotonic() - started
    started = time.monotonic()
    connection = store.begin("get_object", "large")
    response = http.client.HTTPResponse(connection)
    response.begin()
    assert response.status == 200 and int(response.headers["content-length"]) == size
    assert response.headers["etag"] == f'"{md5.hexdigest()}"'
    for _ in range(size // MIB):
        assert response.read(MIB) == piece
    print(f"5 GiB: put {put_seconds:.0f} s, get {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    globals()[sys.argv[2]](Store(sys.argv[1]))
