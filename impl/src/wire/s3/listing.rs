//! Listings of objects.

use super::Operations;
use crate::{
    api::{headers, list},
    object::{ListQuery, Listing, ObjectInfo},
    wire::convert::{algorithm, checksum_type, common_prefixes, encode, etag, owner, timestamp, wants_url},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};

pub(super) async fn list_objects(
    ops: &Operations,
    req: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = req.input;
    let url = wants_url(input.encoding_type.as_ref())?;
    let limit = list::page_size(input.max_keys)?;
    let query = list_query(
        input.prefix.as_ref(),
        input.delimiter.as_ref(),
        input.marker.clone(),
        limit,
    );
    let page = list::list(&ops.store, &input.bucket, query).await?;
    let delimited = input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty());
    Ok(S3Response::new(ListObjectsOutput {
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next.as_deref().filter(|_| delimited).map(|next| encode(next, url)),
        contents: Some(contents(&page, url, true)),
        common_prefixes: Some(common_prefixes(&page.common_prefixes, url)),
        delimiter: input.delimiter.map(|text| encode(&text, url)),
        encoding_type: input.encoding_type,
        marker: Some(encode(&input.marker.unwrap_or_default(), url)),
        max_keys: i32::try_from(limit).ok(),
        name: Some(input.bucket),
        prefix: Some(encode(&input.prefix.unwrap_or_default(), url)),
        request_charged: None,
    }))
}

pub(super) async fn list_objects_v2(
    ops: &Operations,
    req: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = req.input;
    let url = wants_url(input.encoding_type.as_ref())?;
    let limit = list::page_size(input.max_keys)?;
    let after = match &input.continuation_token {
        Some(token) => Some(list::parse_token(token)?),
        None => input.start_after.clone(),
    };
    let query = list_query(input.prefix.as_ref(), input.delimiter.as_ref(), after, limit);
    let page = list::list(&ops.store, &input.bucket, query).await?;
    Ok(S3Response::new(ListObjectsV2Output {
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_deref().map(list::token),
        key_count: i32::try_from(page.objects.len() + page.common_prefixes.len()).ok(),
        contents: Some(contents(&page, url, input.fetch_owner == Some(true))),
        common_prefixes: Some(common_prefixes(&page.common_prefixes, url)),
        continuation_token: input.continuation_token,
        delimiter: input.delimiter.map(|text| encode(&text, url)),
        encoding_type: input.encoding_type,
        max_keys: i32::try_from(limit).ok(),
        name: Some(input.bucket),
        prefix: Some(encode(&input.prefix.unwrap_or_default(), url)),
        start_after: input.start_after.map(|text| encode(&text, url)),
        request_charged: None,
    }))
}

pub(super) async fn list_object_versions(
    ops: &Operations,
    req: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = req.input;
    let url = wants_url(input.encoding_type.as_ref())?;
    let limit = list::page_size(input.max_keys)?;
    let query = list_query(
        input.prefix.as_ref(),
        input.delimiter.as_ref(),
        input.key_marker.clone(),
        limit,
    );
    let page = list::list(&ops.store, &input.bucket, query).await?;
    Ok(S3Response::new(ListObjectVersionsOutput {
        is_truncated: Some(page.next.is_some()),
        next_key_marker: page.next.as_deref().map(|next| encode(next, url)),
        next_version_id_marker: page.next.as_ref().map(|_| "null".to_owned()),
        versions: Some(page.objects.iter().map(|info| version(info, url)).collect()),
        common_prefixes: Some(common_prefixes(&page.common_prefixes, url)),
        delimiter: input.delimiter.map(|text| encode(&text, url)),
        encoding_type: input.encoding_type,
        key_marker: Some(encode(&input.key_marker.unwrap_or_default(), url)),
        max_keys: i32::try_from(limit).ok(),
        name: Some(input.bucket),
        prefix: Some(encode(&input.prefix.unwrap_or_default(), url)),
        version_id_marker: input.version_id_marker,
        delete_markers: None,
        request_charged: None,
    }))
}

fn list_query(prefix: Option<&String>, delimiter: Option<&String>, after: Option<String>, limit: usize) -> ListQuery {
    ListQuery {
        prefix: prefix.cloned().unwrap_or_default(),
        delimiter: delimiter.cloned(),
        after,
        limit,
    }
}

fn contents(page: &Listing, url: bool, with_owner: bool) -> Vec<Object> {
    let entry = |info: &ObjectInfo| Object {
        checksum_algorithm: Some(info.data.checksums.iter().map(|sum| algorithm(sum.kind)).collect()),
        checksum_type: info.data.checksums.first().map(checksum_type),
        e_tag: Some(etag(&info.data.etag)),
        key: Some(encode(&info.key, url)),
        last_modified: Some(timestamp(info.time_nanos)),
        owner: with_owner.then(owner),
        restore_status: None,
        size: i64::try_from(info.data.size).ok(),
        storage_class: Some(headers::storage_class(&info.data.headers).to_owned().into()),
    };
    page.objects.iter().map(entry).collect()
}

fn version(info: &ObjectInfo, url: bool) -> ObjectVersion {
    ObjectVersion {
        checksum_algorithm: Some(info.data.checksums.iter().map(|sum| algorithm(sum.kind)).collect()),
        checksum_type: info.data.checksums.first().map(checksum_type),
        e_tag: Some(etag(&info.data.etag)),
        is_latest: Some(true),
        key: Some(encode(&info.key, url)),
        last_modified: Some(timestamp(info.time_nanos)),
        owner: Some(owner()),
        restore_status: None,
        size: i64::try_from(info.data.size).ok(),
        storage_class: Some(headers::storage_class(&info.data.headers).to_owned().into()),
        version_id: Some("null".into()),
    }
}
