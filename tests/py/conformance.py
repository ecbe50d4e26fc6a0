"""S3 as boto3 and hand-made requests see it. `conformance.py ENDPOINT [NAME…]`; exit code 1 if a test fails."""

import base64
import datetime
import hashlib
import json
import sys
import threading
import time
import traceback
import urllib.parse
import urllib.request
import xml.etree.ElementTree
import zlib

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from client import ACCESS_KEY, SECRET_KEY, client, raw, send

MIB = 1 << 20


def code(call, *args, **kwargs):
    """(status, code) that a call fails with."""
    try:
        call(*args, **kwargs)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    raise AssertionError("the call succeeded")


def equal(actual, expected):
    assert actual == expected, f"{actual!r}, not {expected!r}"


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def bucket_of(s3, name):
    s3.create_bucket(Bucket=name)
    return name


def test_buckets(s3, endpoint):
    bucket_of(s3, "buckets-1")
    bucket_of(s3, "buckets-2")
    equal(code(s3.create_bucket, Bucket="buckets-1"), (409, "BucketAlreadyOwnedByYou"))
    equal(s3.head_bucket(Bucket="buckets-1")["BucketRegion"], "us-east-1")
    equal(code(s3.head_bucket, Bucket="buckets-none")[0], 404)
    names = [bucket["Name"] for bucket in s3.list_buckets(Prefix="buckets-")["Buckets"]]
    equal(names, ["buckets-1", "buckets-2"])
    page = s3.list_buckets(Prefix="buckets-", MaxBuckets=1)
    equal([bucket["Name"] for bucket in page["Buckets"]], ["buckets-1"])
    page = s3.list_buckets(Prefix="buckets-", ContinuationToken=page["ContinuationToken"])
    equal([bucket["Name"] for bucket in page["Buckets"]], ["buckets-2"])
    equal(s3.get_bucket_location(Bucket="buckets-1")["LocationConstraint"], None)
    equal(code(s3.get_bucket_location, Bucket="buckets-none"), (404, "NoSuchBucket"))
    s3.put_object(Bucket="buckets-1", Key="k")
    equal(code(s3.delete_bucket, Bucket="buckets-1"), (409, "BucketNotEmpty"))
    s3.delete_object(Bucket="buckets-1", Key="k")
    s3.delete_bucket(Bucket="buckets-1")
    equal(code(s3.delete_bucket, Bucket="buckets-1"), (404, "NoSuchBucket"))
    equal(code(s3.put_object, Bucket="buckets-1", Key="k"), (404, "NoSuchBucket"))
    equal(raw(endpoint, "PUT", "/Bad_Name")[0], 400)
    wrong = {"LocationConstraint": "eu-west-1"}
    equal(
        code(s3.create_bucket, Bucket="buckets-3", CreateBucketConfiguration=wrong),
        (400, "IllegalLocationConstraintException"),
    )


def test_round_trip(s3, endpoint):
    bucket = bucket_of(s3, "round-trip")
    for size in [0, 1, 100, 16 * 1024, 128 * 1024 + 1, MIB, 3 * MIB + 7]:
        data = bytes(i * 7 & 255 for i in range(256)) * (size // 256 + 1)
        data = data[:size]
        key = f"of {size}/ä+%&"
        put = s3.put_object(Bucket=bucket, Key=key, Body=data)
        equal(put["ETag"], f'"{hashlib.md5(data).hexdigest()}"')
        got = s3.get_object(Bucket=bucket, Key=key)
        assert got["Body"].read() == data
        equal(got["ETag"], put["ETag"])
        equal(got["ContentType"], "binary/octet-stream")
        head = s3.head_object(Bucket=bucket, Key=key)
        equal((head["ContentLength"], head["ETag"]), (size, put["ETag"]))
        now = datetime.datetime.now(datetime.timezone.utc)
        assert abs((now - head["LastModified"]).total_seconds()) < 60
    equal(code(s3.get_object, Bucket=bucket, Key="none"), (404, "NoSuchKey"))
    equal(code(s3.head_object, Bucket=bucket, Key="none")[0], 404)
    s3.put_object(Bucket=bucket, Key="k", Body=b"one")
    s3.put_object(Bucket=bucket, Key="k", Body=b"two")
    equal(s3.get_object(Bucket=bucket, Key="k")["Body"].read(), b"two")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k")
    equal(code(s3.get_object, Bucket=bucket, Key="k"), (404, "NoSuchKey"))


def test_keys(s3, endpoint):
    bucket = bucket_of(s3, "keys")
    keys = ["a", "a/b", "a//b", "/lead", "a/../b", ".", "..", "k" * 1024, "ä" * 512, "sp ace", "plus+", "a?b#c", "%41"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in keys:
        equal(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), key.encode())
    equal(sorted(o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]), sorted(keys))
    equal(code(s3.put_object, Bucket=bucket, Key="k" * 1025), (400, "KeyTooLongError"))
    equal(raw(endpoint, "PUT", "/keys/a%00b")[0], 400)
    equal(raw(endpoint, "PUT", "/keys/%ff")[0], 400)


def test_headers(s3, endpoint):
    bucket = bucket_of(s3, "headers")
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    stored = {
        "ContentType": "text/plain; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentDisposition": 'attachment; filename="x"',
        "ContentLanguage": "de",
        "CacheControl": "max-age=5",
        "Expires": expires,
        "Metadata": {"one": "1", "umlaut": "=?UTF-8?B?w6Q=?="},
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **stored)
    for got in [s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")]:
        for name in ["ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl"]:
            equal(got[name], stored[name])
        equal(got["Expires"], expires)
        equal(got["Metadata"]["one"], "1")
    got = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="a/b", ResponseCacheControl="no-store", ResponseExpires=expires
    )
    equal((got["ContentType"], got["CacheControl"], got["ContentLanguage"]), ("a/b", "no-store", "de"))
    equal(code(s3.put_object, Bucket=bucket, Key="m", Metadata={"m": "v" * 2048}), (400, "MetadataTooLarge"))
    s3.put_object(Bucket=bucket, Key="m", Metadata={"m": "v" * 2047})
    s3.put_object(Bucket=bucket, Key="rrs", StorageClass="REDUCED_REDUNDANCY")
    equal(s3.head_object(Bucket=bucket, Key="rrs")["StorageClass"], "REDUCED_REDUNDANCY")
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k")
    equal(code(s3.put_object, Bucket=bucket, Key="g", StorageClass="GLACIER"), (400, "InvalidStorageClass"))


