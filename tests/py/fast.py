"""A small S3 client for load: keep-alive connections, hand-made signatures, one request at a time."""

import hashlib
import hmac
import http.client
import time
import urllib.parse

from client import ACCESS_KEY, SECRET_KEY

EMPTY = hashlib.sha256(b"").hexdigest()


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body[:300]!r}")
        self.status = status


class Fast:
    """One connection. Not for several threads at once."""

    def __init__(self, endpoint, timeout=30):
        self.host = urllib.parse.urlsplit(endpoint).netloc
        self.timeout = timeout
        self.connection = None
        self.day = None

    def put(self, bucket, key, body, headers=None):
        self.call("PUT", f"/{bucket}/{urllib.parse.quote(key)}", body, headers)

    def get(self, bucket, key):
        return self.call("GET", f"/{bucket}/{urllib.parse.quote(key)}")

    def delete(self, bucket, key):
        self.call("DELETE", f"/{bucket}/{urllib.parse.quote(key)}")

    def call(self, method, path, body=b"", headers=None):
        """The body of the answer. Raises Refused, or what http.client raises."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, timeout=self.timeout)
        try:
            self.connection.request(method, path, body=body, headers={**self.sign(method, path), **(headers or {})})
            response = self.connection.getresponse()
            content = response.read()
        except Exception:
            self.close()
            raise
        if response.status >= 300:
            raise Refused(response.status, content)
        return content

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def sign(self, method, path):
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        if stamp[:8] != self.day:
            key = ("AWS4" + SECRET_KEY).encode()
            for text in [stamp[:8], "us-east-1", "s3", "aws4_request"]:
                key = hmac.new(key, text.encode(), hashlib.sha256).digest()
            self.day, self.key = stamp[:8], key
        scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
        signed = "host;x-amz-content-sha256;x-amz-date"
        canonical = (
            f"{method}\n{path}\n\nhost:{self.host}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n"
            f"x-amz-date:{stamp}\n\n{signed}\nUNSIGNED-PAYLOAD"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.new(self.key, to_sign.encode(), hashlib.sha256).hexdigest()
        return {
            "host": self.host,
            "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
            "x-amz-date": stamp,
            "authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}",
        }
