"""Requests that S3 reads though they are not quite right. tolerance.py ENDPOINT"""

import base64
import hashlib
import http.client
import sys
import traceback
import urllib.error
import urllib.parse
import urllib.request
import zlib

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from client import ACCESS_KEY, SECRET_KEY, client, raw

BUCKET = "tolerance"
DATA = b"0123456789"
LONG_AGO = ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
NO_DATES = ["yesterday", "0", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 CET"]


def equal(actual, expected):
    assert actual == expected, f"{actual!r}, not {expected!r}"


def ask(endpoint, method, path, pairs=(), body=b"", secret=SECRET_KEY):
    """Sends one signed request with these headers in this order, also repeated ones; (status, headers, body)."""
    sha256 = hashlib.sha256(body).hexdigest()
    request = AWSRequest(method=method, url=endpoint + path, data=body, headers={"x-amz-content-sha256": sha256})
    for name, value in pairs:
        request.headers.add_header(name, value)
    request.context["payload_signing_enabled"] = True
    auth = S3SigV4Auth(Credentials(ACCESS_KEY, secret), "s3", "us-east-1")
    auth.payload = lambda _: sha256
    auth.add_auth(request)
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=60)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value.encode())
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        headers = {name.lower(): value.encode("latin-1").decode() for name, value in response.getheaders()}
        return response.status, headers, content
    finally:
        connection.close()


def code(answer):
    return answer[0], answer[2].decode().partition("<Code>")[2].partition("</Code>")[0]


def test_ranges(s3, endpoint):
    path = f"/{BUCKET}/object"
    none = ["bytes=", "bytes=-", "bytes=x-9", "bytes=5-2", "bytes=0-1,5-6", "items=0-1", "0-5", "bytes"]
    for asked in none:
        status, headers, body = ask(endpoint, "GET", path, [("range", asked)])
        equal((status, body, "content-range" in headers), (200, DATA, False))
        equal(ask(endpoint, "HEAD", path, [("range", asked)])[1]["content-length"], str(len(DATA)))
        equal(code(ask(endpoint, "GET", f"/{BUCKET}/none", [("range", asked)])), (404, "NoSuchKey"))
    equal(ask(endpoint, "GET", path, [("range", "bytes=0-1"), ("range", "bytes=2-3")])[0], 200)
    for asked, start, end in [
        (f"bytes=5-{1 << 63}", 5, 10),
        (f"bytes=5-{1 << 200}", 5, 10),
        (f"bytes=-{1 << 200}", 0, 10),
        ("bytes=0-0", 0, 1),
    ]:
        status, headers, body = ask(endpoint, "GET", path, [("range", asked)])
        equal((status, body, headers["content-range"]), (206, DATA[start:end], f"bytes {start}-{end - 1}/10"))
    equal(code(ask(endpoint, "GET", path, [("range", f"bytes={1 << 63}-")])), (416, "InvalidRange"))