def test_ranges(s3, endpoint):
    bucket = bucket_of(s3, "ranges")
    size = 3 * MIB + 5
    data = hashlib.sha256(b"ranges").digest() * (size // 32 + 1)
    data = data[:size]
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    for asked, start, end in [
        ("bytes=0-0", 0, 1),
        (f"bytes={MIB - 1}-{MIB}", MIB - 1, MIB + 1),
        ("bytes=5-", 5, size),
        (f"bytes=5-{2 * size}", 5, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=-{2 * size}", 0, size),
        (f"bytes={size - 1}-", size - 1, size),
    ]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
        assert got["Body"].read() == data[start:end], asked
        equal(got["ContentRange"], f"bytes {start}-{end - 1}/{size}")
        equal(got["ResponseMetadata"]["HTTPStatusCode"], 206)
        equal(s3.head_object(Bucket=bucket, Key="k", Range=asked)["ContentLength"], end - start)
    for asked in [f"bytes={size}-", "bytes=-0"]:
        equal(code(s3.get_object, Bucket=bucket, Key="k", Range=asked), (416, "InvalidRange"))
    s3.put_object(Bucket=bucket, Key="empty")
    equal(code(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-"), (416, "InvalidRange"))
    status, headers, _ = raw(endpoint, "GET", "/ranges/k", headers={"range": f"bytes={size}-"})
    equal((status, headers["content-range"]), (416, f"bytes */{size}"))
    # A range of another object than the one that the client has is the whole object.
    status, _, body = raw(endpoint, "GET", "/ranges/k", headers={"range": "bytes=0-9", "if-range": '"other"'})
    equal((status, len(body)), (200, size))
    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    status, _, body = raw(endpoint, "GET", "/ranges/k", headers={"range": "bytes=0-9", "if-range": etag})
    equal((status, len(body)), (206, 10))


def test_conditional_reads(s3, endpoint):
    bucket = bucket_of(s3, "conditional-reads")
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - datetime.timedelta(hours=1), modified + datetime.timedelta(seconds=1)
    for call in [s3.get_object, s3.head_object]:
        def status(**conditions):
            try:
                return call(Bucket=bucket, Key="k", **conditions)["ResponseMetadata"]["HTTPStatusCode"]
            except ClientError as error:
                return error.response["ResponseMetadata"]["HTTPStatusCode"]

        equal(status(IfMatch=etag), 200)
        equal(status(IfMatch='"other"'), 412)
        equal(status(IfMatch="*"), 200)
        equal(status(IfNoneMatch=etag), 304)
        equal(status(IfNoneMatch='"other"'), 200)
        equal(status(IfNoneMatch=f'"other", {etag}'), 304)
        equal(status(IfModifiedSince=before), 200)
        equal(status(IfModifiedSince=after), 304)
        equal(status(IfUnmodifiedSince=before), 412)
        equal(status(IfUnmodifiedSince=after), 200)
        equal(status(IfMatch=etag, IfUnmodifiedSince=before), 200)
        equal(status(IfNoneMatch=etag, IfModifiedSince=before), 304)
        equal(status(IfNoneMatch='"other"', IfModifiedSince=after), 200)
    status, headers, body = raw(endpoint, "GET", "/conditional-reads/k", headers={"if-none-match": etag})
    equal((status, headers["etag"], body), (304, etag, b""))


def test_conditional_writes(s3, endpoint):
    bucket = bucket_of(s3, "conditional-writes")
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    equal(code(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*"), (412, "PreconditionFailed"))
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)["ETag"]
    equal(code(s3.put_object, Bucket=bucket, Key="k", Body=b"3", IfMatch=first), (412, "PreconditionFailed"))
    equal(code(s3.put_object, Bucket=bucket, Key="none", Body=b"3", IfMatch=first), (404, "NoSuchKey"))
    equal(s3.get_object(Bucket=bucket, Key="k")["Body"].read(), b"2")
    equal(code(s3.delete_object, Bucket=bucket, Key="k", IfMatch=first), (412, "PreconditionFailed"))
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=second)
    s3.put_object(Bucket=bucket, Key="k", Body=b"4", IfNoneMatch="*")
    s3.put_object(Bucket=bucket, Key="source", Body=b"s")
    source = f"{bucket}/source"
    headers = {"x-amz-copy-source": source, "if-none-match": "*"}
    equal(raw(endpoint, "PUT", "/conditional-writes/k", headers=headers)[0], 412)
    equal(raw(endpoint, "PUT", "/conditional-writes/new", headers=headers)[0], 200)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"m")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    complete = dict(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    equal(code(s3.complete_multipart_upload, IfNoneMatch="*", **complete), (412, "PreconditionFailed"))
    s3.complete_multipart_upload(IfMatch=hashlib.md5(b"4").hexdigest(), **complete)
    equal(s3.get_object(Bucket=bucket, Key="k")["Body"].read(), b"m")


def test_create_only_race(s3, endpoint):
    """Of 16 writers at once exactly one creates, for each of 20 keys; and the key holds what it wrote."""
    bucket = bucket_of(s3, "race")
    for round_number in range(20):
        key, outcomes, gate = f"k{round_number}", {}, threading.Barrier(16)

        def write(number):
            gate.wait()
            try:
                s3.put_object(Bucket=bucket, Key=key, Body=str(number).encode(), IfNoneMatch="*")
                outcomes[number] = 200
            except ClientError as error:
                outcomes[number] = error.response["ResponseMetadata"]["HTTPStatusCode"]

        threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [number for number, status in outcomes.items() if status == 200]
        equal(len(winners), 1)
        equal(sorted(outcomes.values()), [200] + [412] * 15)
        equal(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), str(winners[0]).encode())


def test_digests(s3, endpoint):
    bucket = bucket_of(s3, "digests")
    data = b"digests" * 1000
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    s3.put_object(Bucket=bucket, Key="md5", Body=data, ContentMD5=md5)
    equal(code(s3.put_object, Bucket=bucket, Key="bad", Body=data, ContentMD5=wrong), (400, "BadDigest"))
    equal(code(s3.put_object, Bucket=bucket, Key="bad", Body=data, ContentMD5="x"), (400, "InvalidDigest"))
    for name in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]:
        put = s3.put_object(Bucket=bucket, Key=name, Body=data, ChecksumAlgorithm=name)
        got = s3.get_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED")
        equal(got[f"Checksum{name}"], put[f"Checksum{name}"])
        equal(got["ChecksumType"], "FULL_OBJECT")
        equal(got["Body"].read(), data)
    equal(s3.head_object(Bucket=bucket, Key="CRC32", ChecksumMode="ENABLED")["ChecksumCRC32"], crc32(data))
    assert "ChecksumCRC32" not in s3.head_object(Bucket=bucket, Key="CRC32")
    bad = dict(Bucket=bucket, Key="bad", Body=data)
    equal(code(s3.put_object, ChecksumCRC32=crc32(b"other"), **bad), (400, "BadDigest"))
    equal(code(s3.put_object, ChecksumCRC32="nonsense", **bad), (400, "InvalidRequest"))
    equal(code(s3.put_object, ChecksumSHA256=base64.b64encode(b"x" * 32).decode(), **bad), (400, "BadDigest"))
    status, _, body = raw(endpoint, "PUT", "/digests/bad", data, sha256=hashlib.sha256(b"other").hexdigest())
    equal((status, b"XAmzContentSHA256Mismatch" in body), (400, True))
    two = {"x-amz-checksum-crc32": crc32(data), "x-amz-checksum-sha1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="}
    equal(raw(endpoint, "PUT", "/digests/bad", data, two)[0], 400)
    equal(code(s3.head_object, Bucket=bucket, Key="bad")[0], 404)
    # Without any checksum from the client, S3 computes CRC64NVME.
    raw(endpoint, "PUT", "/digests/none", b"123456789")
    equal(s3.head_object(Bucket=bucket, Key="none", ChecksumMode="ENABLED")["ChecksumCRC64NVME"], "rosUhgp5mIg=")


def chunked(chunks, trailer=None):
    """aws-chunked framing without signatures."""
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n"
    return framed + (trailer + b"\r\n" if trailer else b"") + b"\r\n"


def test_trailers(s3, endpoint):
    bucket = bucket_of(s3, "trailers")
    chunks = [b"a" * 65536, b"b" * 65536, b"c"]
    data = b"".join(chunks)

    def put(key, trailer, length=len(data), announced="x-amz-checksum-crc32"):
        headers = {
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(length),
            "x-amz-trailer": announced,
        }
        body = chunked(chunks, trailer)
        status, _, content = raw(
            endpoint, "PUT", f"/trailers/{key}", body, headers, sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        )
        return status, content

    equal(put("k", b"x-amz-checksum-crc32:" + crc32(data).encode())[0], 200)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    equal(got["ChecksumCRC32"], crc32(data))
    equal(got["Body"].read(), data)
    assert "ContentEncoding" not in got
    # Some SDKs send a whole object as one chunk.
    chunks = [b"one chunk" * 400_000]
    data = b"".join(chunks)
    equal(put("k", b"x-amz-checksum-crc32:" + crc32(data).encode(), len(data))[0], 200)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data
    status, content = put("bad", b"x-amz-checksum-crc32:" + crc32(b"other").encode(), len(data))
    equal((status, b"BadDigest" in content), (400, True))
    equal(put("bad", None, len(data))[0], 400)
    equal(put("bad", b"x-amz-checksum-crc32:" + crc32(data).encode(), length=len(data) + 1)[0], 400)
    equal(put("bad", b"x-amz-checksum-crc32:" + crc32(data).encode(), length=len(data) - 1)[0], 400)
    equal(code(s3.head_object, Bucket=bucket, Key="bad")[0], 404)


def test_chunks_in_http_chunks(s3, endpoint):
    """aws-chunked framing in a chunked transfer, without Content-Length: how SDKs send streams."""
    bucket = bucket_of(s3, "http-chunks")
    data = b"stream" * 50_000
    trailer = b"x-amz-checksum-crc32:" + crc32(data).encode()

    def put(path, length, sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER"):
        headers = {"x-amz-decoded-content-length": str(length), "x-amz-trailer": "x-amz-checksum-crc32"}
        body = chunked([data[:70_000], data[70_000:]], trailer)
        status, _, content = raw(endpoint, "PUT", f"/http-chunks/{path}", body, headers, sha256=sha256, pieces=7)
        return status, content

    equal(put("k", len(data)), (200, b""))
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    equal((got["Body"].read(), got["ChecksumCRC32"]), (data, crc32(data)))
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    equal(put(f"parts?partNumber=1&uploadId={upload}", len(data))[0], 200)
    s3.abort_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload)
    equal(put("bad", len(data) + 1)[0], 400)
    equal(put("bad", len(data) - 1)[0], 400)
    # Only of a body with this framing is it the length.
    status, content = put("bad", len(data), sha256="UNSIGNED-PAYLOAD")
    equal((status, b"MissingContentLength" in content), (411, True))
    equal(code(s3.head_object, Bucket=bucket, Key="bad")[0], 404)


def test_signed_chunks(s3, endpoint):
    """STREAMING-AWS4-HMAC-SHA256-PAYLOAD, signed by hand."""
    import hmac

    bucket_of(s3, "signed-chunks")
    chunks = [b"a" * 65536, b"b" * 10, b""]
    data = b"".join(chunks)

    def put(key, tamper):
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        from client import ACCESS_KEY, SECRET_KEY

        kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        headers = {"x-amz-content-sha256": kind, "x-amz-decoded-content-length": str(len(data))}
        path = f"/signed-chunks/{key}"
        request = AWSRequest(method="PUT", url=endpoint + path, headers=headers)
        auth = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1")
        auth.payload = lambda _: kind
        auth.add_auth(request)
        stamp = request.headers["X-Amz-Date"]
        scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
        signing_key = ("AWS4" + SECRET_KEY).encode()
        for text in [stamp[:8], "us-east-1", "s3", "aws4_request"]:
            signing_key = hmac.new(signing_key, text.encode(), hashlib.sha256).digest()
        previous = request.headers["Authorization"].rsplit("Signature=", 1)[1]
        body = b""
        for chunk in chunks:
            empty = hashlib.sha256(b"").hexdigest()
            to_sign = "\n".join(
                ["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, previous, empty, hashlib.sha256(chunk).hexdigest()]
            )
            previous = hmac.new(signing_key, to_sign.encode(), hashlib.sha256).hexdigest()
            sent = chunk.replace(b"b", b"B") if tamper else chunk
            body += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(chunk), previous.encode(), sent)
        return send(endpoint, "PUT", path, body, dict(request.headers.items()))

    status, _, content = put("k", False)
    equal((status, content), (200, b""))
    equal(s3.get_object(Bucket="signed-chunks", Key="k")["Body"].read(), data)
    status, _, content = put("bad", True)
    equal((status, b"SignatureDoesNotMatch" in content), (403, True))
    equal(code(s3.head_object, Bucket="signed-chunks", Key="bad")[0], 404)


def fetch(url, method="GET", data=None, headers=None):
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_presigned(_, endpoint):
    s3 = client(endpoint, signature_version="s3v4")
    bucket = bucket_of(s3, "presigned")

    params = {"Bucket": bucket, "Key": "a b/ä"}
    put = s3.generate_presigned_url("put_object", Params=params, ExpiresIn=60)
    equal(fetch(put, "PUT", b"presigned", {"Content-Type": ""})[0], 200)
    overridden = dict(params, ResponseContentType="text/x-test", ResponseContentDisposition="attachment")
    status, body, headers = fetch(s3.generate_presigned_url("get_object", Params=overridden, ExpiresIn=60))
    equal((status, body, headers["content-type"]), (200, b"presigned", "text/x-test"))
    equal(headers["content-disposition"], "attachment")
    get = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=60)
    tampered = get.replace("X-Amz-Expires=60", "X-Amz-Expires=61")
    equal(fetch(tampered)[0], 403)
    equal(fetch(get, "DELETE")[0], 403)
    # Whoever holds the URL must not make more of it than was signed.
    status, body, _ = fetch(put, "PUT", None, {"x-amz-copy-source": f"{bucket}/a%20b/%C3%A4"})
    equal((status, b"AccessDenied" in body), (403, True))
    expiring = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=1)
    time.sleep(2.1)
    equal(fetch(expiring)[0], 403)
    too_long = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=604801)
    equal(fetch(too_long)[0], 400)


