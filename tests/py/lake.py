"""Tables as Parquet: pyarrow, Polars and deltalake against a server: `lake.py ENDPOINT CLIENT`."""

import multiprocessing
import os
import sys
import urllib.parse

import boto3
import pyarrow

ROWS = 200_000
WRITERS, APPENDS = 4, 5

endpoint = sys.argv[1]


def table(first, rows):
    ids = range(first, first + rows)
    names = [f"name {number * 7919 % 10_007}" for number in ids]
    columns = {"id": ids, "group": [number % 4 for number in ids], "name": names}
    schema = pyarrow.schema({"id": pyarrow.int64(), "group": pyarrow.int64(), "name": pyarrow.string()})
    return pyarrow.table(columns, schema=schema)


def test_pyarrow():
    import pyarrow.compute
    import pyarrow.dataset
    import pyarrow.fs

    store = pyarrow.fs.S3FileSystem(
        endpoint_override=urllib.parse.urlsplit(endpoint).netloc,
        scheme="http",
        region="us-east-1",
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        allow_bucket_creation=True,
    )
    print("a bucket, a file, a piece of it, a copy, a move")
    store.create_dir("arrow/deep/er", recursive=True)
    data = os.urandom((12 << 20) + 3)
    with store.open_output_stream("arrow/deep/er/file", metadata={"Content-Type": "text/plain"}) as out:
        for at in range(0, len(data), 1_000_000):
            out.write(data[at : at + 1_000_000])
    with store.open_input_file("arrow/deep/er/file") as file:
        assert file.size() == len(data)
        assert file.read_at(1000, 6 << 20) == data[6 << 20 : (6 << 20) + 1000]
        assert file.readall() == data
    store.copy_file("arrow/deep/er/file", "arrow/copy")
    store.move("arrow/copy", "arrow/moved")
    names = sorted(info.path for info in store.get_file_info(pyarrow.fs.FileSelector("arrow", recursive=True)))
    assert names == ["arrow/deep", "arrow/deep/er", "arrow/deep/er/file", "arrow/moved"], names
    assert store.get_file_info("arrow/none").type == pyarrow.fs.FileType.NotFound

    print("a partitioned dataset: written, read with a filter on partition and column")
    whole = table(0, ROWS)
    pyarrow.dataset.write_dataset(
        whole, "arrow/dataset", filesystem=store, format="parquet", partitioning=["group"], max_rows_per_group=10_000
    )
    dataset = pyarrow.dataset.dataset("arrow/dataset", filesystem=store, partitioning=["group"])
    assert dataset.count_rows() == ROWS
    field = pyarrow.compute.field
    got = dataset.to_table(columns=["id", "name"], filter=(field("group") == 3) & (field("id") < 1000))
    assert sorted(got["id"].to_pylist()) == list(range(3, 1000, 4))
    assert dataset.to_table().sort_by("id").select(whole.column_names).cast(whole.schema) == whole

    print("all away")
    store.delete_dir("arrow/dataset")
    store.delete_dir_contents("arrow")
    assert not store.get_file_info(pyarrow.fs.FileSelector("arrow", recursive=True))


def storage_options():
    return {
        "aws_endpoint_url": endpoint,
        "aws_region": "us-east-1",
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "aws_allow_http": "true",
    }


def test_polars():
    import polars

    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="frames")
    options = storage_options()
    frame = polars.DataFrame(table(0, ROWS))
    print("a file: written, read, scanned with a filter")
    frame.write_parquet("s3://frames/file.parquet", storage_options=options)
    assert polars.read_parquet("s3://frames/file.parquet", storage_options=options).equals(frame)
    scan = polars.scan_parquet("s3://frames/file.parquet", storage_options=options)
    got = scan.filter(polars.col("id") >= ROWS - 5).select("id").collect()
    assert got["id"].to_list() == list(range(ROWS - 5, ROWS))

    print("many files: streamed in, scanned by pattern")
    for number in range(3):
        lazy = frame.lazy().filter(polars.col("id") % 3 == number)
        lazy.sink_parquet(f"s3://frames/many/part {number}.parquet", storage_options=options)
    scan = polars.scan_parquet("s3://frames/many/*.parquet", storage_options=options)
    sums = scan.group_by("group").agg(polars.col("id").sum()).sort("group").collect()
    assert sums.equals(frame.group_by("group").agg(polars.col("id").sum()).sort("group"))
    lines = polars.scan_csv("s3://frames/lines.csv", storage_options=options)
    frame.head(10).lazy().sink_csv("s3://frames/lines.csv", storage_options=options)
    assert lines.collect().equals(frame.head(10))


def append(writer):
    """Appends rows that no other writer has; every version is committed by a conditional put."""
    import deltalake

    for number in range(APPENDS):
        rows = table((writer * APPENDS + number) * 100, 100)
        deltalake.write_deltalake("s3://lake/events", rows, mode="append", storage_options=storage_options())


def test_deltalake():
    import deltalake

    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="lake")
    options = storage_options()
    print(f"{WRITERS} processes append at once: no append is lost, none comes twice")
    deltalake.write_deltalake("s3://lake/events", table(0, 0), storage_options=options)
    with multiprocessing.get_context("spawn").Pool(WRITERS) as pool:
        pool.map(append, range(WRITERS), chunksize=1)
        pool.close()
        pool.join()
    events = deltalake.DeltaTable("s3://lake/events", storage_options=options)
    total = WRITERS * APPENDS * 100
    assert events.version() == WRITERS * APPENDS
    assert sorted(row["version"] for row in events.history()) == list(range(WRITERS * APPENDS + 1))
    assert sorted(events.to_pyarrow_table()["id"].to_pylist()) == list(range(total))

    print("delete, merge, compact, travel in time, vacuum")
    events.delete("id < 10")
    changes = pyarrow.table({"id": [10, total], "group": [0, 0], "name": ["changed", "new"]})
    merge = events.merge(changes, "old.id = new.id", source_alias="new", target_alias="old")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    events.optimize.compact()
    events.create_checkpoint()
    rows = {row["id"]: row["name"] for row in events.to_pyarrow_table().to_pylist()}
    assert len(rows) == total - 9 and rows[10] == "changed" and rows[total] == "new"
    old = deltalake.DeltaTable("s3://lake/events", version=WRITERS * APPENDS, storage_options=options)
    assert old.to_pyarrow_table().num_rows == total
    assert events.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    again = deltalake.DeltaTable("s3://lake/events", storage_options=options)
    assert {row["id"]: row["name"] for row in again.to_pyarrow_table().to_pylist()} == rows


if __name__ == "__main__":
    {"pyarrow": test_pyarrow, "polars": test_polars, "deltalake": test_deltalake}[sys.argv[2]]()
    # Threads of the clients' native libraries abort the process now and then while it is torn down.
    sys.stdout.flush()
    os._exit(0)
