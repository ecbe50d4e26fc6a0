"""Uploads that ask for `100 Continue`, one after another on one connection. expect.py ENDPOINT

boto3 up to 1.43 asks for it with empty objects too. If it gets a final answer without one, it takes that for the
connection's next answer as well, and hangs."""

import socket
import sys
import time
import urllib.parse

import boto3
from botocore.exceptions import ClientError

from client import client

# Both versions of boto3 run on one server.
BUCKET = f"expect-{boto3.__version__}"
SECONDS_MAX = 10


def code(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def uploads(endpoint):
    """Nothing, then ten bytes: whatever the first is answered."""
    s3 = client(endpoint)
    s3.create_bucket(Bucket=BUCKET)
    key = dict(Bucket=BUCKET, Key="k")
    upload = s3.create_multipart_upload(**key)["UploadId"]
    for name, refused, first in [
        ("an empty object", None, lambda: s3.put_object(Body=b"", **key)),
        ("an empty object that is there", "PreconditionFailed", lambda: s3.put_object(Body=b"", IfNoneMatch="*", **key)),
        ("an object that is there", "PreconditionFailed", lambda: s3.put_object(Body=b"x" * 10, IfNoneMatch="*", **key)),
        ("an empty part", None, lambda: s3.upload_part(UploadId=upload, PartNumber=1, Body=b"", **key)),
        ("an empty part of no upload", "NoSuchUpload", lambda: s3.upload_part(UploadId="x", PartNumber=1, Body=b"", **key)),
        ("an empty object of no bucket", "NoSuchBucket", lambda: s3.put_object(Bucket="expect-none", Key="k", Body=b"")),
        ("a copy", None, lambda: s3.copy_object(CopySource=f"{BUCKET}/k", **dict(key, Key="copy"))),
    ]:
        began = time.monotonic()
        assert code(first) == refused, name
        s3.put_object(Body=b"0123456789", **key)
        assert s3.get_object(**key)["Body"].read() == b"0123456789", name
        seconds = time.monotonic() - began
        assert seconds < SECONDS_MAX, f"{name}: {seconds} s"


def answers(endpoint):
    """What stands on the wire: `100 Continue`, before the final answer and once, with a body and without."""
    url = client(endpoint, signature_version="s3v4").generate_presigned_url("put_object", Params=dict(Bucket=BUCKET, Key="raw"))
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=SECONDS_MAX) as connection:

        def receive(end):
            received = b""
            while end not in received:
                more = connection.recv(4096)
                assert more, received
                received += more
            return received

        def ask(length):
            head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {length}\r\n"
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())

        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        for body in [b"", b"abc", b"", b"abc"]:
            ask(len(body))
            received = b""
            if body:
                received = receive(interim)
                assert received == interim, received
                connection.sendall(body)
            received += receive(b"\r\n\r\n" if body else b"x-amz-request-id")
            assert received.startswith(interim + b"HTTP/1.1 200 OK\r\n"), received
            assert received.count(interim) == 1, received
            if not received.endswith(b"\r\n\r\n"):
                receive(b"\r\n\r\n")


def main():
    endpoint = sys.argv[1]
    uploads(endpoint)
    answers(endpoint)
    print(f"boto3 {boto3.__version__}")


if __name__ == "__main__":
    main()
