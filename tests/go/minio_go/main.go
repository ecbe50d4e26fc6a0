// minio-go against a server: minio_go ENDPOINT
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	mib    = 1 << 20
	bucket = "photos"
)

var ctx = context.Background()

func main() {
	endpoint := os.Args[1]

	client := must(minio.New(strings.TrimPrefix(endpoint, "http://"), &minio.Options{
		Creds:  credentials.NewStaticV4(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
		Region: "us-east-1",
		Secure: false,
		// Checksums are sent behind the body.
		TrailingHeaders: true,
	}))

	fmt.Println("buckets")
	check(!must(client.BucketExists(ctx, bucket)), "no bucket yet")
	ok(client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{}))
	refused("BucketAlreadyOwnedByYou", client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{}))
	check(must(client.BucketExists(ctx, bucket)), "the bucket")

	objects(client)
	copies(client)
	presigned(client)
	listings(client)
	ok(client.RemoveBucket(ctx, bucket))
}

func objects(client *minio.Client) {
	fmt.Println("objects: small, in parts, as a stream of unknown length, with checksums, in pieces")
	small := []byte("small")
	options := minio.PutObjectOptions{ContentType: "text/plain", UserMetadata: map[string]string{"place": "Rome"}}
	info := must(client.PutObject(ctx, bucket, "a b/ü+%.txt", bytes.NewReader(small), int64(len(small)), options))
	stat := must(client.StatObject(ctx, bucket, "a b/ü+%.txt", minio.StatObjectOptions{}))
	check(stat.ETag == info.ETag && stat.ContentType == "text/plain" && stat.UserMetadata["Place"] == "Rome", "the headers")

	large := make([]byte, 17*mib+5)
	must(rand.Read(large))
	parts := minio.PutObjectOptions{PartSize: 5 * mib}
	must(client.PutObject(ctx, bucket, "parts", bytes.NewReader(large), int64(len(large)), parts))
	must(client.PutObject(ctx, bucket, "stream", io.MultiReader(bytes.NewReader(large)), -1, parts))
	checked := minio.PutObjectOptions{PartSize: 5 * mib, Checksum: minio.ChecksumCRC32C}
	must(client.PutObject(ctx, bucket, "checked", bytes.NewReader(large), int64(len(large)), checked))
	signed := minio.PutObjectOptions{DisableMultipart: true, DisableContentSha256: false, SendContentMd5: true}
	must(client.PutObject(ctx, bucket, "one piece", bytes.NewReader(large), int64(len(large)), signed))
	for _, key := range []string{"parts", "stream", "checked", "one piece"} {
		object := must(client.GetObject(ctx, bucket, key, minio.GetObjectOptions{Checksum: true}))
		check(bytes.Equal(must(io.ReadAll(object)), large), "the content of "+key)
		piece := make([]byte, 1000)
		must(object.ReadAt(piece, 5*mib-500))
		check(bytes.Equal(piece, large[5*mib-500:5*mib+500]), "a piece of "+key)
		ok(object.Close())
	}
	_, err := client.StatObject(ctx, bucket, "none", minio.StatObjectOptions{})
	refused("NoSuchKey", err)

	once := minio.PutObjectOptions{}
	once.SetMatchETagExcept("*")
	_, err = client.PutObject(ctx, bucket, "parts", bytes.NewReader(small), int64(len(small)), once)
	refused("PreconditionFailed", err)
}

func copies(client *minio.Client) {
	fmt.Println("copies: with new metadata, composed of ranges")
	must(client.CopyObject(ctx,
		minio.CopyDestOptions{
			Bucket: bucket, Object: "copy", ReplaceMetadata: true, UserMetadata: map[string]string{"place": "Paris"},
		},
		minio.CopySrcOptions{Bucket: bucket, Object: "a b/ü+%.txt"}))
	stat := must(client.StatObject(ctx, bucket, "copy", minio.StatObjectOptions{}))
	check(stat.UserMetadata["Place"] == "Paris", "the new metadata")
	must(client.ComposeObject(ctx,
		minio.CopyDestOptions{Bucket: bucket, Object: "composed"},
		minio.CopySrcOptions{Bucket: bucket, Object: "parts", MatchRange: true, Start: 1, End: 6 * mib},
		minio.CopySrcOptions{Bucket: bucket, Object: "copy"}))
	stat = must(client.StatObject(ctx, bucket, "composed", minio.StatObjectOptions{}))
	check(stat.Size == 6*mib+5, "the composed size")
}

func presigned(client *minio.Client) {
	fmt.Println("presigned URLs")
	url := must(client.PresignedPutObject(ctx, bucket, "url", time.Minute))
	answer := must(http.DefaultClient.Do(must(http.NewRequest("PUT", url.String(), strings.NewReader("by url")))))
	ok(answer.Body.Close())
	check(answer.StatusCode == 200, "a presigned write")
	url = must(client.PresignedGetObject(ctx, bucket, "url", time.Minute, nil))
	answer = must(http.Get(url.String()))
	check(string(must(io.ReadAll(answer.Body))) == "by url", "a presigned read")
	ok(answer.Body.Close())
}

func listings(client *minio.Client) {
	fmt.Println("listings and deletions of many")
	for number := range 30 {
		key := fmt.Sprintf("many/%02d", number)
		must(client.PutObject(ctx, bucket, key, strings.NewReader(""), 0, minio.PutObjectOptions{}))
	}
	for _, v1 := range []bool{false, true} {
		count := 0
		options := minio.ListObjectsOptions{Prefix: "many/", Recursive: true, MaxKeys: 7, UseV1: v1}
		for object := range client.ListObjects(ctx, bucket, options) {
			ok(object.Err)
			check(object.Key == fmt.Sprintf("many/%02d", count), "the order of keys")
			count++
		}
		check(count == 30, "the number of keys")
	}
	all := client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true})
	for failed := range client.RemoveObjects(ctx, bucket, all, minio.RemoveObjectsOptions{}) {
		ok(failed.Err)
	}
	_, err := client.GetBucketPolicy(ctx, bucket)
	ok(err) // None is no error to it.
	for upload := range client.ListIncompleteUploads(ctx, bucket, "", true) {
		ok(upload.Err)
		check(false, "no upload is left open")
	}
}

func must[T any](value T, err error) T {
	ok(err)
	return value
}

func ok(err error) {
	if err != nil {
		panic(err)
	}
}

func check(holds bool, what string) {
	if !holds {
		panic("wrong: " + what)
	}
}

func refused(code string, err error) {
	if minio.ToErrorResponse(err).Code != code {
		panic(fmt.Sprintf("%v, not %s", err, code))
	}
}
