"""minio-py against a server: `minio_py.py ENDPOINT FOLDER`."""

import datetime
import io
import os
import pathlib
import sys
import urllib.parse
import urllib.request

from minio import Minio, S3Error
from minio.commonconfig import REPLACE, ComposeSource, CopySource
from minio.deleteobjects import DeleteObject

MIB = 1 << 20

endpoint, folder = sys.argv[1], pathlib.Path(sys.argv[2])


def refused(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except S3Error as error:
        assert error.code == code, error
        return
    raise AssertionError(f"no {code}")


def content(bucket, key, **kwargs):
    response = client.get_object(bucket, key, **kwargs)
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


client = Minio(
    endpoint=urllib.parse.urlsplit(endpoint).netloc,
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    region="us-east-1",
    secure=False,
)

print("buckets")
assert not client.bucket_exists(bucket_name="photos")
client.make_bucket(bucket_name="photos")
assert client.bucket_exists(bucket_name="photos")
refused("BucketAlreadyOwnedByYou", client.make_bucket, bucket_name="photos")
assert [bucket.name for bucket in client.list_buckets()] == ["photos"]

print("objects: in one piece, in parts, as a stream of unknown length, from and to files")
small, large = b"small", os.urandom(17 * MIB + 5)
result = client.put_object(
    bucket_name="photos",
    object_name="a b/ü+%.txt",
    data=io.BytesIO(small),
    length=len(small),
    content_type="text/plain",
    metadata={"place": "Rome"},
)
stat = client.stat_object(bucket_name="photos", object_name="a b/ü+%.txt")
assert (stat.size, stat.etag, stat.content_type) == (len(small), result.etag, "text/plain")
assert stat.metadata["x-amz-meta-place"] == "Rome"
client.put_object(
    bucket_name="photos", object_name="parts", data=io.BytesIO(large), length=len(large), part_size=5 * MIB
)
client.put_object(bucket_name="photos", object_name="stream", data=io.BytesIO(large), length=-1, part_size=6 * MIB)
assert client.stat_object(bucket_name="photos", object_name="parts").etag.endswith("-4")
assert content("photos", "parts") == content("photos", "stream") == large
assert content("photos", "parts", offset=5 * MIB - 3, length=7) == large[5 * MIB - 3 : 5 * MIB + 4]
(folder / "up").write_bytes(large)
client.fput_object(bucket_name="photos", object_name="file", file_path=str(folder / "up"))
client.fget_object(bucket_name="photos", object_name="file", file_path=str(folder / "down"))
assert (folder / "down").read_bytes() == large
refused("NoSuchKey", client.stat_object, bucket_name="photos", object_name="none")

print("copies: conditional, with new metadata, composed of ranges")
client.copy_object(
    bucket_name="photos",
    object_name="copy",
    source=CopySource(bucket_name="photos", object_name="a b/ü+%.txt", match_etag=result.etag),
    metadata={"place": "Paris"},
    metadata_directive=REPLACE,
)
assert client.stat_object(bucket_name="photos", object_name="copy").metadata["x-amz-meta-place"] == "Paris"
refused(
    "PreconditionFailed",
    client.copy_object,
    bucket_name="photos",
    object_name="copy",
    source=CopySource(bucket_name="photos", object_name="parts", match_etag="00000000000000000000000000000000"),
)
client.compose_object(
    bucket_name="photos",
    object_name="composed",
    sources=[
        ComposeSource(bucket_name="photos", object_name="parts", offset=1, length=6 * MIB),
        ComposeSource(bucket_name="photos", object_name="copy"),
    ],
)
assert content("photos", "composed") == large[1 : 6 * MIB + 1] + small

print("presigned URLs")
minute = datetime.timedelta(minutes=1)
url = client.presigned_put_object(bucket_name="photos", object_name="presigned", expires=minute)
urllib.request.urlopen(urllib.request.Request(url, data=small, method="PUT"), timeout=30).close()
with urllib.request.urlopen(
    client.presigned_get_object(bucket_name="photos", object_name="presigned", expires=minute), timeout=30
) as response:
    assert response.read() == small

print("listings and deletions of many")
for number in range(30):
    client.put_object(bucket_name="photos", object_name=f"many/{number:02}", data=io.BytesIO(b""), length=0)
names = [o.object_name for o in client.list_objects(bucket_name="photos", prefix="many/", recursive=True)]
assert names == [f"many/{number:02}" for number in range(30)]
top = {o.object_name: o.is_dir for o in client.list_objects(bucket_name="photos")}
assert top["a b/"] and top["many/"] and not top["parts"], top
after = client.list_objects(bucket_name="photos", prefix="many/", start_after="many/27", use_api_v1=True)
assert [o.object_name for o in after] == ["many/28", "many/29"]
client.remove_object(bucket_name="photos", object_name="none")
everything = [DeleteObject(o.object_name) for o in client.list_objects(bucket_name="photos", recursive=True)]
assert not list(client.remove_objects(bucket_name="photos", delete_object_list=everything))
assert not list(client.list_objects(bucket_name="photos", recursive=True))
refused("NoSuchBucketPolicy", client.get_bucket_policy, bucket_name="photos")
client.remove_bucket(bucket_name="photos")
refused("NoSuchBucket", client.remove_bucket, bucket_name="photos")
