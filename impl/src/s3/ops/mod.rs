//! s3s's trait: unpacks each request, calls the api, packs the answer. An operation that is not in the table
//! below is answered `NotImplemented` by s3s's defaults.

mod buckets;
mod listing;
mod multipart;
mod nothing;
mod objects;
mod settings;

use super::sent::{Facts, facts};
use crate::{
    api::{ApiError, Code},
    store::Store,
};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};
use std::sync::Arc;

/// Answer of an operation.
type Answer<T> = Result<S3Response<T>, ApiError>;

/// The S3 operations on a store.
pub(super) struct Operations {
    pub(super) store: Arc<Store>,
    pub(super) region: String,
}

/// Checks that s3s has found the operation for which the request was checked.
fn check_routed(facts: &Facts, input: &str) -> Result<(), ApiError> {
    if input.strip_suffix("Input") == Some(facts.operation.name) {
        return Ok(());
    }
    let message = format!("{} was taken for another operation.", facts.operation.name);
    Err(ApiError::new(Code::InternalError, message))
}

/// Implements [`S3`] by a table: `operation: Input => Output in module`.
macro_rules! serve {
    ($($operation:ident: $input:ident => $output:ident in $module:ident)*) => {
        /// The names of the operations that have code.
        #[cfg(test)]
        pub(super) fn names() -> impl Iterator<Item = &'static str> {
            [$(stringify!($input)),*].into_iter().filter_map(|input| input.strip_suffix("Input"))
        }

        #[async_trait::async_trait]
        impl S3 for Operations {
            $(
                async fn $operation(&self, req: S3Request<dto::$input>) -> S3Result<S3Response<dto::$output>> {
                    let facts = facts(&req);
                    let answer = match check_routed(&facts, stringify!($input)) {
                        Ok(()) => $module::$operation(self, &facts.context, req).await,
                        Err(error) => Err(error),
                    };
                    answer.map_err(|error| {
                        facts.set_error(error);
                        S3Error::new(S3ErrorCode::InternalError)
                    })
                }
            )*
        }
    };
}