def test_presigned_v2(_, endpoint):
    """What boto3 makes by default for this region."""
    s3 = client(endpoint, signature_version="s3")
    bucket = bucket_of(client(endpoint), "presigned-v2")
    params = {"Bucket": bucket, "Key": "a b/ä"}
    put = s3.generate_presigned_url("put_object", Params=params, ExpiresIn=60)
    assert "AWSAccessKeyId=" in put
    equal(fetch(put, "PUT", b"presigned", {"Content-Type": ""})[0], 200)
    get = s3.generate_presigned_url("get_object", Params=dict(params, ResponseContentType="a/b"), ExpiresIn=60)
    status, body, headers = fetch(get)
    equal((status, body, headers["content-type"]), (200, b"presigned", "a/b"))
    equal(fetch(put, "PUT", None, {"Content-Type": "", "x-amz-copy-source": f"{bucket}/k"})[0], 403)
    equal(fetch(get.replace("Signature=", "Signature=A"))[0], 403)
    expired = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=-1)
    equal(fetch(expired)[0], 403)


def test_authentication(s3, endpoint):
    bucket_of(s3, "authentication")
    status, _, body = send(endpoint, "GET", "/authentication")
    equal((status, b"<Code>AccessDenied</Code>" in body), (403, True))
    equal(send(endpoint, "PUT", "/authentication/k", b"x")[0], 403)
    status, _, body = raw(endpoint, "GET", "/authentication", secret="wrong-secret")
    equal((status, b"<Code>SignatureDoesNotMatch</Code>" in body), (403, True))
    old = {"authorization": "AWS somebody:c2lnbmF0dXJl", "date": "Tue, 27 Mar 2007 19:36:42 +0000"}
    status, _, body = send(endpoint, "GET", "/authentication", headers=old)
    equal((status, b"<Code>InvalidRequest</Code>" in body), (400, True))


