"""Objects whose bytes follow from their names, for tests that damage drives: `drives.py ENDPOINT PHASE`."""

import http.client
import random
import sys
import time

from fast import Fast, Refused

BUCKET = "drives"
KIB, MIB = 1 << 10, 1 << 20
SIZES = [0, 1, 100, 4 * KIB, 20 * KIB, 100 * KIB, 300 * KIB, MIB, MIB + 1, 3 * MIB + 17]
KEYS = [f"{size}/{number}" for size in SIZES for number in range(8)]
PART = 5 * MIB


def content(key):
    return random.Random(key).randbytes(int(key.split("/")[0]))


def fill(s3):
    s3.call("PUT", f"/{BUCKET}")
    for key in KEYS:
        s3.put(BUCKET, key, content(key))
    multipart(s3, "multipart")


def multipart(s3, key):
    """Writes `key` in three parts."""
    path = f"/{BUCKET}/{key}"
    # fast.py signs no query: the upload goes through boto3.
    from client import client

    boto = client("http://" + s3.host)
    upload = boto.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    parts = []
    for number, body in enumerate(parts_of(key), 1):
        part = boto.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    boto.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.call("GET", path) == b"".join(parts_of(key))


def parts_of(key):
    generator = random.Random(key)
    return [generator.randbytes(PART), generator.randbytes(PART + 1), generator.randbytes(99)]


def verify(s3):
    """All objects have the right bytes, and are listed."""
    for key in KEYS:
        assert s3.get(BUCKET, key) == content(key), f"wrong bytes: {key}"
    assert s3.get(BUCKET, "multipart") == b"".join(parts_of("multipart")), "wrong bytes: multipart"
    from client import client

    boto = client("http://" + s3.host)
    listed = [o["Key"] for o in boto.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert set(listed) >= set(KEYS) | {"multipart"}, "the listing is not complete"
    got = boto.get_object(Bucket=BUCKET, Key=f"{MIB + 1}/0", Range=f"bytes={MIB - 5}-{MIB}")["Body"].read()
    assert got == content(f"{MIB + 1}/0")[MIB - 5 :], "wrong range"


def verify_or_error(s3):
    """Right bytes, an error that is no 404, or a response that is visibly broken off."""
    outcomes = {}
    for key in KEYS + ["multipart"]:
        expected = content(key) if key != "multipart" else b"".join(parts_of(key))
        try:
            got = s3.get(BUCKET, key)
            assert got == expected, f"wrong bytes: {key}"
            outcome = "right"
        except Refused as refused:
            assert refused.status >= 500, f"{key}: {refused}"
            outcome = refused.status
        except (http.client.HTTPException, OSError) as error:
            outcome = type(error).__name__
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    print(outcomes)


def work(s3):
    """Every kind of write goes on."""
    stamp = str(time.time_ns())
    for size in SIZES:
        key = f"{size}/new-{stamp}"
        s3.put(BUCKET, key, content(key))
        assert s3.get(BUCKET, key) == content(key)
        s3.put(BUCKET, key, b"overwritten")
        assert s3.get(BUCKET, key) == b"overwritten"
        s3.delete(BUCKET, key)
        try:
            s3.get(BUCKET, key)
            raise AssertionError("deleted, but there")
        except Refused as refused:
            assert refused.status == 404, refused
    s3.call("PUT", f"/work-{stamp}")
    s3.call("DELETE", f"/work-{stamp}")
    multipart(s3, "multipart-2")


def writes_refused(s3):
    """Writes are answered 503, soon."""
    for call in [
        lambda: s3.put(BUCKET, "refused", b"x"),
        lambda: s3.put(BUCKET, "refused", b"x" * (2 * MIB)),
        lambda: s3.put(BUCKET, KEYS[0], b"x"),
        lambda: s3.delete(BUCKET, KEYS[1]),
        lambda: s3.call("PUT", "/refused-bucket"),
    ]:
        started = time.monotonic()
        try:
            call()
            raise AssertionError("the write was acknowledged")
        except Refused as refused:
            assert refused.status == 503, refused
        took = time.monotonic() - started
        assert took < 5, f"{took:.1f} s"
    try:
        s3.get(BUCKET, "refused")
        raise AssertionError("the refused write is there")
    except Refused as refused:
        assert refused.status in (404, 503), refused


if __name__ == "__main__":
    globals()[sys.argv[2]](Fast(sys.argv[1]))
