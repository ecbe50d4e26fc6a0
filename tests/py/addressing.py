"""A region of its own, and buckets as hosts: addressing.py ENDPOINT. The region is eu-west-3, the domains are
s3.test and store.example."""

import hashlib
import http.client
import sys
import urllib.parse

import boto3
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from client import ACCESS_KEY, SECRET_KEY

REGION = "eu-west-3"


def equal(got, expected):
    assert got == expected, f"{got!r} is not {expected!r}"


def ask(endpoint, method, path, body=b"", host=None, region=REGION, presigned=False):
    """Sends a request for `host`, wherever that is, to the server."""
    netloc = urllib.parse.urlsplit(endpoint).netloc
    headers = {} if presigned else {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    request = AWSRequest(method=method, url=f"http://{host or netloc}{path}", data=body, headers=headers)
    signer = S3SigV4QueryAuth if presigned else S3SigV4Auth
    signer(Credentials(ACCESS_KEY, SECRET_KEY), "s3", region).add_auth(request)
    connection = http.client.HTTPConnection(netloc, timeout=30)
    parts = urllib.parse.urlsplit(request.url)
    target = parts.path + ("?" + parts.query if parts.query else "")
    connection.request(method, target, body, {**dict(request.headers.items()), "Host": host or netloc})
    response = connection.getresponse()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def s3_in(endpoint, region):
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)


def regions(endpoint):
    s3 = s3_in(endpoint, REGION)
    try:
        s3.create_bucket(Bucket="region", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        raise AssertionError("a bucket of another region")
    except ClientError as error:
        equal(error.response["Error"]["Code"], "IllegalLocationConstraintException")
    s3.create_bucket(Bucket="region", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="region", Key="k", Body=b"x")
    equal(s3.head_bucket(Bucket="region")["BucketRegion"], REGION)
    # A client that knows no region asks where the bucket is.
    equal(s3_in(endpoint, "us-east-1").get_bucket_location(Bucket="region")["LocationConstraint"], REGION)
    for method, path in [("GET", "/region/k"), ("PUT", "/region/k"), ("GET", "/")]:
        status, headers, body = ask(endpoint, method, path, region="us-east-1")
        equal((status, headers["x-amz-bucket-region"]), (400, REGION))
        assert b"<Code>AuthorizationHeaderMalformed</Code>" in body and b"<Region>eu-west-3</Region>" in body, body
        assert b"the region 'us-east-1' is wrong; expecting 'eu-west-3'" in body.replace(b"&apos;", b"'"), body
    status, headers, _ = ask(endpoint, "HEAD", "/region", region="us-east-1")
    equal((status, headers["x-amz-bucket-region"]), (400, REGION))
    status, _, body = ask(endpoint, "GET", "/region/k", region="us-east-1", presigned=True)
    equal(status, 400)
    assert b"<Code>AuthorizationQueryParametersError</Code>" in body and b"<Region>eu-west-3</Region>" in body, body
    equal(ask(endpoint, "GET", "/region/k", presigned=True)[0], 200)


def hosts(endpoint):
    port = urllib.parse.urlsplit(endpoint).port
    s3 = s3_in(endpoint, REGION)
    for bucket in ["hosts", "dotted.name"]:
        equal(ask(endpoint, "PUT", f"/{bucket}")[0], 200)
    for bucket, host in [
        ("hosts", "hosts.s3.test"),
        ("hosts", f"hosts.s3.test:{port}"),
        ("hosts", "hosts.store.example"),
        ("dotted.name", "dotted.name.s3.test"),
    ]:
        for key in ["k", "a b/ä+%25", "hosts/k"]:
            path = "/" + urllib.parse.quote(key)
            body = f"{host} {key}".encode()
            equal(ask(endpoint, "PUT", path, body, host=host)[0], 200)
            equal(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), body)
            equal(ask(endpoint, "GET", path, host=host, presigned=True)[2], body)
        status, _, body = ask(endpoint, "GET", "/?list-type=2", host=host)
        assert status == 200 and f"<Name>{bucket}</Name>".encode() in body, body
    # Other hosts, and the domain itself, are path style.
    for host in ["s3.test", "elsewhere.example", "127.0.0.1", f"localhost:{port}"]:
        equal(ask(endpoint, "GET", "/hosts/k", host=host)[0], 200)
        assert b"<Name>hosts</Name>" in ask(endpoint, "GET", "/", host=host)[2]
    equal(ask(endpoint, "PUT", "/", host="new-one.s3.test")[0], 200)
    equal(s3.head_bucket(Bucket="new-one")["BucketRegion"], REGION)
    equal(ask(endpoint, "GET", "/k", host="none.s3.test")[0], 404)


if __name__ == "__main__":
    regions(sys.argv[1])
    hosts(sys.argv[1])
    print("all passed")