def test_nothing_is_opened(s3, endpoint):
    """Whoever may not read an object may not by asking oddly."""
    path = f"/{BUCKET}/object"
    equal(code(ask(endpoint, "GET", path, [("range", "bytes=-")], secret="other")), (403, "SignatureDoesNotMatch"))
    odd = {"range": "bytes=-"}

    def status(url, headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""

    for version in ["s3", "s3v4"]:
        presigner = client(endpoint, signature_version=version)
        params = dict(Bucket=BUCKET, Key="object", ResponseContentType="a/b")
        url = presigner.generate_presigned_url("get_object", Params=params)
        equal(status(url, odd), (200, DATA))
        changed = url.replace("a%2Fb", "a%2Fc")
        equal(status(changed, odd)[0], 403)
        equal(status(url.replace("object", "other"), odd)[0], 403)
    equal(status(endpoint + path, odd)[0], 403)
    # A header that must be signed is missed in the second pass too.
    v4 = client(endpoint, signature_version="s3v4").generate_presigned_url("get_object", Params=dict(Bucket=BUCKET, Key="object"))
    equal(status(v4, dict(odd, **{"x-amz-copy-source": f"{BUCKET}/object"}))[0], 403)
    equal(code(ask(endpoint, "GET", path + "?uploads=&max-keys=", [("range", "bytes=-")]))[0], 501)


def test_dates(s3, endpoint):
    path = f"/{BUCKET}/object"
    copy = [("x-amz-copy-source", f"{BUCKET}/object")]
    for date in LONG_AGO:
        equal(ask(endpoint, "GET", path, [("if-modified-since", date)])[0], 200)
        equal(ask(endpoint, "GET", path, [("if-unmodified-since", date)])[0], 412)
        equal(ask(endpoint, "PUT", f"/{BUCKET}/copy", copy + [("x-amz-copy-source-if-modified-since", date)])[0], 200)
        equal(ask(endpoint, "PUT", f"/{BUCKET}/copy", copy + [("x-amz-copy-source-if-unmodified-since", date)])[0], 412)
    for date in NO_DATES:
        for name in ["if-modified-since", "if-unmodified-since"]:
            equal(ask(endpoint, "GET", path, [(name, date)])[0], 200)
            equal(ask(endpoint, "PUT", f"/{BUCKET}/copy", copy + [(f"x-amz-copy-source-{name}", date)])[0], 200)
    # botocore signs `Date` in place of `x-amz-date` when a request has one.
    equal(ask(endpoint, "GET", path, [("date", "to be set")])[0], 200)
    equal(code(ask(endpoint, "GET", path, [("date", "to be set")], secret="other")), (403, "SignatureDoesNotMatch"))


def test_etags(s3, endpoint):
    path, etag = f"/{BUCKET}/object", hashlib.md5(DATA).hexdigest()
    for condition, read in [(etag, 200), (f'"{etag}"', 200), (f"x, {etag}", 200), ("not-an-etag!", 412), ('"half', 412), ("ä", 412)]:
        equal(ask(endpoint, "GET", path, [("if-match", condition)])[0], read)
        equal(ask(endpoint, "GET", path, [("if-none-match", condition)])[0], {200: 304, 412: 200}[read])
        equal(ask(endpoint, "PUT", path, [("if-match", condition)], DATA)[0], read)
        copy = [("x-amz-copy-source", f"{BUCKET}/object")]
        equal(ask(endpoint, "PUT", f"/{BUCKET}/copy", copy + [("x-amz-copy-source-if-match", condition)])[0], read)
        equal(ask(endpoint, "DELETE", f"/{BUCKET}/copy", [("if-match", condition)])[0], {200: 204, 412: 412}[read])
        s3.copy_object(CopySource=f"{BUCKET}/object", Bucket=BUCKET, Key="copy")
    both = [("if-match", '"x"'), ("if-match", f'"{etag}"')]
    equal(ask(endpoint, "GET", path, both)[0], 200)


def test_completion(s3, endpoint):
    key = dict(Bucket=BUCKET, Key="parts")
    upload = s3.create_multipart_upload(**key)["UploadId"]
    etag = s3.upload_part(UploadId=upload, PartNumber=1, Body=DATA, **key)["ETag"]
    crc32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
    xml = f"""<?xml version="1.0"?>
<!-- of some library -->
<s3:CompleteMultipartUpload xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/">
  <s3:Part>
    <s3:PartNumber>
      1
    </s3:PartNumber>
    <s3:ETag>
      <![CDATA[{etag}]]>
    </s3:ETag>
    <s3:ChecksumCRC32> {crc32} </s3:ChecksumCRC32>
  </s3:Part>
</s3:CompleteMultipartUpload>
"""
    equal(ask(endpoint, "POST", f"/{BUCKET}/parts?uploadId={upload}", body=xml.encode())[0], 200)
    equal(s3.get_object(**key)["Body"].read(), DATA)
    xml = "<c:CreateBucketConfiguration xmlns:c='x'><c:LocationConstraint> {} </c:LocationConstraint></c:CreateBucketConfiguration>"
    equal(ask(endpoint, "PUT", "/tolerance-made", body=xml.format("us-east-1").encode())[0], 200)
    refused = ask(endpoint, "PUT", "/tolerance-other", body=xml.format("mars-1").encode())
    equal(code(refused), (400, "IllegalLocationConstraintException"))
    equal(ask(endpoint, "PUT", "/tolerance-other", body=b" " * (9 << 20))[0], 400)
    # What is put to a key is no XML.
    equal(ask(endpoint, "PUT", f"/{BUCKET}/xml", body=b"<a:b> 1 </a:b>")[0], 200)
    equal(s3.get_object(Bucket=BUCKET, Key="xml")["Body"].read(), b"<a:b> 1 </a:b>")
    for name in [" spaced ", "spaced", "a&<b"]:
        s3.put_object(Bucket=BUCKET, Key=name)
    xml = "<d:Delete xmlns:d='x'><d:Quiet>\n false </d:Quiet><d:Object><d:Key> spaced </d:Key></d:Object>"
    xml += "<d:Object><d:Key>a<![CDATA[&<]]>b</d:Key></d:Object></d:Delete>"
    status, _, body = ask(endpoint, "POST", f"/{BUCKET}?delete", body=xml.encode())
    equal((status, body.count(b"<Deleted>")), (200, 2))
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert "spaced" in keys and " spaced " not in keys and "a&<b" not in keys, keys


def test_nothing_asked_for(s3, endpoint):
    for query in ["?list-type=2&max-keys=&fetch-owner=", "?max-keys=&prefix=&marker=", "?uploads&max-uploads=", "?versions&max-keys="]:
        equal(ask(endpoint, "GET", f"/{BUCKET}{query}")[0], 200)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="listed")["UploadId"]
    equal(ask(endpoint, "GET", f"/{BUCKET}/listed?uploadId={upload}&max-parts=&part-number-marker=")[0], 200)
    equal(ask(endpoint, "GET", f"/?max-buckets=")[0], 200)
    equal(code(ask(endpoint, "GET", f"/{BUCKET}?max-keys=x")), (400, "InvalidArgument"))
    empty = ["x-amz-acl", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"]
    empty += ["x-amz-grant-read", "x-amz-website-redirect-location"]
    equal(ask(endpoint, "PUT", f"/{BUCKET}/k", [(name, "") for name in empty], DATA)[0], 200)
    equal(ask(endpoint, "GET", f"/{BUCKET}/k?response-content-type=&response-expires=")[1]["content-type"], "binary/octet-stream")


def test_trailers(s3, endpoint):
    crc32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
    # With a header that takes a second pass, too.
    for more in [{}, {"content-disposition": "x", "expires": "0"}]:
        for name in ["x-amz-checksum-crc32", "X-Amz-Checksum-CRC32"]:
            headers = {"x-amz-trailer": name, "x-amz-decoded-content-length": "10", "content-encoding": "aws-chunked", **more}
            for value, status in [(crc32, 200), ("AAAAAA==", 400)]:
                body = b"a\r\n" + DATA + b"\r\n0\r\n" + f"{name}:{value}\r\n\r\n".encode()
                sha256 = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
                equal(raw(endpoint, "PUT", f"/{BUCKET}/trailer", body, headers, sha256=sha256)[0], status)
        got = s3.get_object(Bucket=BUCKET, Key="trailer", ChecksumMode="ENABLED")
        equal((got["Body"].read(), got["ChecksumCRC32"]), (DATA, crc32))


def test_stored_headers(s3, endpoint):
    stored = {
        "cache-control": "max-age=5,  no-store",
        "content-disposition": 'attachment; filename="Übergrößen.txt"',
        "content-encoding": "gzip,  br",
        "content-language": "de, fr",
        "content-type": "text/plain;charset=utf-8",
        "expires": "0",
        "x-amz-meta-umlaut": "ä",
        "x-amz-meta-mail": "=?UTF-8?B?w6Q=?=",
        "x-amz-meta-broken": "=?UTF-8?B?!?=",
        "x-amz-meta-empty": "",
    }
    repeated = [("x-amz-meta-many", "1"), ("x-amz-meta-many", "2, 3")]
    equal(ask(endpoint, "PUT", f"/{BUCKET}/texts", list(stored.items()) + repeated, DATA)[0], 200)
    stored["x-amz-meta-many"] = "1,2, 3"
    equal(ask(endpoint, "PUT", f"/{BUCKET}/texts-copy", [("x-amz-copy-source", f"{BUCKET}/texts")])[0], 200)
    upload = ask(endpoint, "POST", f"/{BUCKET}/texts-parts?uploads", list(stored.items()))[2].decode()
    upload = upload.partition("<UploadId>")[2].partition("<")[0]
    part = dict(Bucket=BUCKET, Key="texts-parts", UploadId=upload)
    etag = s3.upload_part(PartNumber=1, Body=DATA, **part)["ETag"]
    s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}, **part)
    for key in ["texts", "texts-copy", "texts-parts"]:
        for method in ["GET", "HEAD"]:
            _, headers, _ = ask(endpoint, method, f"/{BUCKET}/{key}")
            equal({name: headers.get(name) for name in stored}, stored)
    equal(code(ask(endpoint, "PUT", f"/{BUCKET}/k", [("x-amz-meta-a", "ä" * 1024), ("expires", "0")], DATA)), (400, "MetadataTooLarge"))


def test_copy_sources(s3, endpoint):
    for name in ["a b", "a+b", "ä"]:
        s3.put_object(Bucket=BUCKET, Key=name, Body=name.encode())
    for source, name in [("a+b", "a b"), ("a%20b", "a b"), ("a%2Bb", "a+b"), ("%C3%A4", "ä"), ("ä", "ä")]:
        equal(ask(endpoint, "PUT", f"/{BUCKET}/copy", [("x-amz-copy-source", f"/{BUCKET}/{source}")])[0], 200)
        equal(s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read().decode(), name)


def main():
    endpoint = sys.argv[1]
    s3 = client(endpoint)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="object", Body=DATA)
    tests = {name: test for name, test in globals().items() if name.startswith("test_")}
    failed = []
    for name, test in tests.items():
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        try:
            test(s3, endpoint)
            print(f"{name}: ok")
        except Exception:
            traceback.print_exc()
            failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
