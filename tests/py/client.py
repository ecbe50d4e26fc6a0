"""boto3 clients, and requests signed by hand where boto3 would not send what a test must send."""

import hashlib
import http.client
import os
import urllib.parse

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ACCESS_KEY = os.environ["AWS_ACCESS_KEY_ID"]
SECRET_KEY = os.environ["AWS_SECRET_ACCESS_KEY"]


def client(endpoint, retries=0, **config):
    """A client that does not retry unless told to: tests want to see the first answer."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        config=Config(
            retries={"total_max_attempts": retries + 1, "mode": "standard"},
            s3={"addressing_style": "path"},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=64,
            **config,
        ),
    )


def raw(endpoint, method, path, body=b"", headers=None, secret=SECRET_KEY, sha256=None, pieces=None):
    """Sends one signed request, its body in that many pieces of a chunked transfer if so told;
    (status, headers in lower case, body)."""
    headers = dict(headers or {})
    headers["x-amz-content-sha256"] = sha256 or hashlib.sha256(body).hexdigest()
    request = AWSRequest(method=method, url=endpoint + path, data=body, headers=headers)
    request.context["payload_signing_enabled"] = True
    auth = S3SigV4Auth(Credentials(ACCESS_KEY, secret), "s3", "us-east-1")
    # The signer would otherwise hash the body itself.
    auth.payload = lambda _: headers["x-amz-content-sha256"]
    auth.add_auth(request)
    if pieces:
        # Without a known length, http.client sends each piece as a chunk.
        size = len(body) // pieces + 1
        body = iter([body[at : at + size] for at in range(0, len(body), size)])
    return send(endpoint, method, path, body, dict(request.headers.items()))


def send(endpoint, method, path, body=b"", headers=None):
    """Sends one request as it is; (status, headers in lower case, body)."""
    parts = urllib.parse.urlsplit(endpoint)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=60)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        content = response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, content
    finally:
        connection.close()
