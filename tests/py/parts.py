"""Attributes, parts and checksums as S3 tells of them. parts.py ENDPOINT"""

import base64
import hashlib
import sys
import urllib.parse
import xml.etree.ElementTree
import zlib

from client import client, raw

BUCKET = "parts"
MIB = 1 << 20
BODIES = [b"1" * (5 * MIB), b"2" * 10]


def equal(actual, expected):
    assert actual == expected, f"{actual!r}, not {expected!r}"


def code(answer):
    return answer[0], answer[2].decode().partition("<Code>")[2].partition("</Code>")[0]


def encoded(digest):
    return base64.b64encode(digest).decode()


def crc32(data):
    return encoded(zlib.crc32(data).to_bytes(4, "big"))


def sha256(data):
    return encoded(hashlib.sha256(data).digest())


def begin(s3, key, **checksum):
    return dict(Bucket=BUCKET, Key=key, UploadId=s3.create_multipart_upload(Bucket=BUCKET, Key=key, **checksum)["UploadId"])


def path_of(upload, **query):
    return f"/{BUCKET}/{upload['Key']}?" + urllib.parse.urlencode(dict(uploadId=upload["UploadId"], **query))


def complete(endpoint, upload, parts):
    """Parts are (number, ETag, further XML)."""
    text = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag>{more}</Part>" for n, etag, more in parts)
    body = f"<CompleteMultipartUpload>{text}</CompleteMultipartUpload>".encode()
    return raw(endpoint, "POST", path_of(upload), body)


def text_of(xml_bytes, name):
    root = xml.etree.ElementTree.fromstring(xml_bytes)
    return next((element.text for element in root.iter() if element.tag.rpartition("}")[2] == name), None)


def attributes(s3, endpoint):
    etag = s3.put_object(Bucket=BUCKET, Key="object", Body=b"abc")["ETag"].strip('"')

    def ask(names, key="object"):
        headers = {} if names is None else {"x-amz-object-attributes": names}
        return raw(endpoint, "GET", f"/{BUCKET}/{key}?attributes", headers=headers)

    status, _, body = ask("ETag,ObjectSize")
    equal((status, text_of(body, "ETag"), text_of(body, "ObjectSize")), (200, etag, "3"))
    equal(s3.get_object_attributes(Bucket=BUCKET, Key="object", ObjectAttributes=["ETag"])["ETag"], etag)
    # Also of keys that are not there.
    for key in ["object", "none"]:
        for names in ["Etag", "ETag,", "ETag,Colour"]:
            equal(code(ask(names, key)), (400, "InvalidArgument"))
        for names in ["", None]:
            equal(code(ask(names, key)), (400, "InvalidRequest"))
    equal(code(ask("ETag", "none")), (404, "NoSuchKey"))