def test_copy(s3, endpoint):
    bucket = bucket_of(s3, "copy")
    other = bucket_of(s3, "copy-other")
    data = b"copy me" * 300000
    put = s3.put_object(Bucket=bucket, Key="a b/ä", Body=data, ContentType="text/x", Metadata={"k": "v"})
    source = {"Bucket": bucket, "Key": "a b/ä"}
    copied = s3.copy_object(Bucket=other, Key="k", CopySource=source)["CopyObjectResult"]
    equal(copied["ETag"], put["ETag"])
    got = s3.get_object(Bucket=other, Key="k")
    assert got["Body"].read() == data
    equal((got["ContentType"], got["Metadata"]), ("text/x", {"k": "v"}))
    replace = dict(MetadataDirective="REPLACE", ContentType="text/y", Metadata={"n": "w"})
    s3.copy_object(Bucket=other, Key="k", CopySource=source, **replace)
    got = s3.head_object(Bucket=other, Key="k")
    equal((got["ContentType"], got["Metadata"]), ("text/y", {"n": "w"}))
    equal(code(s3.copy_object, Bucket=bucket, Key="a b/ä", CopySource=source), (400, "InvalidRequest"))
    s3.copy_object(Bucket=bucket, Key="a b/ä", CopySource=source, **replace)
    equal(s3.get_object(Bucket=bucket, Key="a b/ä")["Body"].read(), data)
    onto = dict(Bucket=other, Key="k", CopySource=source)
    failed = (412, "PreconditionFailed")
    equal(code(s3.copy_object, CopySourceIfMatch='"other"', **onto), failed)
    equal(code(s3.copy_object, CopySourceIfNoneMatch=put["ETag"], **onto), failed)
    modified = s3.head_object(**source)["LastModified"]
    hour = datetime.timedelta(hours=1)
    equal(code(s3.copy_object, CopySourceIfModifiedSince=modified + hour, **onto), failed)
    equal(code(s3.copy_object, CopySourceIfUnmodifiedSince=modified - hour, **onto), failed)
    s3.copy_object(CopySourceIfMatch=put["ETag"], CopySourceIfUnmodifiedSince=modified - hour, **onto)
    equal(code(s3.copy_object, Bucket=other, Key="k", CopySource=f"{bucket}/none"), (404, "NoSuchKey"))
    equal(code(s3.copy_object, Bucket=other, Key="k", CopySource="copy-none/k"), (404, "NoSuchBucket"))


