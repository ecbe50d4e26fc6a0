//! Requests that ask for what holds anyway: the removal of a setting that was never made, or a setting as it is.
//! What would change something is refused.

use super::{Answer, Operations};
use crate::{
    access::Resource,
    api::{
        ApiError, Code, Context, buckets,
        read::{self, ReadRequest},
    },
    s3::gate::OWNER_ID,
    store::Store,
};
use s3s::{S3Request, S3Response, dto::*};

/// Declares operations that remove a bucket's setting. None has one.
macro_rules! removed_already {
    ($($operation:ident: $input:ident => $output:ident)*) => {
        $(
            pub(super) async fn $operation(ops: &Operations, cx: &Context, req: S3Request<$input>) -> Answer<$output> {
                buckets::get(cx, &ops.store, &req.input.bucket).await?;
                Ok(S3Response::new($output::default()))
            }
        )*
    };
}

removed_already! {
    delete_bucket_cors: DeleteBucketCorsInput => DeleteBucketCorsOutput
    delete_bucket_encryption: DeleteBucketEncryptionInput => DeleteBucketEncryptionOutput
    delete_bucket_lifecycle: DeleteBucketLifecycleInput => DeleteBucketLifecycleOutput
    delete_bucket_ownership_controls: DeleteBucketOwnershipControlsInput => DeleteBucketOwnershipControlsOutput
    delete_bucket_policy: DeleteBucketPolicyInput => DeleteBucketPolicyOutput
    delete_bucket_replication: DeleteBucketReplicationInput => DeleteBucketReplicationOutput
    delete_bucket_tagging: DeleteBucketTaggingInput => DeleteBucketTaggingOutput
    delete_bucket_website: DeleteBucketWebsiteInput => DeleteBucketWebsiteOutput
    delete_public_access_block: DeletePublicAccessBlockInput => DeletePublicAccessBlockOutput
}

/// Declares operations on the object lock of an object: no bucket has one.
macro_rules! not_locked {
    ($($operation:ident: $input:ident => $output:ident)*) => {
        $(
            pub(super) async fn $operation(ops: &Operations, cx: &Context, req: S3Request<$input>) -> Answer<$output> {
                cx.authorize(Resource::Object(&req.input.bucket, &req.input.key))?;
                buckets::exists(&ops.store, &req.input.bucket).await?;
                Err(ApiError::from(Code::NoObjectLock))
            }
        )*
    };
}

not_locked! {
    get_object_legal_hold: GetObjectLegalHoldInput => GetObjectLegalHoldOutput
    get_object_retention: GetObjectRetentionInput => GetObjectRetentionOutput
    put_object_legal_hold: PutObjectLegalHoldInput => PutObjectLegalHoldOutput
    put_object_retention: PutObjectRetentionInput => PutObjectRetentionOutput
}

pub(super) async fn delete_object_tagging(
    ops: &Operations,
    cx: &Context,
    req: S3Request<DeleteObjectTaggingInput>,
) -> Answer<DeleteObjectTaggingOutput> {
    exists(cx, &ops.store, req.input.bucket, req.input.key).await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
}

pub(super) async fn put_object_tagging(
    ops: &Operations,
    cx: &Context,
    req: S3Request<PutObjectTaggingInput>,
) -> Answer<PutObjectTaggingOutput> {
    exists(cx, &ops.store, req.input.bucket, req.input.key).await?;
    only_if(req.input.tagging.tag_set.is_empty(), "Tags are not implemented.")?;
    Ok(S3Response::new(PutObjectTaggingOutput::default()))
}

pub(super) async fn put_bucket_tagging(
    ops: &Operations,
    cx: &Context,
    req: S3Request<PutBucketTaggingInput>,
) -> Answer<PutBucketTaggingOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    only_if(req.input.tagging.tag_set.is_empty(), "Tags are not implemented.")?;
    Ok(S3Response::new(PutBucketTaggingOutput::default()))
}

pub(super) async fn put_bucket_logging(
    ops: &Operations,
    cx: &Context,
    req: S3Request<PutBucketLoggingInput>,
) -> Answer<PutBucketLoggingOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    let is_off = req.input.bucket_logging_status.logging_enabled.is_none();
    only_if(is_off, "Logging of a bucket is not implemented.")?;
    Ok(S3Response::new(PutBucketLoggingOutput::default()))
}

