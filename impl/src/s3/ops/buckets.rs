//! Operations on buckets.

use super::{Answer, Operations};
use crate::{
    api::{ApiError, Code, Context, buckets, list},
    s3::{
        convert::{owner, timestamp},
        elements,
        sent::facts,
    },
};
use s3s::{S3Request, S3Response, dto::*};

pub(super) async fn list_buckets(
    ops: &Operations,
    cx: &Context,
    req: S3Request<ListBucketsInput>,
) -> Answer<ListBucketsOutput> {
    let input = req.input;
    let limit = match input.max_buckets {
        None => usize::MAX,
        Some(max) => usize::try_from(max)
            .ok()
            .filter(|max| (1..=10_000).contains(max))
            .ok_or_else(|| ApiError::new(Code::InvalidArgument, "max-buckets must be between 1 and 10000."))?,
    };
    let after = input.continuation_token.as_deref().map(list::parse_token).transpose()?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let mut page = buckets::list(cx, &ops.store, &prefix, after.as_deref(), limit).await?;
    if input.bucket_region.is_some_and(|region| region != ops.region) {
        page = buckets::BucketPage::default();
    }
    let bucket = |info: crate::store::BucketInfo| Bucket {
        bucket_region: Some(ops.region.clone()),
        creation_date: Some(timestamp(info.created_nanos)),
        name: Some(info.name),
    };
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(page.buckets.into_iter().map(bucket).collect()),
        continuation_token: page.next.as_deref().map(list::token),
        owner: Some(owner()),
        prefix: input.prefix,
    }))
}

pub(super) async fn create_bucket(
    ops: &Operations,
    cx: &Context,
    req: S3Request<CreateBucketInput>,
) -> Answer<CreateBucketOutput> {
    check_elements(&facts(&req).document)?;
    let location = req
        .input
        .create_bucket_configuration
        .and_then(|config| config.location_constraint);
    let location = location.as_ref().map(BucketLocationConstraint::as_str);
    let bucket = buckets::create(cx, &ops.store, &req.input.bucket, &ops.region, location).await?;
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(format!("/{}", bucket.name)),
    }))
}

/// Refuses a configuration with elements that would be left out: a bucket without its tags is another one.
fn check_elements(xml: &[u8]) -> Result<(), ApiError> {
    const SERVED: [&[u8]; 2] = [b"CreateBucketConfiguration", b"LocationConstraint"];
    const OTHERS: [&[u8]; 3] = [b"Tags", b"Bucket", b"Location"];
    match elements::names(xml).find(|name| !SERVED.contains(name)) {
        None => Ok(()),
        Some(name) if OTHERS.contains(&name) => Err(ApiError::new(
            Code::NotImplemented,
            format!(
                "{} of a new bucket are not implemented; no bucket was made.",
                String::from_utf8_lossy(name)
            ),
        )),
        Some(_) => Err(Code::MalformedXml.into()),
    }
}

pub(super) async fn head_bucket(
    ops: &Operations,
    cx: &Context,
    req: S3Request<HeadBucketInput>,
) -> Answer<HeadBucketOutput> {
    buckets::get(cx, &ops.store, &req.input.bucket).await?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(ops.region.clone()),
        ..HeadBucketOutput::default()
    }))
}

pub(super) async fn delete_bucket(
    ops: &Operations,
    cx: &Context,
    req: S3Request<DeleteBucketInput>,
) -> Answer<DeleteBucketOutput> {
    buckets::delete(cx, &ops.store, &req.input.bucket).await?;
    Ok(S3Response::new(DeleteBucketOutput {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_taken_whole_or_not() {
        let code = |inner: &str| {
            let xml = format!("<x:CreateBucketConfiguration>{inner}</x:CreateBucketConfiguration>");
            check_elements(xml.as_bytes()).map_err(|error| error.code)
        };
        assert_eq!(check_elements(b""), Ok(()));
        assert_eq!(code("<LocationConstraint>eu-west-3</LocationConstraint>"), Ok(()));
        let tags = "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>";
        assert_eq!(code(tags), Err(Code::NotImplemented));
        assert_eq!(
            code("<Location><Type>Zone</Type></Location>"),
            Err(Code::NotImplemented)
        );
        assert_eq!(code("<Colour>red</Colour>"), Err(Code::MalformedXml));
    }
}