def test_listing(s3, endpoint):
    bucket = bucket_of(s3, "listing")
    keys = ["a", "a/1", "a/2/x", "b/1", "b/2", "c d", "ä/ö"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    listed = s3.list_objects_v2(Bucket=bucket)
    equal([o["Key"] for o in listed["Contents"]], keys)
    equal((listed["KeyCount"], listed["IsTruncated"], listed["MaxKeys"]), (7, False, 1000))
    equal(listed["Contents"][0]["ETag"], f'"{hashlib.md5(b"x").hexdigest()}"')
    equal((listed["Contents"][0]["Size"], listed["Contents"][0]["StorageClass"]), (1, "STANDARD"))
    assert "Owner" not in listed["Contents"][0]
    assert "Owner" in s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]

    def shape(page):
        prefixes = [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        return [o["Key"] for o in page.get("Contents", [])], prefixes

    equal(shape(s3.list_objects_v2(Bucket=bucket, Delimiter="/")), (["a", "c d"], ["a/", "b/", "ä/"]))
    equal(shape(s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="a/")), (["a/1"], ["a/2/"]))
    equal(shape(s3.list_objects_v2(Bucket=bucket, Prefix="zz")), ([], []))
    equal(shape(s3.list_objects_v2(Bucket=bucket, StartAfter="b/1")), (["b/2", "c d", "ä/ö"], []))
    # A common prefix is left out when it is the marker, not when the marker is a key under it.
    after = dict(Bucket=bucket, Delimiter="/")
    equal(shape(s3.list_objects_v2(StartAfter="a/1", **after)), (["c d"], ["a/", "b/", "ä/"]))
    equal(shape(s3.list_objects_v2(StartAfter="a/", **after)), (["c d"], ["b/", "ä/"]))
    equal(shape(s3.list_objects(Marker="b/2", **after)), (["c d"], ["ä/"]))
    equal(shape(s3.list_objects_v2(Bucket=bucket, MaxKeys=0)), ([], []))
    equal(code(s3.list_objects_v2, Bucket=bucket, ContinuationToken="?"), (400, "InvalidArgument"))
    equal(code(s3.list_objects_v2, Bucket="listing-none"), (404, "NoSuchBucket"))
    equal(raw(endpoint, "GET", "/listing?list-type=2&max-keys=-1")[0], 400)
    for size in range(1, 9):
        for name in ["list_objects_v2", "list_objects"]:
            paginator = s3.get_paginator(name)
            pages = list(paginator.paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}))
            assert all(len(shape(page)[0]) + len(shape(page)[1]) <= size for page in pages)
            equal(sum((shape(page)[0] for page in pages), []), ["a", "c d"])
            equal(sum((shape(page)[1] for page in pages), []), ["a/", "b/", "ä/"])
            pages = list(paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
            equal(sum((shape(page)[0] for page in pages), []), keys)
    first = s3.list_objects(Bucket=bucket, MaxKeys=2, Delimiter="/")
    equal((first["IsTruncated"], first["NextMarker"]), (True, "a/"))
    _, _, body = raw(endpoint, "GET", "/listing?encoding-type=url&prefix=c%20")
    assert b"<Key>c%20d</Key>" in body and b"<EncodingType>url</EncodingType>" in body, body
    _, _, body = raw(endpoint, "GET", "/listing?prefix=c%20")
    assert b"<Key>c d</Key>" in body, body
    versions = s3.list_object_versions(Bucket=bucket, Prefix="a")["Versions"]
    equal([(v["Key"], v["VersionId"], v["IsLatest"]) for v in versions], [(k, "null", True) for k in keys[:3]])


def test_delete_objects(s3, endpoint):
    bucket = bucket_of(s3, "delete-objects")
    keys = [f"k/{i:04}" for i in range(1000)]
    for key in keys[:30]:
        s3.put_object(Bucket=bucket, Key=key)
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    equal([d["Key"] for d in deleted["Deleted"]], keys)
    equal(s3.list_objects_v2(Bucket=bucket)["KeyCount"], 0)
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}], "Quiet": True})
    assert "Deleted" not in quiet
    too_many = [{"Key": key} for key in keys] + [{"Key": "k"}]
    equal(code(s3.delete_objects, Bucket=bucket, Delete={"Objects": too_many}), (400, "MalformedXML"))
    s3.put_object(Bucket=bucket, Key="kept")
    objects = [{"Key": "kept", "ETag": '"other"'}, {"Key": "k", "VersionId": "7"}]
    errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})["Errors"]
    equal([(e["Key"], e["Code"]) for e in errors], [("kept", "PreconditionFailed"), ("k", "NotImplemented")])
    body = b"<Delete><Object><Key>kept</Key></Object></Delete>"
    wrong = {"content-md5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}
    status, _, content = raw(endpoint, "POST", "/delete-objects?delete", body, wrong)
    equal((status, b"BadDigest" in content), (400, True))
    status, _, content = raw(endpoint, "POST", "/delete-objects?delete", body, sha256="0" * 64)
    equal((status, b"XAmzContentSHA256Mismatch" in content), (400, True))
    status, _, content = raw(endpoint, "POST", "/delete-objects?delete", b"<Delete><Obj")
    equal((status, b"MalformedXML" in content), (400, True))
    s3.head_object(Bucket=bucket, Key="kept")
    equal(code(s3.delete_objects, Bucket="delete-none", Delete={"Objects": [{"Key": "k"}]}), (404, "NoSuchBucket"))


def test_multipart(s3, endpoint):
    bucket = bucket_of(s3, "multipart")
    bodies = [b"1" * (5 * MIB), b"2" * (5 * MIB + 1), b"3" * 10]
    key = dict(Bucket=bucket, Key="a/ä")
    upload = s3.create_multipart_upload(ContentType="text/x", Metadata={"k": "v"}, **key)["UploadId"]
    numbers, etags = [1, 2, 7], []
    for number, body in zip(numbers, bodies):
        part = s3.upload_part(UploadId=upload, PartNumber=number, Body=body, **key)
        equal(part["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
        etags.append(part["ETag"])
    listed = s3.list_parts(UploadId=upload, **key)
    equal([(p["PartNumber"], p["Size"]) for p in listed["Parts"]], [(n, len(b)) for n, b in zip(numbers, bodies)])
    page = s3.list_parts(UploadId=upload, MaxParts=1, PartNumberMarker=1, **key)
    equal((page["Parts"][0]["PartNumber"], page["IsTruncated"], page["NextPartNumberMarker"]), (2, True, 2))
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    equal([(u["Key"], u["UploadId"]) for u in uploads], [("a/ä", upload)])
    equal(code(s3.head_object, **key)[0], 404)

    def complete(pairs):
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in pairs]
        return s3.complete_multipart_upload(UploadId=upload, MultipartUpload={"Parts": parts}, **key)

    pairs = list(zip(numbers, etags))
    equal(code(complete, [pairs[1], pairs[0]]), (400, "InvalidPartOrder"))
    equal(code(complete, [pairs[0], pairs[0]]), (400, "InvalidPartOrder"))
    equal(code(complete, [(1, etags[1])]), (400, "InvalidPart"))
    equal(code(complete, [(3, etags[0])]), (400, "InvalidPart"))
    small = s3.upload_part(UploadId=upload, PartNumber=6, Body=b"small", **key)["ETag"]
    equal(code(complete, [(6, small), pairs[2]]), (400, "EntityTooSmall"))
    done = complete(pairs)
    md5s = b"".join(hashlib.md5(body).digest() for body in bodies)
    equal(done["ETag"], f'"{hashlib.md5(md5s).hexdigest()}-3"')
    got = s3.get_object(**key)
    whole = b"".join(bodies)
    assert got["Body"].read() == whole
    equal((got["ContentType"], got["Metadata"], got["ETag"]), ("text/x", {"k": "v"}, done["ETag"]))
    middle = s3.get_object(Range=f"bytes={5 * MIB - 3}-{5 * MIB + 2}", **key)["Body"].read()
    equal(middle, b"111222")
    second = s3.get_object(PartNumber=2, **key)
    equal((second["PartsCount"], second["ResponseMetadata"]["HTTPStatusCode"]), (3, 206))
    assert second["Body"].read() == bodies[1]
    equal(s3.head_object(PartNumber=3, **key)["ContentLength"], 10)
    equal(code(s3.head_object, PartNumber=4, **key)[0], 416)
    # A client that has missed the answer asks again.
    equal(complete(pairs)["ETag"], done["ETag"])
    equal(code(complete, pairs[:2]), (404, "NoSuchUpload"))
    equal(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []), [])

    upload = s3.create_multipart_upload(**key)["UploadId"]
    s3.upload_part(UploadId=upload, PartNumber=1, Body=b"x", **key)
    s3.abort_multipart_upload(UploadId=upload, **key)
    equal(code(s3.upload_part, UploadId=upload, PartNumber=1, Body=b"x", **key), (404, "NoSuchUpload"))
    equal(code(s3.abort_multipart_upload, UploadId=upload, **key), (404, "NoSuchUpload"))
    equal(code(s3.list_parts, UploadId="none", **key), (404, "NoSuchUpload"))
    assert s3.get_object(**key)["Body"].read() == whole
    upload = s3.create_multipart_upload(**key)["UploadId"]
    for number in [0, 10001]:
        equal(code(s3.upload_part, UploadId=upload, PartNumber=number, Body=b"", **key), (400, "InvalidArgument"))
    s3.abort_multipart_upload(UploadId=upload, **key)
    s3.put_object(Body=b"other", **key)
    equal(code(complete, pairs), (404, "NoSuchUpload"))


def test_part_copies(s3, endpoint):
    bucket = bucket_of(s3, "part-copies")
    data = hashlib.sha256(b"part").digest() * (6 * MIB // 32)
    etag = s3.put_object(Bucket=bucket, Key="source", Body=data)["ETag"]
    key, source = dict(Bucket=bucket, Key="k"), f"{bucket}/source"
    upload = s3.create_multipart_upload(**key)["UploadId"]
    copy = dict(UploadId=upload, CopySource=source, **key)
    first = s3.upload_part_copy(PartNumber=1, CopySourceIfMatch=etag, **copy)["CopyPartResult"]
    equal(first["ETag"], etag)
    second = s3.upload_part_copy(PartNumber=2, CopySourceRange="bytes=5-9", **copy)["CopyPartResult"]
    for asked in ["bytes=5-", f"bytes=0-{len(data)}", "bytes=9-5"]:
        equal(code(s3.upload_part_copy, PartNumber=3, CopySourceRange=asked, **copy), (400, "InvalidArgument"))
    equal(code(s3.upload_part_copy, PartNumber=3, CopySourceIfNoneMatch=etag, **copy), (412, "PreconditionFailed"))
    parts = [{"PartNumber": 1, "ETag": first["ETag"]}, {"PartNumber": 2, "ETag": second["ETag"]}]
    s3.complete_multipart_upload(UploadId=upload, MultipartUpload={"Parts": parts}, **key)
    assert s3.get_object(**key)["Body"].read() == data + data[5:10]


def test_multipart_uploads_pages(s3, endpoint):
    bucket = bucket_of(s3, "multipart-pages")
    begun = []
    for key in ["a", "b", "b", "c"]:
        begun.append((key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]))
    for size in range(1, 6):
        pages = s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": size}
        )
        seen = [(u["Key"], u["UploadId"]) for page in pages for u in page.get("Uploads", [])]
        equal(seen, begun)
    for key, upload in begun:
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
    s3.delete_bucket(Bucket=bucket)


