//! The table: method, target, name, conditions, IAM action, state; then further query parameters and headers, and the
//! kind of body.

use super::{
    Condition::{Has, Header, Is},
    Operation,
    State::{Default, Refused, Served},
    Target::{Bucket, Object, Service},
    operation,
};
use http::Method;

/// Checksums of a body, and of a whole object.
const CHECKSUMS: &[&str] = &[
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];
/// Properties of a new object. Metadata of its client (`x-amz-meta-…`) is taken by every operation.
const NEW_OBJECT: &[&str] = &["x-amz-checksum-algorithm", "x-amz-storage-class"];
/// Conditions on the source of a copy.
const COPY: &[&str] = &[
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
];

macro_rules! table {
    ($($method:ident $target:ident $name:literal [$($when:expr),*] $action:literal $state:ident
        $(.$further:ident($($argument:expr)?))*;)*) => {
        /// The operations, in the order in which a request is compared with them.
        pub(in crate::s3) static OPERATIONS: &[Operation] = &[
            $(operation(Method::$method, $target, $name, &[$($when),*], $action, $state)
                $(.$further($($argument)?))*),*
        ];
    };
}

table! {
    HEAD Bucket "HeadBucket" [] "s3:ListBucket" Served;
    HEAD Object "HeadObject" [] "s3:GetObject" Served .queries(&["versionId", "partNumber"])
        .headers(&[&["x-amz-checksum-mode"]]);
    GET Service "ListDirectoryBuckets" [Is("x-id", "ListDirectoryBuckets")]
        "s3express:ListAllMyDirectoryBuckets" Refused;
    GET Service "ListBuckets" [] "s3:ListAllMyBuckets" Served;
    GET Bucket "GetBucketAnalyticsConfiguration" [Has("analytics"), Has("id")] "s3:GetAnalyticsConfiguration" Refused;
    GET Bucket "GetBucketIntelligentTieringConfiguration" [Has("intelligent-tiering"), Has("id")]
        "s3:GetIntelligentTieringConfiguration" Refused;
    GET Bucket "GetBucketInventoryConfiguration" [Has("inventory"), Has("id")] "s3:GetInventoryConfiguration" Refused;
    GET Bucket "GetBucketMetricsConfiguration" [Has("metrics"), Has("id")] "s3:GetMetricsConfiguration" Refused;
    GET Bucket "CreateSession" [Has("session")] "s3express:CreateSession" Refused;
    GET Bucket "GetBucketAccelerateConfiguration" [Has("accelerate")] "s3:GetAccelerateConfiguration" Default;
    GET Bucket "GetBucketAcl" [Has("acl")] "s3:GetBucketAcl" Default;
    GET Bucket "GetBucketCors" [Has("cors")] "s3:GetBucketCORS" Default;
    GET Bucket "GetBucketEncryption" [Has("encryption")] "s3:GetEncryptionConfiguration" Default;
    GET Bucket "GetBucketLifecycleConfiguration" [Has("lifecycle")] "s3:GetLifecycleConfiguration" Default;
    GET Bucket "GetBucketLocation" [Has("location")] "s3:GetBucketLocation" Served;
    GET Bucket "GetBucketLogging" [Has("logging")] "s3:GetBucketLogging" Default;
    GET Bucket "GetBucketMetadataTableConfiguration" [Has("metadataTable")]
        "s3:GetBucketMetadataTableConfiguration" Refused;
    GET Bucket "GetBucketNotificationConfiguration" [Has("notification")] "s3:GetBucketNotification" Default;
    GET Bucket "GetBucketOwnershipControls" [Has("ownershipControls")] "s3:GetBucketOwnershipControls" Default;
    GET Bucket "GetBucketPolicy" [Has("policy")] "s3:GetBucketPolicy" Default;
    GET Bucket "GetBucketPolicyStatus" [Has("policyStatus")] "s3:GetBucketPolicyStatus" Default;
    GET Bucket "GetBucketReplication" [Has("replication")] "s3:GetReplicationConfiguration" Default;
    GET Bucket "GetBucketRequestPayment" [Has("requestPayment")] "s3:GetBucketRequestPayment" Default;
    GET Bucket "GetBucketTagging" [Has("tagging")] "s3:GetBucketTagging" Default;
    GET Bucket "GetBucketVersioning" [Has("versioning")] "s3:GetBucketVersioning" Default;
    GET Bucket "GetBucketWebsite" [Has("website")] "s3:GetBucketWebsite" Default;
    GET Bucket "GetObjectLockConfiguration" [Has("object-lock")] "s3:GetBucketObjectLockConfiguration" Default;
    GET Bucket "GetPublicAccessBlock" [Has("publicAccessBlock")] "s3:GetBucketPublicAccessBlock" Default;
    GET Bucket "ListBucketAnalyticsConfigurations" [Has("analytics")] "s3:GetAnalyticsConfiguration" Refused;
    GET Bucket "ListBucketIntelligentTieringConfigurations" [Has("intelligent-tiering")]
        "s3:GetIntelligentTieringConfiguration" Refused;
    GET Bucket "ListBucketInventoryConfigurations" [Has("inventory")] "s3:GetInventoryConfiguration" Refused;
    GET Bucket "ListBucketMetricsConfigurations" [Has("metrics")] "s3:GetMetricsConfiguration" Refused;
    GET Bucket "ListMultipartUploads" [Has("uploads")] "s3:ListBucketMultipartUploads" Served;
    GET Bucket "ListObjectVersions" [Has("versions")] "s3:ListBucketVersions" Served;
    GET Bucket "ListObjectsV2" [Is("list-type", "2")] "s3:ListBucket" Served;
    GET Bucket "ListObjects" [] "s3:ListBucket" Served;
    GET Object "GetObjectAttributes" [Has("attributes")] "s3:GetObjectAttributes" Served .queries(&["versionId"])
        .headers(&[&["x-amz-max-parts", "x-amz-object-attributes", "x-amz-part-number-marker"]]);
    GET Object "GetObjectAcl" [Has("acl")] "s3:GetObjectAcl" Default .queries(&["versionId"]);
    GET Object "GetObjectLegalHold" [Has("legal-hold")] "s3:GetObjectLegalHold" Default .queries(&["versionId"]);
    GET Object "GetObjectRetention" [Has("retention")] "s3:GetObjectRetention" Default .queries(&["versionId"]);
    GET Object "GetObjectTagging" [Has("tagging")] "s3:GetObjectTagging" Default .queries(&["versionId"]);
    GET Object "GetObjectTorrent" [Has("torrent")] "s3:GetObjectTorrent" Refused;
    GET Object "ListParts" [Has("uploadId")] "s3:ListMultipartUploadParts" Served;
    GET Object "GetObject" [] "s3:GetObject" Served .queries(&["versionId", "partNumber"])
        .headers(&[&["x-amz-checksum-mode"]]);
    POST Bucket "CreateBucketMetadataTableConfiguration" [Has("metadataTable")]
        "s3:CreateBucketMetadataTableConfiguration" Refused .xml();
    POST Bucket "DeleteObjects" [Has("delete")] "s3:DeleteObject" Served .xml()
        .headers(&[CHECKSUMS, &["x-amz-checksum-algorithm"]]);
    POST Bucket "WriteGetObjectResponse" [Header("x-amz-request-route"), Header("x-amz-request-token")]
        "s3-object-lambda:WriteGetObjectResponse" Refused;
    POST Object "SelectObjectContent" [Has("select"), Is("select-type", "2")] "s3:GetObject" Refused .xml();
    POST Object "CreateMultipartUpload" [Has("uploads")] "s3:PutObject" Served
        .headers(&[NEW_OBJECT, &["x-amz-checksum-type"]]);
    POST Object "RestoreObject" [Has("restore")] "s3:RestoreObject" Refused .xml();
    POST Object "CompleteMultipartUpload" [Has("uploadId")] "s3:PutObject" Served .xml()
        .headers(&[CHECKSUMS, &["x-amz-checksum-type", "x-amz-mp-object-size"]]);
    PUT Bucket "PutBucketAnalyticsConfiguration" [Has("analytics")]
        "s3:PutAnalyticsConfiguration" Refused .queries(&["id"]).xml();
    PUT Bucket "PutBucketIntelligentTieringConfiguration" [Has("intelligent-tiering")]
        "s3:PutIntelligentTieringConfiguration" Refused .queries(&["id"]).xml();
    PUT Bucket "PutBucketInventoryConfiguration" [Has("inventory")]
        "s3:PutInventoryConfiguration" Refused .queries(&["id"]).xml();
    PUT Bucket "PutBucketMetricsConfiguration" [Has("metrics")]
        "s3:PutMetricsConfiguration" Refused .queries(&["id"]).xml();
    PUT Bucket "PutBucketAccelerateConfiguration" [Has("accelerate")] "s3:PutAccelerateConfiguration" Refused .xml();
    PUT Bucket "PutBucketAcl" [Has("acl")] "s3:PutBucketAcl" Default .xml();
    PUT Bucket "PutBucketCors" [Has("cors")] "s3:PutBucketCORS" Refused .xml();
    PUT Bucket "PutBucketEncryption" [Has("encryption")] "s3:PutEncryptionConfiguration" Refused .xml();
    PUT Bucket "PutBucketLifecycleConfiguration" [Has("lifecycle")] "s3:PutLifecycleConfiguration" Refused .xml();
    PUT Bucket "PutBucketLogging" [Has("logging")] "s3:PutBucketLogging" Default .xml();
    PUT Bucket "PutBucketNotificationConfiguration" [Has("notification")] "s3:PutBucketNotification" Default .xml();
    PUT Bucket "PutBucketOwnershipControls" [Has("ownershipControls")] "s3:PutBucketOwnershipControls" Refused .xml();
    PUT Bucket "PutBucketPolicy" [Has("policy")] "s3:PutBucketPolicy" Refused .xml();
    PUT Bucket "PutBucketReplication" [Has("replication")] "s3:PutReplicationConfiguration" Refused .xml();
    PUT Bucket "PutBucketRequestPayment" [Has("requestPayment")] "s3:PutBucketRequestPayment" Default .xml();
    PUT Bucket "PutBucketTagging" [Has("tagging")] "s3:PutBucketTagging" Default .xml();
    PUT Bucket "PutBucketVersioning" [Has("versioning")] "s3:PutBucketVersioning" Refused .xml();
    PUT Bucket "PutBucketWebsite" [Has("website")] "s3:PutBucketWebsite" Refused .xml();
    PUT Bucket "PutObjectLockConfiguration" [Has("object-lock")] "s3:PutBucketObjectLockConfiguration" Refused .xml();
    PUT Bucket "PutPublicAccessBlock" [Has("publicAccessBlock")] "s3:PutBucketPublicAccessBlock" Refused .xml();
    PUT Bucket "CreateBucket" [] "s3:CreateBucket" Served .xml();
    PUT Object "PutObjectAcl" [Has("acl")] "s3:PutObjectAcl" Default .queries(&["versionId"]).xml();
    PUT Object "PutObjectLegalHold" [Has("legal-hold")] "s3:PutObjectLegalHold" Default .queries(&["versionId"]).xml();
    PUT Object "PutObjectRetention" [Has("retention")] "s3:PutObjectRetention" Default .queries(&["versionId"]).xml();
    PUT Object "PutObjectTagging" [Has("tagging")] "s3:PutObjectTagging" Default .queries(&["versionId"]).xml();
    PUT Object "RenameObject" [Has("renameObject")] "s3express:RenameObject" Refused;
    PUT Object "UploadPartCopy" [Has("partNumber"), Has("uploadId"), Header("x-amz-copy-source")] "s3:PutObject" Served
        .headers(&[COPY, &["x-amz-copy-source-range"]]);
    PUT Object "UploadPart" [Has("partNumber"), Has("uploadId")] "s3:PutObject" Served .stream()
        .headers(&[CHECKSUMS, &["x-amz-checksum-algorithm"]]);
    PUT Object "CopyObject" [Header("x-amz-copy-source")] "s3:PutObject" Served
        .headers(&[NEW_OBJECT, COPY, &["x-amz-metadata-directive", "x-amz-tagging-directive"]]);
    PUT Object "PutObject" [] "s3:PutObject" Served .stream() .headers(&[NEW_OBJECT, CHECKSUMS]);
    DELETE Bucket "DeleteBucketAnalyticsConfiguration" [Has("analytics")]
        "s3:PutAnalyticsConfiguration" Refused .queries(&["id"]);
    DELETE Bucket "DeleteBucketIntelligentTieringConfiguration" [Has("intelligent-tiering")]
        "s3:PutIntelligentTieringConfiguration" Refused .queries(&["id"]);
    DELETE Bucket "DeleteBucketInventoryConfiguration" [Has("inventory")]
        "s3:PutInventoryConfiguration" Refused .queries(&["id"]);
    DELETE Bucket "DeleteBucketMetricsConfiguration" [Has("metrics")]
        "s3:PutMetricsConfiguration" Refused .queries(&["id"]);
    DELETE Bucket "DeleteBucketCors" [Has("cors")] "s3:PutBucketCORS" Default;
    DELETE Bucket "DeleteBucketEncryption" [Has("encryption")] "s3:PutEncryptionConfiguration" Default;
    DELETE Bucket "DeleteBucketLifecycle" [Has("lifecycle")] "s3:PutLifecycleConfiguration" Default;
    DELETE Bucket "DeleteBucketMetadataTableConfiguration" [Has("metadataTable")]
        "s3:DeleteBucketMetadataTableConfiguration" Refused;
    DELETE Bucket "DeleteBucketOwnershipControls" [Has("ownershipControls")] "s3:PutBucketOwnershipControls" Default;
    DELETE Bucket "DeleteBucketPolicy" [Has("policy")] "s3:DeleteBucketPolicy" Default;
    DELETE Bucket "DeleteBucketReplication" [Has("replication")] "s3:PutReplicationConfiguration" Default;
    DELETE Bucket "DeleteBucketTagging" [Has("tagging")] "s3:PutBucketTagging" Default;
    DELETE Bucket "DeleteBucketWebsite" [Has("website")] "s3:DeleteBucketWebsite" Default;
    DELETE Bucket "DeletePublicAccessBlock" [Has("publicAccessBlock")] "s3:PutBucketPublicAccessBlock" Default;
    DELETE Bucket "DeleteBucket" [] "s3:DeleteBucket" Served;
    DELETE Object "DeleteObjectTagging" [Has("tagging")] "s3:DeleteObjectTagging" Default .queries(&["versionId"]);
    DELETE Object "AbortMultipartUpload" [Has("uploadId")] "s3:AbortMultipartUpload" Served;
    DELETE Object "DeleteObject" [] "s3:DeleteObject" Served .queries(&["versionId"]);
}
