"""Bad input, one line a case: what is sent, and the status and code that answer it. inputs.py ENDPOINT"""

import calendar
import hashlib
import re
import socket
import sys
import time
import urllib.parse

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from client import ACCESS_KEY, SECRET_KEY, client, raw, send

BUCKET = "inputs"
ENTITIES = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE_ENTITY = '<!DOCTYPE d [<!ENTITY f SYSTEM "file:///etc/passwd">]>'


def code(answer):
    status, _, body = answer
    text = body.decode(errors="replace")
    return status, text.partition("<Code>")[2].partition("</Code>")[0]


def delete_of(*keys, before="", inner=""):
    objects = "".join(f"<Object><Key>{key}</Key>{inner}</Object>" for key in keys)
    return f"{before}<Delete>{objects}</Delete>".encode()


def complete_of(*parts):
    text = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{text}</CompleteMultipartUpload>".encode()


def cases(upload):
    etag = "0" * 32
    part = f"/{BUCKET}/k?uploadId={upload}"
    long_key = "k" * 1025
    return [
        # Names.
        ("a bucket of two letters", "PUT", "/ab", {}, b"", (400, "InvalidBucketName")),
        ("a bucket in capitals", "PUT", "/Inputs", {}, b"", (400, "InvalidBucketName")),
        ("a bucket like an address", "PUT", "/192.168.0.1", {}, b"", (400, "InvalidBucketName")),
        ("a bucket with a dot before a hyphen", "PUT", "/inputs.-x", {}, b"", (400, "InvalidBucketName")),
        ("a bucket with a hyphen before a dot", "PUT", "/inputs-.x", {}, b"", (400, "InvalidBucketName")),
        ("a bucket of 64 letters", "PUT", "/" + "b" * 64, {}, b"", (400, "InvalidBucketName")),
        ("a key of 1,025 bytes", "PUT", f"/{BUCKET}/{long_key}", {}, b"x", (400, "KeyTooLongError")),
        ("a key with NUL", "PUT", f"/{BUCKET}/a%00b", {}, b"x", (400, "XMinioInvalidObjectName")),
        ("a key that is no UTF-8", "PUT", f"/{BUCKET}/a%ffb", {}, b"x", (400, "InvalidURI")),
        ("a bucket that is not there", "PUT", "/inputs-none/k", {}, b"x", (404, "NoSuchBucket")),
        # Headers.
        ("user metadata of 2,049 bytes", "PUT", f"/{BUCKET}/k", {"x-amz-meta-a": "x" * 2048}, b"", (400, "MetadataTooLarge")),
        ("a storage class of another world", "PUT", f"/{BUCKET}/k", {"x-amz-storage-class": "GOLD"}, b"", (400, "InvalidStorageClass")),
        ("no MD5", "PUT", f"/{BUCKET}/k", {"content-md5": "xyz"}, b"x", (400, "InvalidDigest")),
        ("an empty MD5", "PUT", f"/{BUCKET}/k", {"content-md5": ""}, b"x", (400, "InvalidDigest")),
        ("another MD5", "PUT", f"/{BUCKET}/k", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, b"x", (400, "BadDigest")),
        ("no checksum", "PUT", f"/{BUCKET}/k", {"x-amz-checksum-crc32": "!!"}, b"x", (400, "InvalidRequest")),
        ("another checksum", "PUT", f"/{BUCKET}/k", {"x-amz-checksum-crc32": "AAAAAA=="}, b"x", (400, "BadDigest")),
        ("two checksums", "PUT", f"/{BUCKET}/k", {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="}, b"", (400, "InvalidRequest")),
        ("an ACL of another world", "PUT", f"/{BUCKET}/k", {"x-amz-acl": "everybody"}, b"", (400, "InvalidArgument")),
        ("an encryption of another world", "PUT", f"/{BUCKET}/k", {"x-amz-server-side-encryption": "ROT13"}, b"", (400, "InvalidArgument")),
        ("an encryption that is not built", "PUT", f"/{BUCKET}/k", {"x-amz-server-side-encryption": "AES256"}, b"", (501, "NotImplemented")),
        ("an ownership of another world", "PUT", "/inputs-new", {"x-amz-object-ownership": "Nobody"}, b"", (400, "InvalidArgument")),
        ("a directive of another world", "PUT", f"/{BUCKET}/k", {"x-amz-copy-source": f"/{BUCKET}/object", "x-amz-metadata-directive": "MOVE"}, b"", (400, "InvalidArgument")),
        ("an unknown header of S3", "PUT", f"/{BUCKET}/k", {"x-amz-fly": "1"}, b"", (501, "NotImplemented")),
        ("a copy of nothing", "PUT", f"/{BUCKET}/k", {"x-amz-copy-source": f"/{BUCKET}/none"}, b"", (404, "NoSuchKey")),
        ("a copy of no path", "PUT", f"/{BUCKET}/k", {"x-amz-copy-source": "none"}, b"", (400, "InvalidArgument")),
        # Ranges.
        ("a range behind the end", "GET", f"/{BUCKET}/object", {"range": "bytes=9-"}, b"", (416, "InvalidRange")),
        ("the last 0 bytes", "GET", f"/{BUCKET}/object", {"range": "bytes=-0"}, b"", (416, "InvalidRange")),
        ("a part that is not there", "GET", f"/{BUCKET}/object?partNumber=2", {}, b"", (416, "InvalidPartNumber")),
        ("part 0", "GET", f"/{BUCKET}/object?partNumber=0", {}, b"", (400, "InvalidArgument")),
        ("part x", "GET", f"/{BUCKET}/object?partNumber=x", {}, b"", (400, "InvalidArgument")),
        ("a part and a range", "GET", f"/{BUCKET}/object?partNumber=1", {"range": "bytes=0-"}, b"", (400, "InvalidRequest")),
        # Listings.
        ("max-keys below 0", "GET", f"/{BUCKET}?max-keys=-1", {}, b"", (400, "InvalidArgument")),
        ("max-keys that is no number", "GET", f"/{BUCKET}?list-type=2&max-keys=x", {}, b"", (400, "InvalidArgument")),
        ("an unknown encoding", "GET", f"/{BUCKET}?encoding-type=rot13", {}, b"", (400, "InvalidArgument")),
        ("a token of another world", "GET", f"/{BUCKET}?list-type=2&continuation-token=%21", {}, b"", (400, "InvalidArgument")),
        # Multipart.
        ("part number 0", "PUT", f"{part}&partNumber=0", {}, b"x", (400, "InvalidArgument")),
        ("part number 10,001", "PUT", f"{part}&partNumber=10001", {}, b"x", (400, "InvalidArgument")),
        ("part number x", "PUT", f"{part}&partNumber=x", {}, b"x", (400, "InvalidArgument")),
        ("an upload that is not there", "PUT", f"/{BUCKET}/k?uploadId=x&partNumber=1", {}, b"x", (404, "NoSuchUpload")),
        ("no parts", "POST", part, {}, b"<CompleteMultipartUpload></CompleteMultipartUpload>", (400, "MalformedXML")),
        ("parts out of order", "POST", part, {}, complete_of((2, etag), (1, etag)), (400, "InvalidPartOrder")),
        ("a part that was not sent", "POST", part, {}, complete_of((1, etag)), (400, "InvalidPart")),
        ("a part number that is no number", "POST", part, {}, complete_of(("x", etag)), (400, "MalformedXML")),
        # XML.
        ("no XML", "POST", f"/{BUCKET}?delete", {}, b"delete it", (400, "MalformedXML")),
        ("nothing", "POST", f"/{BUCKET}?delete", {}, b"", (400, "MissingRequestBodyError")),
        ("XML that ends early", "POST", f"/{BUCKET}?delete", {}, b"<Delete><Object><Key>a", (400, "MalformedXML")),
        ("another document", "POST", f"/{BUCKET}?delete", {}, b"<Remove/>", (400, "MalformedXML")),
        ("no key to delete", "POST", f"/{BUCKET}?delete", {}, delete_of(), (400, "MalformedXML")),
        ("1,001 keys to delete", "POST", f"/{BUCKET}?delete", {}, delete_of(*range(1001)), (400, "MalformedXML")),
        ("entities that grow", "POST", f"/{BUCKET}?delete", {}, delete_of("&b;", before=ENTITIES), (400, "MalformedXML")),
        ("an entity that is a file", "POST", f"/{BUCKET}?delete", {}, delete_of("&f;", before=FILE_ENTITY), (400, "MalformedXML")),
        ("100,000 elements deep", "POST", f"/{BUCKET}?delete", {}, b"<Delete>" + b"<a>" * 100_000, (400, "MalformedXML")),
        ("XML of more than 8 MiB", "POST", f"/{BUCKET}?delete", {}, delete_of("k", before=" " * (9 << 20)), (400, "MaxMessageLengthExceeded")),
        ("a location that is no XML", "PUT", "/inputs-new", {}, b"<Create", (400, "MalformedXML")),
        ("another region", "PUT", "/inputs-new", {}, b"<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>", (400, "IllegalLocationConstraintException")),
        ("no checksum of XML", "POST", f"/{BUCKET}?delete", {"x-amz-checksum-crc32": "!!"}, delete_of("k"), (400, "InvalidRequest")),
        ("another MD5 of XML", "POST", f"/{BUCKET}?delete", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, delete_of("k"), (400, "BadDigest")),
        ("an operation that is not built, with a body that is no XML", "PUT", f"/{BUCKET}?cors", {}, b"<x", (501, "NotImplemented")),
        # Headers.
        ("headers of 60 KiB", "GET", f"/{BUCKET}/object", {"x-long": "x" * 60_000}, b"", (200, "")),
        ("headers of 66 KiB", "GET", f"/{BUCKET}/object", {"x-long": "x" * 66_000}, b"", (431, "")),
        # Methods.
        ("a method of another world", "PATCH", f"/{BUCKET}/object", {}, b"", (405, "MethodNotAllowed")),
    ]


def signed(endpoint, path, changes, secret=SECRET_KEY, key=ACCESS_KEY, skew=0, cut=None):
    """A GET whose signature is made in another way than it should."""
    request = AWSRequest(method="GET", url=endpoint + path, headers={"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()})
    auth = S3SigV4Auth(Credentials(key, secret), "s3", "us-east-1")
    if skew:
        import botocore.auth
        import datetime

        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=skew)
        before = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda **_: now
        auth.add_auth(request)
        botocore.auth.get_current_datetime = before
    else:
        auth.add_auth(request)
    headers = dict(request.headers.items())
    headers.update(changes)
    if cut:
        headers["Authorization"] = cut(headers["Authorization"])
    return send(endpoint, "GET", path, headers=headers)


def signatures(endpoint):
    path = f"/{BUCKET}/object"
    get = lambda **how: code(signed(endpoint, path, how.pop("changes", {}), **how))
    minutes = 60
    return [
        ("an unknown key", get(key="nobody"), (403, "InvalidAccessKeyId")),
        ("another secret", get(secret="not-the-secret"), (403, "SignatureDoesNotMatch")),
        ("a header changed", get(changes={"X-Amz-Content-SHA256": "0" * 64}), (403, "SignatureDoesNotMatch")),
        ("a header added", get(changes={"x-amz-meta-a": "b"}), (403, "AccessDenied")),
        ("a clock 16 minutes fast", get(skew=16 * minutes), (403, "RequestTimeTooSkewed")),
        ("a clock 16 minutes slow", get(skew=-16 * minutes), (403, "RequestTimeTooSkewed")),
        ("a clock 14 minutes slow", get(skew=-14 * minutes), (200, "")),
        ("half a header", get(cut=lambda text: text[:60]), (400, "AuthorizationHeaderMalformed")),
        ("no credential", get(cut=lambda text: text.replace("Credential=", "Credentials=")), (400, "AuthorizationHeaderMalformed")),
        ("a credential without a service", get(cut=lambda text: text.replace("/s3/", "/")), (400, "AuthorizationHeaderMalformed")),
        ("another service", get(cut=lambda text: text.replace("/s3/", "/ec2/")), (400, "AuthorizationHeaderMalformed")),
        ("another day", get(cut=lambda text: re.sub("/20[0-9]{6}/", "/20200101/", text)), (400, "AuthorizationHeaderMalformed")),
        ("no date", get(changes={"X-Amz-Date": "today"}), (403, "AccessDenied")),
        ("a payload of another world", get(changes={"X-Amz-Content-SHA256": "SIGNED"}), (400, "InvalidArgument")),
        ("two signatures", code(signed(endpoint, f"{path}?X-Amz-Signature=1", {})), (400, "InvalidArgument")),
        ("another scheme", get(cut=lambda text: "Basic dXNlcg=="), (400, "InvalidArgument")),
        ("no signature", code(send(endpoint, "GET", path)), (403, "AccessDenied")),
    ]


def presigned(endpoint):
    def get(expires, skew=0, change=lambda url: url):
        request = AWSRequest(method="GET", url=f"{endpoint}/{BUCKET}/object")
        S3SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1", expires=expires).add_auth(request)
        parts = urllib.parse.urlsplit(change(request.url))
        time.sleep(skew)
        return code(send(endpoint, "GET", f"{parts.path}?{parts.query}"))

    def changed(name, value):
        return get(60, change=lambda url: re.sub(f"{name}=[^&]*", f"{name}={value}", url))

    wrong = (400, "AuthorizationQueryParametersError")
    return [
        ("a URL with a life that is no number", changed("X-Amz-Expires", "x"), wrong),
        ("a URL with a life below 0", changed("X-Amz-Expires", "-1"), wrong),
        ("a URL without a life", get(60, change=lambda url: re.sub("&X-Amz-Expires=[^&]*", "", url)), wrong),
        ("a URL with another date", changed("X-Amz-Date", "2026-11-29"), wrong),
        ("a URL of another scheme", changed("X-Amz-Algorithm", "AWS5"), wrong),
        ("a URL with half a credential", changed("X-Amz-Credential", "root"), wrong),
        ("a URL without a signature", changed("X-Amz-Signature", ""), wrong),
        ("a URL with no signature", changed("X-Amz-Signature", "xyz"), (403, "SignatureDoesNotMatch")),
        ("a URL of version 2 without its end", code(send(endpoint, "GET", f"/{BUCKET}/object?AWSAccessKeyId=a&Signature=b")), (403, "AccessDenied")),
        ("a URL for 0 seconds", get(0), (403, "AccessDenied")),
        ("a URL for eight days", get(8 * 86400), (400, "AuthorizationQueryParametersError")),
        ("a URL that has expired", get(1, skew=2.1), (403, "AccessDenied")),
        ("a URL for another key", get(60, change=lambda url: url.replace("object", "other")), (403, "SignatureDoesNotMatch")),
        ("a URL that lasts", get(60), (200, "")),
    ]


def chunked(endpoint):
    """Bodies whose frames or trailers are broken, unsigned."""

    def put(body, length, trailer="x-amz-checksum-crc32"):
        headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(length), "x-amz-trailer": trailer}
        return code(raw(endpoint, "PUT", f"/{BUCKET}/chunked", body, headers, sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER"))

    frame, end = b"1\r\nx\r\n0\r\n", b"\r\n"
    right, wrong = b"x-amz-checksum-crc32:jNwWgw==", b"x-amz-checksum-crc32:AAAAAA=="
    broken = [
        ("a size that is no number", put(b"z\r\nx\r\n0\r\n" + right + end + end, 1), (400, "IncompleteBody")),
        ("a chunk that is longer than its size", put(b"1\r\nxx\r\n0\r\n" + right + end + end, 2), (400, "IncompleteBody")),
        ("chunks without a last one", put(b"1\r\nx\r\n", 1), (400, "IncompleteBody")),
        ("chunks of another length", put(frame + right + end + end, 2), (400, "IncompleteBody")),
        ("a trailer that is no field", put(frame + b"checksum" + end + end, 1), (400, "MalformedTrailerError")),
        ("a trailer that is not there", put(frame + end, 1), (400, "MalformedTrailerError")),
        ("another trailer than announced", put(frame + right + end + end, 1, "x-amz-checksum-sha1"), (400, "MalformedTrailerError")),
        ("a trailer with another checksum", put(frame + wrong + end + end, 1), (400, "BadDigest")),
    ]
    stored = raw(endpoint, "HEAD", f"/{BUCKET}/chunked")[0]
    return broken + [("none of them is stored", stored, 404), ("right chunks", put(frame + right + end + end, 1), (200, ""))]


def absent(endpoint):
    """Whatever is asked of a bucket that is not there, and whatever else is wrong: it is not there."""
    subresources = [
        "accelerate", "acl", "analytics&id=1", "cors", "encryption", "intelligent-tiering&id=1", "inventory&id=1",
        "lifecycle", "logging", "metrics&id=1", "notification", "object-lock", "ownershipControls", "policy",
        "publicAccessBlock", "replication", "requestPayment", "tagging", "versioning", "website",
    ]  # fmt: skip
    asked = [(method, f"?{query}", {}) for query in subresources for method in ["GET", "PUT", "DELETE"]]
    asked += [("GET", f"?{query}", {}) for query in ["location", "policyStatus", "uploads", "versions", "list-type=2", "max-keys=x"]]
    asked += [("GET", "", {}), ("DELETE", "", {}), ("POST", "?delete", {})]
    for query in ["acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "uploadId=x", "partNumber=x"]:
        asked += [(method, f"/k?{query}", {"x-amz-object-attributes": "x"}) for method in ["GET", "PUT", "DELETE"]]
    asked += [("POST", f"/k?{query}", {}) for query in ["uploads", "uploadId=x", "restore", "select&select-type=2"]]
    asked += [("PUT", "/k?partNumber=1&uploadId=x", headers) for headers in [{}, {"x-amz-copy-source": f"/{BUCKET}/object"}]]
    asked += [("PUT", "/k", headers) for headers in [{}, {"x-amz-tagging": "a=b"}, {"x-amz-copy-source": f"/{BUCKET}/object"}]]
    asked += [("GET", "/k", {}), ("DELETE", "/k", {})]
    results = []
    for method, rest, headers in asked:
        answer = raw(endpoint, method, f"/inputs-none{rest}", b"<no XML" if method in ("PUT", "POST") else b"", headers)
        expected = (404, "NoSuchBucket", "inputs-none")
        results.append((f"{method} {rest} of no bucket", (*code(answer), element(answer, "BucketName")), expected))
    return results


def element(answer, name):
    return answer[2].decode(errors="replace").partition(f"<{name}>")[2].partition(f"</{name}>")[0]


def fields(endpoint, s3):
    """What documents of errors say beside code and message."""

    def of(answer, *names):
        return [element(answer, name) for name in names]

    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="small")["UploadId"]
    etags = [s3.upload_part(Bucket=BUCKET, Key="small", UploadId=upload, PartNumber=n, Body=b"x")["ETag"] for n in (1, 2)]
    small = raw(endpoint, "POST", f"/{BUCKET}/small?uploadId={upload}", complete_of(*enumerate(etags, 1)))
    skewed = signed(endpoint, f"/{BUCKET}/object", {}, skew=-3600)
    unknown = signed(endpoint, f"/{BUCKET}/object", {}, key="nobody")
    copied = raw(endpoint, "PUT", f"/{BUCKET}/k", b"", {"x-amz-copy-source": "/inputs-none/k"})
    no_source = raw(endpoint, "PUT", f"/{BUCKET}/k", b"", {"x-amz-copy-source": f"/{BUCKET}/a/b"})
    ended = raw(endpoint, "GET", f"/{BUCKET}/object", headers={"range": "bytes=9-"})
    gone = raw(endpoint, "DELETE", f"/{BUCKET}/k?uploadId={'0' * 32}")
    results = [
        ("a key that is not there", of(raw(endpoint, "GET", f"/{BUCKET}/a%20b%26"), "Key"), ["a b&amp;"]),
        ("a part that is too small", [code(small)[1], *of(small, "PartNumber", "MinSizeAllowed", "ProposedSize")], ["EntityTooSmall", "1", "5242880", "1"]),
        ("a source in no bucket", of(copied, "Code", "BucketName"), ["NoSuchBucket", "inputs-none"]),
        ("a source that is not there", of(no_source, "Code", "Key"), ["NoSuchKey", "a/b"]),
        ("an unknown key", of(unknown, "AWSAccessKeyId"), ["nobody"]),
        ("a range behind the end", of(ended, "RangeRequested", "ActualObjectSize"), ["bytes=9-", "9"]),
        ("an upload that is gone", of(gone, "Code", "UploadId"), ["NoSuchUpload", "0" * 32]),
        ("a bucket's name", of(raw(endpoint, "PUT", "/ab"), "BucketName"), ["ab"]),
    ]
    server_time = element(skewed, "ServerTime")
    results.append(("a skewed clock", abs(calendar.timegm(time.strptime(server_time, "%Y-%m-%dT%H:%M:%SZ")) - time.time()) < 60, True))
    results.append(("a limit of skew", of(skewed, "MaxAllowedSkewMilliseconds"), ["900000"]))
    return results


def bodies(endpoint):
    """Bodies that are not as long as they were said to be."""
    s3 = client(endpoint, signature_version="s3v4")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "body"}, ExpiresIn=60)
    parts = urllib.parse.urlsplit(url)

    def put(head, body, end=False):
        with socket.create_connection((parts.hostname, parts.port), timeout=70) as connection:
            start = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
            try:
                connection.sendall(f"{start}{head}\r\n\r\n".encode() + body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # Refused before it was sent whole: the answer is there.
            if end:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while b"</Error>" not in answer and (more := connection.recv(4096)):
                answer += more
        status = int(answer.split(b" ")[1]) if answer else 0
        return code((status, {}, answer))

    decoded = "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n"
    results = [
        ("no length", put("Transfer-Encoding: chunked", b"1\r\nx\r\n0\r\n\r\n"), (411, "MissingContentLength")),
        ("6 TiB", put(f"Content-Length: {6 << 40}", b""), (400, "EntityTooLarge")),
        ("a length below 0", put("Content-Length: -1", b""), (400, "")),
        ("two lengths", put("Content-Length: 1\r\nContent-Length: 2", b"x"), (400, "")),
        ("headers of 200 KiB", put("X-Long: " + "x" * 200_000 + "\r\nContent-Length: 0", b""), (431, "")),
        ("200 headers", put("".join(f"X-{n}: 1\r\n" for n in range(200)) + "Content-Length: 0", b""), (431, "")),
        # The connection ends: nobody is left to be told. That nothing is stored is tested below.
        ("a body that ends early", put("Content-Length: 100", b"x", end=True) in ((0, ""), (400, "IncompleteBody")), True),
    ]
    status, _, _ = raw(endpoint, "GET", f"/{BUCKET}/body")
    results.append(("nothing of all this is stored", status, 404))
    return results


def main():
    endpoint = sys.argv[1]
    s3 = client(endpoint)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="object", Body=b"123456789")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    results = [
        (name, code(raw(endpoint, method, path, body, headers)), expected)
        for name, method, path, headers, body, expected in cases(upload)
    ]
    results += signatures(endpoint) + presigned(endpoint) + bodies(endpoint)
    results += chunked(endpoint) + absent(endpoint) + fields(endpoint, s3)
    wrong = [(name, got, expected) for name, got, expected in results if got != expected]
    for name, got, expected in wrong:
        print(f"{name}: {got}, expected {expected}")
    assert s3.get_object(Bucket=BUCKET, Key="object")["Body"].read() == b"123456789"
    print(f"{len(results)} cases, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