def test_multipart_checksums(s3, endpoint):
    bucket = bucket_of(s3, "multipart-checksums")
    bodies = [b"1" * (5 * MIB), b"2" * 10]

    def run(name, checksum_type, sent, expected):
        key = dict(Bucket=bucket, Key=f"{name}-{checksum_type}")
        field = f"Checksum{name}"
        begun = s3.create_multipart_upload(ChecksumAlgorithm=name, ChecksumType=checksum_type, **key)
        upload = dict(UploadId=begun["UploadId"], **key)
        parts = []
        for number, body in enumerate(bodies, 1):
            part = s3.upload_part(PartNumber=number, Body=body, ChecksumAlgorithm=name, **upload)
            parts.append({"PartNumber": number, "ETag": part["ETag"], field: part[field]})
        # The checksum that comes with the list of parts is not the list's but the object's.
        finish = dict(MultipartUpload={"Parts": parts}, ChecksumType=checksum_type, **upload)
        other = base64.b64encode(bytes(len(base64.b64decode(sent.split("-")[0])))).decode()
        equal(code(s3.complete_multipart_upload, **{field: other}, **finish), (400, "BadDigest"))
        s3.complete_multipart_upload(**{field: sent}, **finish)
        head = s3.head_object(ChecksumMode="ENABLED", **key)
        equal((head["ChecksumType"], head[field]), (checksum_type, expected))
        got = s3.get_object(ChecksumMode="ENABLED", **key)
        assert got["Body"].read() == b"".join(bodies)

    whole = crc32(b"".join(bodies))
    run("CRC32", "FULL_OBJECT", whole, whole)
    sums = crc32(b"".join(zlib.crc32(body).to_bytes(4, "big") for body in bodies))
    run("CRC32", "COMPOSITE", sums, sums + "-2")
    sums = b"".join(hashlib.sha256(body).digest() for body in bodies)
    sums = base64.b64encode(hashlib.sha256(sums).digest()).decode() + "-2"
    run("SHA256", "COMPOSITE", sums, sums)
    wrong = dict(Bucket=bucket, Key="wrong")
    bad_type = dict(ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")
    equal(code(s3.create_multipart_upload, **bad_type, **wrong), (400, "InvalidRequest"))
    upload = s3.create_multipart_upload(ChecksumAlgorithm="SHA256", **wrong)["UploadId"]
    part = dict(UploadId=upload, PartNumber=1, Body=b"x", **wrong)
    equal(code(s3.upload_part, ChecksumAlgorithm="CRC32", **part), (400, "InvalidRequest"))
    equal(code(s3.upload_part, ChecksumSHA256=base64.b64encode(b"x" * 32).decode(), **part), (400, "BadDigest"))
    s3.abort_multipart_upload(UploadId=upload, **wrong)
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="CRC32-COMPOSITE", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "ObjectSize"]
    )
    equal(attributes["ObjectSize"], sum(map(len, bodies)))
    equal(attributes["ObjectParts"]["TotalPartsCount"], 2)


