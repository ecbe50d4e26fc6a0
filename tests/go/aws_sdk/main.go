// The AWS SDK for Go against a server: aws_sdk ENDPOINT
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const mib = 1 << 20

var (
	ctx    = context.Background()
	bucket = aws.String("photos")
)

func main() {
	endpoint := os.Args[1]

	// The keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
	cfg := must(config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1")))
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(endpoint)
		o.UsePathStyle = true
	})

	fmt.Println("buckets")
	must(client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
	refused("BucketAlreadyOwnedByYou", err)
	must(client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket}))
	buckets := must(client.ListBuckets(ctx, &s3.ListBucketsInput{})).Buckets
	check(len(buckets) == 1 && *buckets[0].Name == *bucket, "the list of buckets")

	objects(client)
	streams(client)
	conditions(client)
	presigned(client)
	listings(client)
	must(client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}))
}

func objects(client *s3.Client) {
	fmt.Println("objects, checksums, ranges")
	algorithms := []types.ChecksumAlgorithm{"", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"}
	for _, algorithm := range algorithms {
		key := aws.String("a b/ü+%-" + string(algorithm))
		data := random(mib + 1)
		put := must(client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: key, Body: bytes.NewReader(data), ChecksumAlgorithm: algorithm,
			Metadata: map[string]string{"place": "Rome"},
		}))
		got := must(client.GetObject(ctx, &s3.GetObjectInput{
			Bucket: bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled,
		}))
		check(bytes.Equal(read(got.Body), data), "the content")
		got = must(client.GetObject(ctx, &s3.GetObjectInput{
			Bucket: bucket, Key: key, Range: aws.String("bytes=10-19"),
		}))
		check(bytes.Equal(read(got.Body), data[10:20]), "a range")
		head := must(client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key}))
		check(*head.ETag == *put.ETag && head.Metadata["place"] == "Rome", "the headers")
	}
	_, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
	refused("NoSuchKey", err)
}

func streams(client *s3.Client) {
	fmt.Println("the transfer manager: a stream of unknown length in parts, and back in ranges")
	large := random(17*mib + 5)
	manager := transfermanager.New(client, func(o *transfermanager.Options) {
		o.PartSizeBytes = 5 * mib
		o.MultipartUploadThreshold = 5 * mib
	})
	must(manager.UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: bucket, Key: aws.String("parts"), Body: io.MultiReader(bytes.NewReader(large)),
	}))
	head := must(client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("parts")}))
	check(strings.HasSuffix(*head.ETag, `-4"`), "four parts")
	got := must(manager.GetObject(ctx, &transfermanager.GetObjectInput{Bucket: bucket, Key: aws.String("parts")}))
	check(bytes.Equal(must(io.ReadAll(got.Body)), large), "the content")
}

func conditions(client *s3.Client) {
	fmt.Println("conditions and copies")
	put := func(content string, change func(*s3.PutObjectInput)) (*s3.PutObjectOutput, error) {
		input := &s3.PutObjectInput{Bucket: bucket, Key: aws.String("lock"), Body: strings.NewReader(content)}
		change(input)
		return client.PutObject(ctx, input)
	}
	first := must(put("one", func(input *s3.PutObjectInput) { input.IfNoneMatch = aws.String("*") }))
	_, err := put("two", func(input *s3.PutObjectInput) { input.IfNoneMatch = aws.String("*") })
	refused("PreconditionFailed", err)
	must(put("two", func(input *s3.PutObjectInput) { input.IfMatch = first.ETag }))
	_, err = put("three", func(input *s3.PutObjectInput) { input.IfMatch = first.ETag })
	refused("PreconditionFailed", err)

	must(client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String(*bucket + "/lock"),
	}))
	got := must(client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("copy")}))
	check(string(read(got.Body)) == "two", "the copy")
}

func presigned(client *s3.Client) {
	fmt.Println("presigned URLs")
	presign := s3.NewPresignClient(client, s3.WithPresignExpires(time.Minute))
	url := must(presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("copy")}))
	check(string(read(must(http.Get(url.URL)).Body)) == "two", "a presigned read")
	url = must(presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("url")}))
	answer := must(http.DefaultClient.Do(must(http.NewRequest("PUT", url.URL, strings.NewReader("by url")))))
	read(answer.Body)
	check(answer.StatusCode == 200, "a presigned write")
}

func listings(client *s3.Client) {
	fmt.Println("listings and deletions of many")
	for number := range 30 {
		key := aws.String(fmt.Sprintf("many/%02d", number))
		must(client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key}))
	}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: bucket, Prefix: aws.String("many/"), MaxKeys: aws.Int32(7),
	})
	count := 0
	for pages.HasMorePages() {
		for _, object := range must(pages.NextPage(ctx)).Contents {
			check(*object.Key == fmt.Sprintf("many/%02d", count), "the order of keys")
			count++
		}
	}
	check(count == 30, "the number of keys")
	var all []types.ObjectIdentifier
	for _, object := range must(client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})).Contents {
		all = append(all, types.ObjectIdentifier{Key: object.Key})
	}
	deleted := must(client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: bucket, Delete: &types.Delete{Objects: all},
	}))
	check(len(deleted.Deleted) == len(all) && len(deleted.Errors) == 0, "the deletions")
}

func random(size int) []byte {
	data := make([]byte, size)
	must(rand.Read(data))
	return data
}

func read(body io.ReadCloser) []byte {
	defer body.Close()
	return must(io.ReadAll(body))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(holds bool, what string) {
	if !holds {
		panic("wrong: " + what)
	}
}

func refused(code string, err error) {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		panic(fmt.Sprintf("%v, not %s", err, code))
	}
}