serve! {
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput in multipart
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput in multipart
    copy_object: CopyObjectInput => CopyObjectOutput in objects
    create_bucket: CreateBucketInput => CreateBucketOutput in buckets
    create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput in multipart
    delete_bucket: DeleteBucketInput => DeleteBucketOutput in buckets
    delete_bucket_cors: DeleteBucketCorsInput => DeleteBucketCorsOutput in nothing
    delete_bucket_encryption: DeleteBucketEncryptionInput => DeleteBucketEncryptionOutput in nothing
    delete_bucket_lifecycle: DeleteBucketLifecycleInput => DeleteBucketLifecycleOutput in nothing
    delete_bucket_ownership_controls:
        DeleteBucketOwnershipControlsInput => DeleteBucketOwnershipControlsOutput in nothing
    delete_bucket_policy: DeleteBucketPolicyInput => DeleteBucketPolicyOutput in nothing
    delete_bucket_replication: DeleteBucketReplicationInput => DeleteBucketReplicationOutput in nothing
    delete_bucket_tagging: DeleteBucketTaggingInput => DeleteBucketTaggingOutput in nothing
    delete_bucket_website: DeleteBucketWebsiteInput => DeleteBucketWebsiteOutput in nothing
    delete_object: DeleteObjectInput => DeleteObjectOutput in objects
    delete_object_tagging: DeleteObjectTaggingInput => DeleteObjectTaggingOutput in nothing
    delete_objects: DeleteObjectsInput => DeleteObjectsOutput in objects
    delete_public_access_block: DeletePublicAccessBlockInput => DeletePublicAccessBlockOutput in nothing
    get_bucket_accelerate_configuration:
        GetBucketAccelerateConfigurationInput => GetBucketAccelerateConfigurationOutput in settings
    get_bucket_acl: GetBucketAclInput => GetBucketAclOutput in settings
    get_bucket_cors: GetBucketCorsInput => GetBucketCorsOutput in settings
    get_bucket_encryption: GetBucketEncryptionInput => GetBucketEncryptionOutput in settings
    get_bucket_lifecycle_configuration:
        GetBucketLifecycleConfigurationInput => GetBucketLifecycleConfigurationOutput in settings
    get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput in settings
    get_bucket_logging: GetBucketLoggingInput => GetBucketLoggingOutput in settings
    get_bucket_notification_configuration:
        GetBucketNotificationConfigurationInput => GetBucketNotificationConfigurationOutput in settings
    get_bucket_ownership_controls: GetBucketOwnershipControlsInput => GetBucketOwnershipControlsOutput in settings
    get_bucket_policy: GetBucketPolicyInput => GetBucketPolicyOutput in settings
    get_bucket_policy_status: GetBucketPolicyStatusInput => GetBucketPolicyStatusOutput in settings
    get_bucket_replication: GetBucketReplicationInput => GetBucketReplicationOutput in settings
    get_bucket_request_payment: GetBucketRequestPaymentInput => GetBucketRequestPaymentOutput in settings
    get_bucket_tagging: GetBucketTaggingInput => GetBucketTaggingOutput in settings
    get_bucket_versioning: GetBucketVersioningInput => GetBucketVersioningOutput in settings
    get_bucket_website: GetBucketWebsiteInput => GetBucketWebsiteOutput in settings
    get_object: GetObjectInput => GetObjectOutput in objects
    get_object_acl: GetObjectAclInput => GetObjectAclOutput in settings
    get_object_attributes: GetObjectAttributesInput => GetObjectAttributesOutput in objects
    get_object_legal_hold: GetObjectLegalHoldInput => GetObjectLegalHoldOutput in nothing
    get_object_lock_configuration: GetObjectLockConfigurationInput => GetObjectLockConfigurationOutput in settings
    get_object_retention: GetObjectRetentionInput => GetObjectRetentionOutput in nothing
    get_object_tagging: GetObjectTaggingInput => GetObjectTaggingOutput in settings
    get_public_access_block: GetPublicAccessBlockInput => GetPublicAccessBlockOutput in settings
    head_bucket: HeadBucketInput => HeadBucketOutput in buckets
    head_object: HeadObjectInput => HeadObjectOutput in objects
    list_buckets: ListBucketsInput => ListBucketsOutput in buckets
    list_multipart_uploads: ListMultipartUploadsInput => ListMultipartUploadsOutput in multipart
    list_object_versions: ListObjectVersionsInput => ListObjectVersionsOutput in listing
    list_objects: ListObjectsInput => ListObjectsOutput in listing
    list_objects_v2: ListObjectsV2Input => ListObjectsV2Output in listing
    list_parts: ListPartsInput => ListPartsOutput in multipart
    put_bucket_acl: PutBucketAclInput => PutBucketAclOutput in nothing
    put_bucket_logging: PutBucketLoggingInput => PutBucketLoggingOutput in nothing
    put_bucket_notification_configuration:
        PutBucketNotificationConfigurationInput => PutBucketNotificationConfigurationOutput in nothing
    put_bucket_request_payment: PutBucketRequestPaymentInput => PutBucketRequestPaymentOutput in nothing
    put_bucket_tagging: PutBucketTaggingInput => PutBucketTaggingOutput in nothing
    put_object: PutObjectInput => PutObjectOutput in objects
    put_object_acl: PutObjectAclInput => PutObjectAclOutput in nothing
    put_object_legal_hold: PutObjectLegalHoldInput => PutObjectLegalHoldOutput in nothing
    put_object_retention: PutObjectRetentionInput => PutObjectRetentionOutput in nothing
    put_object_tagging: PutObjectTaggingInput => PutObjectTaggingOutput in nothing
    upload_part: UploadPartInput => UploadPartOutput in multipart
    upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput in multipart
}