def test_api_version(s3, endpoint):
    """The AWS SDK for C++ names the version of the API in every request."""
    bucket_of(s3, "api-version")
    equal(raw(endpoint, "HEAD", "/api-version", headers={"x-amz-api-version": "2006-03-01"})[0], 200)
    equal(raw(endpoint, "HEAD", "/api-version", headers={"x-amz-api-version": "2027-01-01"})[0], 501)


def test_not_implemented(s3, endpoint):
    bucket = bucket_of(s3, "not-implemented")
    key = dict(Bucket=bucket, Key="k")
    refused = (501, "NotImplemented")
    equal(code(s3.put_object, ServerSideEncryption="AES256", **key), refused)
    equal(code(s3.put_object, Tagging="a=b", **key), refused)
    equal(code(s3.put_object, WebsiteRedirectLocation="/x", **key), refused)
    equal(code(s3.head_object, **key)[0], 404)
    s3.put_object(Body=b"x", ACL="private", **key)
    equal(code(s3.get_object, VersionId="7", **key), refused)
    equal(code(s3.delete_object, VersionId="7", **key), refused)
    equal(s3.get_object(VersionId="null", **key)["Body"].read(), b"x")
    for method, query in [("DELETE", "acl"), ("DELETE", "legal-hold"), ("PUT", "restore"), ("PUT", "uploadId=1")]:
        equal(raw(endpoint, method, f"/not-implemented/k?{query}")[0], 501)
    for query in ["notification", "acl", "versioning", "logging"]:
        equal(raw(endpoint, "DELETE", f"/not-implemented?{query}")[0], 501)
    equal(s3.get_object(**key)["Body"].read(), b"x")
    versioning = {"Status": "Enabled"}
    equal(code(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=versioning), refused)
    equal(code(s3.copy_object, CopySource=f"{bucket}/k?versionId=7", **dict(key, Key="copy")), refused)


