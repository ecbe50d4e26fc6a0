"""A slow upload: `drain.py ENDPOINT`. Prints "half" halfway, and goes on after a line on its input."""

import socket
import sys
import urllib.parse

from client import client

SIZE = 2_000_000

s3 = client(sys.argv[1], signature_version="s3v4")
s3.create_bucket(Bucket="drain")
url = urllib.parse.urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "drain", "Key": "slow"}))
with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {SIZE}\r\n\r\n"
    connection.sendall(head.encode() + b"x" * (SIZE // 2))
    print("half", flush=True)
    sys.stdin.readline()
    connection.sendall(b"x" * (SIZE // 2))
    answer = connection.recv(10_000)
assert answer.startswith(b"HTTP/1.1 200"), answer
