//! Questions about settings that a bucket or object cannot have yet. Their answers are those that S3 gives
//! for one that never had the setting, and they are true.

use super::{Answer, Operations, nothing::exists};
use crate::{
    api::{Code, Context, buckets},
    s3::convert::owner,
};
use s3s::{S3Request, S3Response, dto::*};

/// Declares operations that answer with one error if the bucket exists.
macro_rules! never_set {
    ($($operation:ident: $input:ident => $output:ident = $code:ident)*) => {
        $(
            pub(super) async fn $operation(ops: &Operations, cx: &Context, req: S3Request<$input>) -> Answer<$output> {
                buckets::get(cx, &ops.store, &req.input.bucket).await?;
                Err(crate::api::ApiError::from(Code::$code))
            }
        )*
    };
}

never_set! {
    get_bucket_cors: GetBucketCorsInput => GetBucketCorsOutput = NoSuchCorsConfiguration
    get_bucket_encryption: GetBucketEncryptionInput => GetBucketEncryptionOutput = NoSuchEncryption
    get_bucket_lifecycle_configuration:
        GetBucketLifecycleConfigurationInput => GetBucketLifecycleConfigurationOutput = NoSuchLifecycleConfiguration
    get_bucket_ownership_controls:
        GetBucketOwnershipControlsInput => GetBucketOwnershipControlsOutput = NoSuchOwnershipControls
    get_bucket_policy: GetBucketPolicyInput => GetBucketPolicyOutput = NoSuchBucketPolicy
    get_bucket_policy_status: GetBucketPolicyStatusInput => GetBucketPolicyStatusOutput = NoSuchBucketPolicy
    get_bucket_replication: GetBucketReplicationInput => GetBucketReplicationOutput = NoSuchReplication
    get_bucket_tagging: GetBucketTaggingInput => GetBucketTaggingOutput = NoSuchTagSet
    get_bucket_website: GetBucketWebsiteInput => GetBucketWebsiteOutput = NoSuchWebsite
    get_object_lock_configuration:
        GetObjectLockConfigurationInput => GetObjectLockConfigurationOutput = NoSuchObjectLock
    get_public_access_block: GetPublicAccessBlockInput => GetPublicAccessBlockOutput = NoSuchPublicAccessBlock
}

/// Declares operations whose empty answer says that the setting was never made.
macro_rules! empty {
    ($($operation:ident: $input:ident => $output:ident)*) => {
        $(
            pub(super) async fn $operation(ops: &Operations, cx: &Context, req: S3Request<$input>) -> Answer<$output> {
                buckets::get(cx, &ops.store, &req.input.bucket).await?;
                Ok(S3Response::new($output::default()))
            }
        )*
    };
}

empty! {
    get_bucket_accelerate_configuration:
        GetBucketAccelerateConfigurationInput => GetBucketAccelerateConfigurationOutput
    get_bucket_logging: GetBucketLoggingInput => GetBucketLoggingOutput
    get_bucket_notification_configuration:
        GetBucketNotificationConfigurationInput => GetBucketNotificationConfigurationOutput
    get_bucket_versioning: GetBucketVersioningInput => GetBucketVersioningOutput
}

pub(super) async fn get_bucket_location(
    ops: &Operations,
    cx: &Context,
    req: S3Request<GetBucketLocationInput>,
) -> Answer<GetBucketLocationOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    // S3 calls this one region by no name here.
    let region = Some(ops.region.clone()).filter(|region| region != "us-east-1");
    Ok(S3Response::new(GetBucketLocationOutput {
        location_constraint: region.map(BucketLocationConstraint::from),
    }))
}

pub(super) async fn get_bucket_request_payment(
    ops: &Operations,
    cx: &Context,
    req: S3Request<GetBucketRequestPaymentInput>,
) -> Answer<GetBucketRequestPaymentOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    Ok(S3Response::new(GetBucketRequestPaymentOutput {
        payer: Some(Payer::from_static(Payer::BUCKET_OWNER)),
    }))
}

pub(super) async fn get_bucket_acl(
    ops: &Operations,
    cx: &Context,
    req: S3Request<GetBucketAclInput>,
) -> Answer<GetBucketAclOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(private()),
        owner: Some(owner()),
    }))
}

pub(super) async fn get_object_acl(
    ops: &Operations,
    cx: &Context,
    req: S3Request<GetObjectAclInput>,
) -> Answer<GetObjectAclOutput> {
    exists(cx, &ops.store, req.input.bucket, req.input.key).await?;
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(private()),
        owner: Some(owner()),
        request_charged: None,
    }))
}

pub(super) async fn get_object_tagging(
    ops: &Operations,
    cx: &Context,
    req: S3Request<GetObjectTaggingInput>,
) -> Answer<GetObjectTaggingOutput> {
    exists(cx, &ops.store, req.input.bucket, req.input.key).await?;
    Ok(S3Response::new(GetObjectTaggingOutput::default()))
}

/// The access control list `private`.
fn private() -> Vec<Grant> {
    vec![Grant {
        grantee: Some(Grantee {
            display_name: owner().display_name,
            email_address: None,
            id: owner().id,
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }]
}