pub(super) async fn put_bucket_notification_configuration(
    ops: &Operations,
    cx: &Context,
    req: S3Request<PutBucketNotificationConfigurationInput>,
) -> Answer<PutBucketNotificationConfigurationOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    let is_empty = req.input.notification_configuration == NotificationConfiguration::default();
    only_if(is_empty, "Notifications are not implemented.")?;
    Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
}

pub(super) async fn put_bucket_request_payment(
    ops: &Operations,
    cx: &Context,
    req: S3Request<PutBucketRequestPaymentInput>,
) -> Answer<PutBucketRequestPaymentOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    match req.input.request_payment_configuration.payer.as_str() {
        Payer::BUCKET_OWNER => Ok(S3Response::new(PutBucketRequestPaymentOutput::default())),
        Payer::REQUESTER => Err(not_implemented("Requests that their sender pays are not implemented.")),
        _ => Err(ApiError::from(Code::MalformedXml)),
    }
}

pub(super) async fn put_bucket_acl(
    ops: &Operations,
    cx: &Context,
    req: S3Request<PutBucketAclInput>,
) -> Answer<PutBucketAclOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    let canned = req.input.acl.as_ref().map(BucketCannedACL::as_str);
    check_acl(canned, req.input.access_control_policy)?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

pub(super) async fn put_object_acl(
    ops: &Operations,
    cx: &Context,
    req: S3Request<PutObjectAclInput>,
) -> Answer<PutObjectAclOutput> {
    exists(cx, &ops.store, req.input.bucket, req.input.key).await?;
    let canned = req.input.acl.as_ref().map(ObjectCannedACL::as_str);
    check_acl(canned, req.input.access_control_policy)?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

/// Lets an access control list pass that gives its owner everything and nobody else anything, which is what holds.
fn check_acl(canned: Option<&str>, list: Option<AccessControlPolicy>) -> Result<(), ApiError> {
    let is_private = match (canned, list) {
        (Some(canned), _) => matches!(canned, "private" | "bucket-owner-read" | "bucket-owner-full-control"),
        (None, Some(list)) => {
            let of_owner = |grant: &Grant| {
                let grantee = grant.grantee.as_ref().and_then(|grantee| grantee.id.as_deref());
                let permission = grant.permission.as_ref().map(Permission::as_str);
                grantee == Some(OWNER_ID) && permission == Some(Permission::FULL_CONTROL)
            };
            let grants = list.grants.unwrap_or_default();
            !grants.is_empty() && grants.iter().all(of_owner)
        }
        (None, None) => return Err(Code::MissingSecurityHeader.into()),
    };
    only_if(
        is_private,
        "Access control lists other than private are not implemented: what they allow would not be allowed.",
    )
}

fn only_if(holds: bool, refusal: &'static str) -> Result<(), ApiError> {
    if holds { Ok(()) } else { Err(not_implemented(refusal)) }
}

fn not_implemented(message: &'static str) -> ApiError {
    ApiError::new(Code::NotImplemented, message)
}

/// Checks that the object exists.
pub(super) async fn exists(cx: &Context, store: &Store, bucket: String, key: String) -> Result<(), ApiError> {
    let request = ReadRequest {
        bucket,
        key,
        ..ReadRequest::default()
    };
    read::head(cx, store, &request).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(id: &str, permission: &'static str) -> Option<AccessControlPolicy> {
        let grantee = Grantee {
            display_name: None,
            email_address: None,
            id: Some(id.to_owned()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        };
        let grant = Grant {
            grantee: Some(grantee),
            permission: Some(Permission::from_static(permission)),
        };
        Some(AccessControlPolicy {
            grants: Some(vec![grant]),
            owner: None,
        })
    }

    #[test]
    fn only_a_private_acl_holds_anyway() {
        let code = |canned, list| check_acl(canned, list).map_err(|error| error.code);
        assert_eq!(code(Some("private"), None), Ok(()));
        assert_eq!(code(None, list(OWNER_ID, "FULL_CONTROL")), Ok(()));
        assert_eq!(code(Some("public-read"), None), Err(Code::NotImplemented));
        assert_eq!(code(None, list(OWNER_ID, "READ")), Err(Code::NotImplemented));
        assert_eq!(code(None, list("somebody", "FULL_CONTROL")), Err(Code::NotImplemented));
        assert_eq!(
            code(None, Some(AccessControlPolicy::default())),
            Err(Code::NotImplemented)
        );
        assert_eq!(code(None, None), Err(Code::MissingSecurityHeader));
    }
}
