//! Listings of objects.

use super::{Answer, Operations};
use crate::{
    api::{ApiError, Context, headers, list},
    s3::convert::{algorithm, checksum_type, common_prefixes, encode, etag, owner, timestamp, wants_url},
    store::{ListQuery, Listing, ObjectInfo},
};
use s3s::{S3Request, S3Response, dto::*};

/// A page of a listing, as all three operations answer with it.
struct Page {
    listing: Listing,
    /// Names are percent-encoded.
    url: bool,
    limit: usize,
}

impl Page {
    /// The page for a request with these parameters.
    async fn read(
        ops: &Operations,
        cx: &Context,
        bucket: &str,
        encoding: Option<&EncodingType>,
        max_keys: Option<i32>,
        query: impl FnOnce(usize) -> ListQuery,
    ) -> Result<Page, ApiError> {
        let url = wants_url(encoding)?;
        let limit = list::page_size(max_keys)?;
        let listing = list::list(cx, &ops.store, bucket, query(limit)).await?;
        Ok(Page { listing, url, limit })
    }

    fn next(&self) -> Option<&str> {
        self.listing.next.as_deref()
    }

    fn encode(&self, name: &str) -> String {
        encode(name, self.url)
    }
}

/// Reads the page that `$input` asks for, after `$after`. The inputs have the same fields, and no type in common.
macro_rules! page {
    ($ops:expr, $cx:expr, $input:expr, $after:expr) => {{
        let after = $after;
        let query = |limit| ListQuery {
            prefix: $input.prefix.clone().unwrap_or_default(),
            delimiter: $input.delimiter.clone(),
            after,
            limit,
        };
        Page::read(
            $ops,
            $cx,
            &$input.bucket,
            $input.encoding_type.as_ref(),
            $input.max_keys,
            query,
        )
        .await?
    }};
}

/// The answer with a page: as with the inputs.
macro_rules! answer {
    ($output:ident, $page:expr, $input:expr, { $($field:ident: $value:expr,)* }) => {
        Ok(S3Response::new($output {
            $($field: $value,)*
            is_truncated: Some($page.next().is_some()),
            common_prefixes: Some(common_prefixes(&$page.listing.common_prefixes, $page.url)),
            delimiter: $input.delimiter.as_deref().filter(|text| !text.is_empty()).map(|text| $page.encode(text)),
            encoding_type: $input.encoding_type,
            max_keys: i32::try_from($page.limit).ok(),
            name: Some($input.bucket),
            prefix: Some($page.encode(&$input.prefix.unwrap_or_default())),
            request_charged: None,
        }))
    };
}

/// An object in a listing: as with the inputs.
macro_rules! entry {
    ($entry:ident, $page:expr, $info:expr, { $($field:ident: $value:expr,)* }) => {
        $entry {
            $($field: $value,)*
            checksum_algorithm: Some($info.data.checksums.iter().map(|sum| algorithm(sum.kind)).collect()),
            checksum_type: $info.data.checksums.first().map(checksum_type),
            e_tag: Some(etag(&$info.data.etag)),
            key: Some($page.encode(&$info.key)),
            last_modified: Some(timestamp($info.time_nanos)),
            restore_status: None,
            size: i64::try_from($info.data.size).ok(),
            storage_class: Some(headers::storage_class(&$info.data.headers).to_owned().into()),
        }
    };
}

pub(super) async fn list_objects(
    ops: &Operations,
    cx: &Context,
    req: S3Request<ListObjectsInput>,
) -> Answer<ListObjectsOutput> {
    let input = req.input;
    let page = page!(ops, cx, input, input.marker.clone());
    let delimited = input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty());
    answer!(ListObjectsOutput, page, input, {
        next_marker: page.next().filter(|_| delimited).map(|next| page.encode(next)),
        contents: Some(contents(&page, true)),
        marker: Some(page.encode(&input.marker.unwrap_or_default())),
    })
}

pub(super) async fn list_objects_v2(
    ops: &Operations,
    cx: &Context,
    req: S3Request<ListObjectsV2Input>,
) -> Answer<ListObjectsV2Output> {
    let input = req.input;
    let after = match &input.continuation_token {
        Some(token) => Some(list::parse_token(token)?),
        None => input.start_after.clone(),
    };
    let page = page!(ops, cx, input, after);
    answer!(ListObjectsV2Output, page, input, {
        next_continuation_token: page.next().map(list::token),
        key_count: i32::try_from(page.listing.objects.len() + page.listing.common_prefixes.len()).ok(),
        contents: Some(contents(&page, input.fetch_owner == Some(true))),
        continuation_token: input.continuation_token,
        start_after: input.start_after.map(|text| page.encode(&text)),
    })
}

pub(super) async fn list_object_versions(
    ops: &Operations,
    cx: &Context,
    req: S3Request<ListObjectVersionsInput>,
) -> Answer<ListObjectVersionsOutput> {
    let input = req.input;
    let page = page!(ops, cx, input, input.key_marker.clone());
    answer!(ListObjectVersionsOutput, page, input, {
        next_key_marker: page.next().map(|next| page.encode(next)),
        next_version_id_marker: page.next().map(|_| "null".to_owned()),
        versions: Some(page.listing.objects.iter().map(|info| version(&page, info)).collect()),
        key_marker: Some(page.encode(&input.key_marker.unwrap_or_default())),
        version_id_marker: input.version_id_marker,
        delete_markers: None,
    })
}

fn contents(page: &Page, with_owner: bool) -> Vec<Object> {
    let objects = page.listing.objects.iter();
    objects
        .map(|info| entry!(Object, page, info, { owner: with_owner.then(owner), }))
        .collect()
}

fn version(page: &Page, info: &ObjectInfo) -> ObjectVersion {
    entry!(ObjectVersion, page, info, {
        is_latest: Some(true),
        owner: Some(owner()),
        version_id: Some("null".into()),
    })
}
