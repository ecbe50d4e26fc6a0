"""Objects that go in at one node and out at every other: `cluster.py ENDPOINT… fill|verify`.

Each version of boto3 has a bucket of its own, so that both run at once."""

import random
import sys

import boto3
from botocore.exceptions import ClientError

from client import client

BUCKET = "nodes-" + boto3.__version__.replace(".", "-")
KIB, MIB = 1 << 10, 1 << 20
SIZES = [0, 1, 4 * KIB, 100 * KIB, MIB + 1, 3 * MIB + 17]
PART = 5 * MIB


def content(key, size):
    return random.Random(key).randbytes(size)


def objects():
    """All keys, and the bytes that each has in the end."""
    found = {f"size/{size}/{number}": content(f"{size} {number}", size) for size in SIZES for number in range(4)}
    found |= {f"overwritten/{number}": content(f"second {number}", 30 * KIB * (number + 1)) for number in range(4)}
    return found | {f"parts/{number}": content(f"parts {number}", 2 * PART + 99) for number in range(2)}


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def fill(nodes):
    at = lambda number: nodes[number % len(nodes)]
    at(0).create_bucket(Bucket=BUCKET)
    for node in nodes:
        assert BUCKET in [bucket["Name"] for bucket in node.list_buckets()["Buckets"]], "a node does not know the bucket"
    assert refused(at(1).create_bucket, Bucket=BUCKET) in (None, "BucketAlreadyOwnedByYou")
    for number in range(4):
        key = dict(Bucket=BUCKET, Key=f"overwritten/{number}")
        at(number).put_object(Body=content(f"first {number}", MIB), **key)
        assert at(number + 1).get_object(**key)["Body"].read() == content(f"first {number}", MIB), key
    for number, (key, body) in enumerate(objects().items()):
        if key.startswith("parts/"):
            parts(nodes, key, body)
        else:
            at(number).put_object(Bucket=BUCKET, Key=key, Body=body)
    for number in range(4):
        key = dict(Bucket=BUCKET, Key=f"deleted/{number}")
        at(number).put_object(Body=b"x" * (number * 200 * KIB), **key)
        at(number + 1).delete_object(**key)
        for node in nodes:
            assert refused(node.head_object, **key) == "404", f"deleted at another node, and there: {key}"
    source, copy = f"{BUCKET}/parts/0", dict(Bucket=BUCKET, Key="copied/parts")
    at(2).copy_object(CopySource=source, **copy)
    assert at(3).get_object(**copy)["Body"].read() == objects()["parts/0"]
    at(0).delete_object(**copy)


def parts(nodes, key, body):
    """Each step at the next node."""
    at = lambda number: nodes[number % len(nodes)]
    key = dict(Bucket=BUCKET, Key=key)
    upload = at(0).create_multipart_upload(**key)["UploadId"]
    done = []
    for number, begin in enumerate(range(0, len(body), PART), 1):
        part = at(number).upload_part(UploadId=upload, PartNumber=number, Body=body[begin : begin + PART], **key)
        done.append({"PartNumber": number, "ETag": part["ETag"]})
    listed = at(2).list_parts(UploadId=upload, **key)["Parts"]
    assert [part["ETag"] for part in listed] == [part["ETag"] for part in done], "the parts are not known everywhere"
    at(3).complete_multipart_upload(UploadId=upload, MultipartUpload={"Parts": done}, **key)
    assert refused(at(1).list_parts, UploadId=upload, **key) == "NoSuchUpload"


def verify(nodes):
    wanted = objects()
    for node in nodes:
        pages = node.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 10})
        listed = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
        assert listed == {key: len(body) for key, body in wanted.items()}, listed
        folders = node.list_objects_v2(Bucket=BUCKET, Delimiter="/")["CommonPrefixes"]
        assert [folder["Prefix"] for folder in folders] == ["overwritten/", "parts/", "size/"], folders
    for number, (key, body) in enumerate(wanted.items()):
        # Larger ones at two nodes: each node reads each kind.
        for node in nodes if len(body) <= MIB else [nodes[number % len(nodes)], nodes[(number + 1) % len(nodes)]]:
            assert node.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body, f"wrong bytes: {key}"
        if len(body) > MIB:
            begin, end = MIB - 7, min(len(body), 2 * PART + 50)
            for node in nodes:
                got = node.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={begin}-{end - 1}")["Body"].read()
                assert got == body[begin:end], f"wrong range: {key}"


if __name__ == "__main__":
    *endpoints, phase = sys.argv[1:]
    nodes = [client(endpoint) for endpoint in endpoints]
    if phase == "fill":
        fill(nodes)
    verify(nodes)
    print(f"boto3 {boto3.__version__}: {phase}")
