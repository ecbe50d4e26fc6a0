"""A bucket of 20,000 keys, listed in every way: `listing.py ENDPOINT`."""

import sys
import threading

from client import client
from fast import Fast

BUCKET = "many-keys"
FOLDERS, FILES = 200, 100
THREADS = 16


def key_of(folder, file):
    return f"{folder % 4}/{folder:03}/{file:03}"


def fill(endpoint):
    Fast(endpoint).call("PUT", f"/{BUCKET}")
    failures = []

    def run(thread):
        try:
            s3 = Fast(endpoint)
            for folder in range(thread, FOLDERS, THREADS):
                for file in range(FILES):
                    s3.put(BUCKET, key_of(folder, file), b"x")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def listed(s3, operation, **arguments):
    """All keys, all common prefixes."""
    keys, prefixes = [], []
    for page in s3.get_paginator(operation).paginate(Bucket=BUCKET, **arguments):
        page_keys = [o["Key"] for o in page.get("Contents", [])]
        page_prefixes = [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        assert len(page_keys) + len(page_prefixes) <= 1000
        keys += page_keys
        prefixes += page_prefixes
    return keys, prefixes


def main():
    endpoint = sys.argv[1]
    fill(endpoint)
    s3 = client(endpoint)
    every = sorted(key_of(folder, file) for folder in range(FOLDERS) for file in range(FILES))
    folders = sorted({key.rsplit("/", 1)[0] + "/" for key in every})
    for operation in ["list_objects_v2", "list_objects"]:
        assert listed(s3, operation) == (every, [])
        assert listed(s3, operation, Delimiter="/") == ([], ["0/", "1/", "2/", "3/"])
        of_2 = [folder for folder in folders if folder.startswith("2/")]
        assert listed(s3, operation, Delimiter="/", Prefix="2/") == ([], of_2)
        one = [key for key in every if key.startswith("3/003/")]
        assert listed(s3, operation, Delimiter="/", Prefix="3/003/") == (one, [])
        small = dict(PaginationConfig={"PageSize": 7}, Delimiter="/", Prefix="1/")
        assert listed(s3, operation, **small)[1] == [folder for folder in folders if folder.startswith("1/")]
    assert listed(s3, "list_objects_v2", StartAfter=every[12_345]) == (every[12_346:], [])
    first = s3.list_objects_v2(Bucket=BUCKET)
    assert (first["KeyCount"], first["IsTruncated"]) == (1000, True)


if __name__ == "__main__":
    main()