def composite(s3, endpoint):
    upload = begin(s3, "composite", ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE")
    etags, sums = [], [sha256(body) for body in BODIES]
    for number, (body, own) in enumerate(zip(BODIES, sums), 1):
        refused = raw(endpoint, "PUT", path_of(upload, partNumber=number), body)
        equal(code(refused), (400, "InvalidRequest"))
        refused = raw(endpoint, "PUT", path_of(upload, partNumber=number), body, {"x-amz-checksum-crc32": crc32(body)})
        equal(code(refused), (400, "InvalidRequest"))
        status, headers, _ = raw(endpoint, "PUT", path_of(upload, partNumber=number), body, {"x-amz-checksum-sha256": own})
        equal((status, headers["x-amz-checksum-sha256"]), (200, own))
        etags.append(headers["etag"])

    def finish(*more):
        return complete(endpoint, upload, list(zip([1, 2], etags, more)))

    own = [f"<ChecksumSHA256>{value}</ChecksumSHA256>" for value in sums]
    other = f"<ChecksumCRC32>{crc32(BODIES[1])}</ChecksumCRC32>"
    equal(code(finish("", "")), (400, "InvalidRequest"))
    equal(code(finish(own[0], "")), (400, "InvalidRequest"))
    equal(code(finish(own[0], other)), (400, "BadDigest"))
    equal(code(finish(own[0], own[1] + other)), (400, "InvalidArgument"))
    equal(code(finish(own[0], own[0])), (400, "InvalidPart"))
    status, _, body = finish(*own)
    equal((status, text_of(body, "Location")), (200, f"{endpoint}/{BUCKET}/composite"))
    whole = sha256(b"".join(hashlib.sha256(body).digest() for body in BODIES)) + "-2"
    equal(text_of(body, "ChecksumSHA256"), whole)
    key = dict(Bucket=BUCKET, Key="composite", ChecksumMode="ENABLED")
    for call in [s3.head_object, s3.get_object]:
        for number, own in enumerate(sums, 1):
            got = call(PartNumber=number, **key)
            equal((got["ChecksumSHA256"], got["ChecksumType"], got["PartsCount"]), (own, "COMPOSITE", 2))
        got = call(**key)
        equal((got["ChecksumSHA256"], got["ChecksumType"]), (whole, "COMPOSITE"))
        assert "ChecksumSHA256" not in call(Range="bytes=0-9", **key)


def full_object(s3, endpoint):
    upload = begin(s3, "full ä+", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    etags = [s3.upload_part(PartNumber=n, Body=body, **upload)["ETag"] for n, body in enumerate(BODIES, 1)]
    listed = s3.list_parts(**upload)
    equal((listed["ChecksumAlgorithm"], listed["ChecksumType"]), ("CRC32", "FULL_OBJECT"))
    uploads = s3.list_multipart_uploads(Bucket=BUCKET, Prefix="full")["Uploads"]
    equal([(u["ChecksumAlgorithm"], u["ChecksumType"]) for u in uploads], [("CRC32", "FULL_OBJECT")])
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    equal(done["Location"], f"{endpoint}/{BUCKET}/full%20%C3%A4%2B")
    got = s3.head_object(Bucket=BUCKET, Key="full ä+", PartNumber=2, ChecksumMode="ENABLED")
    equal((got["ChecksumCRC32"], got["ChecksumType"]), (crc32(BODIES[1]), "FULL_OBJECT"))
    s3.put_object(Bucket=BUCKET, Key="single", Body=b"abc", ChecksumCRC32=crc32(b"abc"))
    got = s3.get_object(Bucket=BUCKET, Key="single", PartNumber=1, ChecksumMode="ENABLED")
    equal((got["ChecksumCRC32"], got["ChecksumType"]), (crc32(b"abc"), "FULL_OBJECT"))


def unasked(s3, endpoint):
    """Without an algorithm nothing is said of one, and any may come."""
    upload = begin(client(endpoint, request_checksum_calculation="when_required"), "unasked")
    status, headers, _ = raw(endpoint, "PUT", path_of(upload, partNumber=1), b"abc")
    equal(status, 200)
    listed = s3.list_parts(**upload)
    assert "ChecksumType" not in listed and "ChecksumAlgorithm" not in listed, listed
    (begun,) = s3.list_multipart_uploads(Bucket=BUCKET, Prefix="unasked")["Uploads"]
    assert "ChecksumType" not in begun and "ChecksumAlgorithm" not in begun, begun
    equal(complete(endpoint, upload, [(1, headers["etag"], "")])[0], 200)


def contradictions(s3, endpoint):
    sent = {"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-crc32": crc32(b"abc")}
    equal(code(raw(endpoint, "PUT", f"/{BUCKET}/k", b"abc", sent)), (400, "InvalidRequest"))
    equal(code(raw(endpoint, "PUT", f"/{BUCKET}/k", b"abc", {"x-amz-sdk-checksum-algorithm": "MD4"})), (400, "InvalidRequest"))
    equal(raw(endpoint, "PUT", f"/{BUCKET}/k", b"abc", dict(sent, **{"x-amz-sdk-checksum-algorithm": "crc32"}))[0], 200)
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    sent["x-amz-checksum-crc32"] = crc32(body)
    equal(code(raw(endpoint, "POST", f"/{BUCKET}?delete", body, sent)), (400, "InvalidRequest"))
    s3.head_object(Bucket=BUCKET, Key="k")


def listings(s3, endpoint):
    for query in ["prefix=", "list-type=2", "versions", "uploads"]:
        _, _, body = raw(endpoint, "GET", f"/{BUCKET}?{query}&delimiter=")
        equal((query, text_of(body, "Delimiter")), (query, None))
        _, _, body = raw(endpoint, "GET", f"/{BUCKET}?{query}&delimiter=%2F")
        equal((query, text_of(body, "Delimiter")), (query, "/"))


def main():
    endpoint = sys.argv[1]
    s3 = client(endpoint)
    s3.create_bucket(Bucket=BUCKET)
    for check in [attributes, composite, full_object, unasked, contradictions, listings]:
        check(s3, endpoint)
        print(f"{check.__name__}: ok")


if __name__ == "__main__":
    main()