def test_asking_for_nothing(s3, endpoint):
    """What holds anyway may be asked for; what does not is refused, and nothing of it is done."""
    bucket = bucket_of(s3, "nothing")
    key = dict(Bucket=bucket, Key="k")
    refused, no_lock = (501, "NotImplemented"), (400, "InvalidRequest")
    # Applications send such an ACL with every upload. It gives nobody a right.
    for acl in ["private", "public-read", "public-read-write", "authenticated-read", "bucket-owner-full-control"]:
        s3.put_object(ACL=acl, Body=b"x", **key)
        equal([grant["Permission"] for grant in s3.get_object_acl(**key)["Grants"]], ["FULL_CONTROL"])
        equal(send(endpoint, "GET", "/nothing/k")[0], 403)
    s3.copy_object(CopySource=f"{bucket}/k", ACL="public-read", **dict(key, Key="copy"))
    upload = s3.create_multipart_upload(ACL="public-read", **dict(key, Key="upload"))["UploadId"]
    s3.abort_multipart_upload(UploadId=upload, **dict(key, Key="upload"))
    # An ACL that is asked for by itself would have to be obeyed.
    s3.put_object_acl(ACL="private", **key)
    s3.put_bucket_acl(ACL="private", Bucket=bucket)
    s3.put_object_acl(AccessControlPolicy={name: s3.get_object_acl(**key)[name] for name in ("Owner", "Grants")}, **key)
    equal(code(s3.put_object_acl, ACL="public-read", **key), refused)
    equal(code(s3.put_bucket_acl, ACL="public-read", Bucket=bucket), refused)
    equal(code(s3.put_object, GrantRead="id=x", **key), refused)
    equal(raw(endpoint, "PUT", "/nothing/k?acl")[0], 400)
    # Nothing is locked.
    retain = datetime.datetime(2040, 1, 1)
    equal(code(s3.put_object, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=retain, **key), no_lock)
    equal(code(s3.put_object, ObjectLockLegalHoldStatus="ON", **key), no_lock)
    equal(code(s3.get_object_retention, **key), no_lock)
    equal(code(s3.get_object_legal_hold, **key), no_lock)
    equal(code(s3.put_object_retention, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": retain}, **key), no_lock)
    equal(code(s3.put_object_legal_hold, LegalHold={"Status": "ON"}, **key), no_lock)
    s3.delete_object(BypassGovernanceRetention=True, **dict(key, Key="copy"))
    equal(code(s3.head_object, **dict(key, Key="copy"))[0], 404)
    # What was never set can be taken away, and be set to what it is.
    for call in [
        s3.delete_bucket_cors,
        s3.delete_bucket_encryption,
        s3.delete_bucket_lifecycle,
        s3.delete_bucket_ownership_controls,
        s3.delete_bucket_policy,
        s3.delete_bucket_replication,
        s3.delete_bucket_tagging,
        s3.delete_bucket_website,
        s3.delete_public_access_block,
    ]:
        equal(call(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"], 204)
        equal(code(call, Bucket="nothing-none"), (404, "NoSuchBucket"))
    equal(s3.delete_object_tagging(**key)["ResponseMetadata"]["HTTPStatusCode"], 204)
    equal(code(s3.delete_object_tagging, **dict(key, Key="none")), (404, "NoSuchKey"))
    s3.put_object_tagging(Tagging={"TagSet": []}, **key)
    s3.put_bucket_tagging(Tagging={"TagSet": []}, Bucket=bucket)
    s3.put_bucket_logging(BucketLoggingStatus={}, Bucket=bucket)
    s3.put_bucket_notification_configuration(NotificationConfiguration={}, Bucket=bucket)
    s3.put_bucket_request_payment(RequestPaymentConfiguration={"Payer": "BucketOwner"}, Bucket=bucket)
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    equal(code(s3.put_object_tagging, Tagging=tags, **key), refused)
    equal(code(s3.put_bucket_tagging, Tagging=tags, Bucket=bucket), refused)
    equal(code(s3.put_bucket_request_payment, RequestPaymentConfiguration={"Payer": "Requester"}, Bucket=bucket), refused)
    # A new bucket is made as it is asked for, or not at all.
    inner = "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"
    body = f"<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>".encode()
    status, _, answer = raw(endpoint, "PUT", "/nothing-tagged", body)
    equal((status, b"<Code>NotImplemented</Code>" in answer), (501, True))
    equal(code(s3.head_bucket, Bucket="nothing-tagged")[0], 404)
    equal(s3.get_object(**key)["Body"].read(), b"x")


def test_settings_never_made(s3, endpoint):
    bucket = bucket_of(s3, "settings")
    s3.put_object(Bucket=bucket, Key="k")
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for call, expected in [
        (s3.get_bucket_policy, "NoSuchBucketPolicy"),
        (s3.get_bucket_cors, "NoSuchCORSConfiguration"),
        (s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration"),
        (s3.get_bucket_tagging, "NoSuchTagSet"),
        (s3.get_bucket_website, "NoSuchWebsiteConfiguration"),
        (s3.get_bucket_replication, "ReplicationConfigurationNotFoundError"),
        (s3.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError"),
        (s3.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError"),
        (s3.get_public_access_block, "NoSuchPublicAccessBlockConfiguration"),
    ]:
        equal(code(call, Bucket=bucket), (404, expected))
        equal(code(call, Bucket="settings-none"), (404, "NoSuchBucket"))
    equal(s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"], "FULL_CONTROL")
    equal(s3.get_object_acl(Bucket=bucket, Key="k")["Grants"][0]["Permission"], "FULL_CONTROL")
    equal(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"], [])
    equal(s3.get_bucket_request_payment(Bucket=bucket)["Payer"], "BucketOwner")


def test_errors(s3, endpoint):
    bucket_of(s3, "errors")
    status, headers, body = raw(endpoint, "GET", "/errors/a%20%26b")
    request_id = headers["x-amz-request-id"]
    equal(len(request_id), 16)
    equal(headers["content-type"], "application/xml")
    equal(
        body.decode(),
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
        "<Message>The key does not exist.</Message><Key>a &amp;b</Key>"
        f"<Resource>/errors/a &amp;b</Resource><RequestId>{request_id}</RequestId></Error>",
    )
    for method, path, *fields in [
        ("GET", "/errors/none", "Key"),
        ("GET", "/none-such", "BucketName"),
        ("POST", "/errors"),
        ("PATCH", "/errors/k", "Method"),
    ]:
        status, headers, body = raw(endpoint, method, path)
        assert status >= 400
        root = xml.etree.ElementTree.fromstring(body)
        equal([child.tag for child in root], ["Code", "Message", *fields, "Resource", "RequestId"])
        equal(root.find("RequestId").text, headers["x-amz-request-id"])
    status, headers, body = raw(endpoint, "HEAD", "/errors/none")
    equal((status, body), (404, b""))
    assert "x-amz-request-id" in raw(endpoint, "PUT", "/errors/k")[1]
    form = {"content-type": "multipart/form-data; boundary=x"}
    equal(send(endpoint, "POST", "/errors", b"--x--", form)[0], 501)
    status, _, body = send(endpoint, "GET", "/")
    equal(status, 403)


def test_incomplete_body(s3, endpoint):
    """A body that ends early stores nothing."""
    import socket

    bucket = bucket_of(s3, "incomplete")
    url = client(endpoint, signature_version="s3v4").generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 2000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 1500000)
    time.sleep(0.5)
    equal(code(s3.head_object, Bucket=bucket, Key="k")[0], 404)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"1\r\nx\r\n0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 411")


def test_admin_api(s3, endpoint):
    """As mc asks: for no region, and a POST without a body says nothing of its length."""
    import socket

    def ask(method, path, *more, body=b""):
        request = AWSRequest(method=method, url=endpoint + path, headers={"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()})
        S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "").add_auth(request)
        parts = urllib.parse.urlsplit(endpoint)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
        lines += [*more, *(f"{name}: {value}" for name, value in request.headers.items())]
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            answer = b""
            while more := connection.recv(65536):
                answer += more
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-type: application/json" in head, head
        return int(head.split(b" ")[1]), json.loads(body)

    status, info = ask("GET", "/minio/admin/v3/info")
    equal(status, 200)
    server, backend = info["servers"][0], info["backend"]
    drives = len(server["drives"])
    equal((backend["totalSets"], backend["totalDrivesPerSet"]), ([1], [drives]))
    equal((server["network"], server["poolNumbers"]), ({server["endpoint"]: "online"}, [1]))
    equal([drive["disk_index"] for drive in server["drives"]], list(range(drives)))
    for method, path in [
        ("POST", "/minio/admin/v3/background-heal/status"),
        ("GET", "/minio/admin/v3/trace"),
        ("GET", "/minio/kms/v1/key/status"),
    ]:
        status, error = ask(method, path)
        equal((status, error["Code"], error["Resource"]), (501, "NotImplemented", path))
        assert error["Message"] and len(error["RequestId"]) == 16, error
    status, error = ask("POST", "/minio/kms/v1/key/create", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")
    equal((status, error["Code"]), (501, "NotImplemented"))
    status, _, body = send(endpoint, "GET", "/minio/admin/v3/info")
    equal((status, json.loads(body)["Code"]), (403, "AccessDenied"))


def test_health(s3, endpoint):
    for method in ["GET", "HEAD"]:
        for path in ["live", "ready", "cluster", "cluster/read"]:
            equal(send(endpoint, method, f"/minio/health/{path}")[0], 200)
    equal(send(endpoint, "GET", "/minio/health/cluster?maintenance=true")[0], 412)
    assert int(send(endpoint, "GET", "/minio/health/cluster")[1]["x-minio-write-quorum"]) >= 1
    assert int(send(endpoint, "GET", "/minio/health/cluster/read")[1]["x-minio-read-quorum"]) >= 1
    equal(send(endpoint, "GET", "/minio/health/none")[0], 404)


def main():
    endpoint, names = sys.argv[1], sys.argv[2:]
    s3 = client(endpoint)
    failed = []
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (names and name not in names):
            continue
        started = time.monotonic()
        try:
            test(s3, endpoint)
            print(f"ok   {name} {time.monotonic() - started:.1f} s", flush=True)
        except Exception:
            failed.append(name)
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(failed)} failed: {failed}" if failed else "all passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
