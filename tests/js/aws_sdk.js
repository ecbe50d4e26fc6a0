// The AWS SDK for JavaScript against a server: aws_sdk.js ENDPOINT

"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { Readable } = require("node:stream");
const s3 = require("@aws-sdk/client-s3");
const { S3Client } = s3;
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const MIB = 1 << 20;
const endpoint = process.argv[2];

// The keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
});

// For presigned uploads: by default the SDK signs the checksum of an empty body into the URL.
const presigner = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
});

const Bucket = "photos";
const send = (name, input) => client.send(new s3[`${name}Command`]({ Bucket, ...input }));
const content = async (input) => Buffer.from(await (await send("GetObject", input)).Body.transformToByteArray());
const refused = (status, name, promise) =>
    assert.rejects(promise, (error) => {
        assert.equal(error.$metadata.httpStatusCode, status, error);
        assert.equal(error.name, name, error);
        return true;
    });

async function main() {
    console.log("buckets");
    await refused(404, "NotFound", send("HeadBucket"));
    await send("CreateBucket");
    await send("HeadBucket");
    await refused(409, "BucketAlreadyOwnedByYou", send("CreateBucket"));
    assert.deepEqual((await client.send(new s3.ListBucketsCommand({}))).Buckets.map((b) => b.Name), [Bucket]);

    console.log("objects, checksums, ranges");
    for (const ChecksumAlgorithm of [undefined, "CRC32", "CRC32C", "SHA1", "SHA256"]) {
        const Key = `a b/ü+%-${ChecksumAlgorithm}`;
        const Body = randomBytes(MIB + 1);
        const put = await send("PutObject", { Key, Body, ChecksumAlgorithm, Metadata: { place: "Rome" } });
        assert.deepEqual(await content({ Key, ChecksumMode: "ENABLED" }), Body);
        assert.deepEqual(await content({ Key, Range: "bytes=10-19" }), Body.subarray(10, 20));
        const head = await send("HeadObject", { Key });
        assert.equal(head.ETag, put.ETag);
        assert.equal(head.Metadata.place, "Rome");
    }
    await refused(404, "NoSuchKey", send("GetObject", { Key: "none" }));

    console.log("streams: of known length, and of unknown length in parts");
    const large = randomBytes(17 * MIB + 5);
    const pieces = () => Readable.from((function* () {
        for (let at = 0; at < large.length; at += 100_000) yield large.subarray(at, at + 100_000);
    })());
    await send("PutObject", { Key: "stream", Body: pieces(), ContentLength: large.length });
    assert.ok(large.equals(await content({ Key: "stream" })));
    const params = { Bucket, Key: "parts", Body: pieces() };
    const upload = await new Upload({ client, params, partSize: 5 * MIB, queueSize: 3 }).done();
    assert.match(upload.ETag, /-4"$/);
    assert.ok(large.equals(await content({ Key: "parts", ChecksumMode: "ENABLED" })));
    const second = await send("GetObject", { Key: "parts", PartNumber: 2 });
    assert.equal(second.ContentRange, `bytes ${5 * MIB}-${10 * MIB - 1}/${large.length}`);
    assert.ok(large.subarray(5 * MIB, 10 * MIB).equals(Buffer.from(await second.Body.transformToByteArray())));

    console.log("conditions");
    const first = await send("PutObject", { Key: "lock", Body: "one", IfNoneMatch: "*" });
    await refused(412, "PreconditionFailed", send("PutObject", { Key: "lock", Body: "two", IfNoneMatch: "*" }));
    await send("PutObject", { Key: "lock", Body: "two", IfMatch: first.ETag });
    await refused(412, "PreconditionFailed", send("PutObject", { Key: "lock", Body: "three", IfMatch: first.ETag }));
    // An answer without a body, which the SDK has no name for.
    const unmodified = send("GetObject", { Key: "parts", IfNoneMatch: upload.ETag });
    await assert.rejects(unmodified, (error) => error.$metadata.httpStatusCode === 304);

    console.log("copies and presigned URLs");
    await send("CopyObject", { Key: "copy", CopySource: `${Bucket}/lock` });
    assert.equal((await content({ Key: "copy" })).toString(), "two");
    const get = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key: "copy" }), { expiresIn: 60 });
    assert.equal(await (await fetch(get)).text(), "two");
    const put = await getSignedUrl(presigner, new s3.PutObjectCommand({ Bucket, Key: "url" }), { expiresIn: 60 });
    assert.equal((await fetch(put, { method: "PUT", body: "by url" })).status, 200);
    assert.equal((await content({ Key: "url" })).toString(), "by url");

    console.log("listings and deletions of many");
    const keys = [];
    for (const page of ["00", "01", "02"]) {
        const names = Array.from({ length: 10 }, (_, number) => `many/${page}/${number}`);
        await Promise.all(names.map((Key) => send("PutObject", { Key, Body: "" })));
        keys.push(...names);
    }
    const listed = [];
    for await (const page of s3.paginateListObjectsV2({ client, pageSize: 7 }, { Bucket, Prefix: "many/" })) {
        listed.push(...page.Contents.map((object) => object.Key));
    }
    assert.deepEqual(listed, keys);
    const folders = await send("ListObjectsV2", { Prefix: "many/", Delimiter: "/" });
    assert.deepEqual(folders.CommonPrefixes.map((p) => p.Prefix), ["many/00/", "many/01/", "many/02/"]);

    console.log("an upload given up, and all away");
    const { UploadId } = await send("CreateMultipartUpload", { Key: "given up" });
    await send("UploadPart", { Key: "given up", UploadId, PartNumber: 1, Body: "part" });
    assert.equal((await send("ListParts", { Key: "given up", UploadId })).Parts.length, 1);
    await send("AbortMultipartUpload", { Key: "given up", UploadId });
    await refused(404, "NoSuchUpload", send("ListParts", { Key: "given up", UploadId }));
    const all = (await send("ListObjectsV2")).Contents.map(({ Key }) => ({ Key }));
    const deleted = await send("DeleteObjects", { Delete: { Objects: all } });
    assert.equal(deleted.Deleted.length, all.length);
    await send("DeleteBucket");
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
