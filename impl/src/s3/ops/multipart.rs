//! Operations on multipart uploads.

use super::{Answer, Operations};
use crate::{
    api::{ApiError, Code, Context, copy, headers, list, multipart},
    s3::{
        convert::{
            algorithm, checksum_type, common_prefixes, copy_source, encode, etag, get_checksums, headers_to_store,
            incoming, location, owner, parse_algorithm, precondition, read_conditions, set_checksums, timestamp,
            type_name, wants_url,
        },
        sent::sent_headers,
    },
    store::{PartInfo, UploadInfo, UploadsQuery},
};
use model::record::ChecksumKind;
use s3s::{S3Request, S3Response, dto::*};

pub(super) async fn create_multipart_upload(
    ops: &Operations,
    cx: &Context,
    req: S3Request<CreateMultipartUploadInput>,
) -> Answer<CreateMultipartUploadOutput> {
    let headers = headers_to_store(sent_headers(&req))?;
    let input = req.input;
    let request = multipart::CreateRequest {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        headers,
        storage_class: input.storage_class.map(|class| class.as_str().to_owned()),
        checksum: parse_algorithm(input.checksum_algorithm.as_ref())?,
        checksum_type: input.checksum_type.map(|name| name.as_str().to_owned()),
    };
    let (id, checksum) = multipart::create(cx, &ops.store, request).await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(multipart::upload_id(id)),
        checksum_algorithm: checksum.map(|(kind, _)| algorithm(kind)),
        checksum_type: checksum.map(|(_, full_object)| type_name(full_object)),
        ..CreateMultipartUploadOutput::default()
    }))
}

pub(super) async fn upload_part(
    ops: &Operations,
    cx: &Context,
    req: S3Request<UploadPartInput>,
) -> Answer<UploadPartOutput> {
    let number = multipart::check_part_number(req.input.part_number)?;
    let id = multipart::parse_upload_id(&req.input.upload_id)?;
    let upload = multipart::describe(cx, &ops.store, &req.input.bucket, &req.input.key, id).await?;
    let kind = multipart::upload_checksum(&upload).0;
    let incoming = incoming(&req, kind)?;
    let part = multipart::put_part(cx, &ops.store, &req.input.bucket, &upload, number, incoming);
    let (bare_etag, checksum) = part.await?;
    let mut output = UploadPartOutput {
        e_tag: Some(etag(&bare_etag)),
        ..UploadPartOutput::default()
    };
    set_checksums!(output, checksum.iter());
    Ok(S3Response::new(output))
}

pub(super) async fn upload_part_copy(
    ops: &Operations,
    cx: &Context,
    req: S3Request<UploadPartCopyInput>,
) -> Answer<UploadPartCopyOutput> {
    let input = req.input;
    let number = multipart::check_part_number(input.part_number)?;
    let id = multipart::parse_upload_id(&input.upload_id)?;
    let (source_bucket, source_key) = copy_source(input.copy_source)?;
    let request = copy::CopyPartRequest {
        source_bucket,
        source_key,
        source_conditions: read_conditions(
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
            input.copy_source_if_modified_since,
            input.copy_source_if_unmodified_since,
        ),
        source_range: input.copy_source_range.as_deref().map(parse_source_range).transpose()?,
        upload: multipart::describe(cx, &ops.store, &input.bucket, &input.key, id).await?,
        bucket: input.bucket,
        number,
    };
    let (bare_etag, checksum) = copy::copy_part(cx, &ops.store, request).await?;
    let mut result = CopyPartResult {
        e_tag: Some(etag(&bare_etag)),
        last_modified: Some(timestamp(cx.now)),
        ..CopyPartResult::default()
    };
    set_checksums!(result, checksum.iter());
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..UploadPartCopyOutput::default()
    }))
}

/// S3 takes no other form here than both ends.
fn parse_source_range(text: &str) -> Result<(u64, u64), ApiError> {
    let ends = text.strip_prefix("bytes=").and_then(|ends| ends.split_once('-'));
    ends.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)))
        .ok_or_else(|| {
            ApiError::new(
                Code::InvalidArgument,
                "The x-amz-copy-source-range must be bytes=first-last.",
            )
        })
}

pub(super) async fn complete_multipart_upload(
    ops: &Operations,
    cx: &Context,
    req: S3Request<CompleteMultipartUploadInput>,
) -> Answer<CompleteMultipartUploadOutput> {
    let location = location(&req);
    let input = req.input;
    let checksum = get_checksums!(input).next();
    let parts = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    let named = |part: CompletedPart| multipart::NamedPart {
        number: part.part_number.unwrap_or_default(),
        etag: part
            .e_tag
            .as_ref()
            .map(|etag| etag.value().to_owned())
            .unwrap_or_default(),
        checksums: get_checksums!(part).collect(),
    };
    let request = multipart::CompleteRequest {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        upload: multipart::parse_upload_id(&input.upload_id)?,
        parts: parts.into_iter().map(named).collect(),
        checksum,
        checksum_type: input.checksum_type.map(|name| name.as_str().to_owned()),
        size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
        precondition: precondition(input.if_match.as_ref(), input.if_none_match.as_ref()),
    };
    let info = multipart::complete(cx, &ops.store, request).await?;
    let mut output = CompleteMultipartUploadOutput {
        location: Some(location),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(etag(&info.data.etag)),
        checksum_type: info.data.checksums.first().map(checksum_type),
        ..CompleteMultipartUploadOutput::default()
    };
    set_checksums!(output, &info.data.checksums);
    Ok(S3Response::new(output))
}

pub(super) async fn abort_multipart_upload(
    ops: &Operations,
    cx: &Context,
    req: S3Request<AbortMultipartUploadInput>,
) -> Answer<AbortMultipartUploadOutput> {
    let id = multipart::parse_upload_id(&req.input.upload_id)?;
    multipart::abort(cx, &ops.store, &req.input.bucket, &req.input.key, id).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) async fn list_parts(
    ops: &Operations,
    cx: &Context,
    req: S3Request<ListPartsInput>,
) -> Answer<ListPartsOutput> {
    let input = req.input;
    let id = multipart::parse_upload_id(&input.upload_id)?;
    let limit = list::page_size(input.max_parts)?;
    let after = u16::try_from(input.part_number_marker.unwrap_or_default())
        .map_err(|_| ApiError::new(Code::InvalidArgument, "part-number-marker must be between 0 and 65535."))?;
    let upload = multipart::describe(cx, &ops.store, &input.bucket, &input.key, id).await?;
    let (parts, more) = multipart::list_parts(cx, &ops.store, &input.bucket, &upload, after, limit).await?;
    let last = parts.last().map(|part| i32::from(part.data.number));
    Ok(S3Response::new(ListPartsOutput {
        parts: Some(parts.iter().map(part).collect()),
        is_truncated: Some(more),
        next_part_number_marker: Some(last.unwrap_or_default()),
        part_number_marker: Some(i32::from(after)),
        max_parts: i32::try_from(limit).ok(),
        checksum_algorithm: upload.checksum.map(|(kind, _)| algorithm(kind)),
        checksum_type: upload.checksum.map(|(_, full_object)| type_name(full_object)),
        owner: Some(owner()),
        initiator: Some(initiator()),
        storage_class: Some(StorageClass::from(headers::storage_class(&upload.headers).to_owned())),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    }))
}

pub(super) async fn list_multipart_uploads(
    ops: &Operations,
    cx: &Context,
    req: S3Request<ListMultipartUploadsInput>,
) -> Answer<ListMultipartUploadsOutput> {
    let input = req.input;
    let url = wants_url(input.encoding_type.as_ref())?;
    let limit = list::page_size(input.max_uploads)?;
    let marker = input.upload_id_marker.as_deref().filter(|marker| !marker.is_empty());
    let query = UploadsQuery {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        key_after: input.key_marker.clone(),
        // S3 ignores it without a key.
        upload_after: marker
            .filter(|_| input.key_marker.is_some())
            .map(multipart::parse_upload_id)
            .transpose()?,
        limit,
    };
    let page = multipart::list_uploads(cx, &ops.store, &input.bucket, query).await?;
    let (next_key, next_id) = page.next.clone().unzip();
    let upload = |info: &UploadInfo| upload(info, url);
    Ok(S3Response::new(ListMultipartUploadsOutput {
        is_truncated: Some(page.next.is_some()),
        uploads: Some(page.uploads.iter().map(upload).collect()),
        common_prefixes: Some(common_prefixes(&page.common_prefixes, url)),
        next_key_marker: next_key.map(|key| encode(&key, url)),
        next_upload_id_marker: next_id.flatten().map(multipart::upload_id),
        delimiter: input
            .delimiter
            .filter(|text| !text.is_empty())
            .map(|text| encode(&text, url)),
        encoding_type: input.encoding_type,
        key_marker: Some(encode(&input.key_marker.unwrap_or_default(), url)),
        max_uploads: i32::try_from(limit).ok(),
        prefix: Some(encode(&input.prefix.unwrap_or_default(), url)),
        upload_id_marker: input.upload_id_marker,
        bucket: Some(input.bucket),
        request_charged: None,
    }))
}

fn part(info: &PartInfo) -> Part {
    let mut part = Part {
        e_tag: Some(etag(&info.data.etag)),
        last_modified: Some(timestamp(info.time_nanos)),
        part_number: Some(i32::from(info.data.number)),
        size: i64::try_from(info.data.size).ok(),
        ..Part::default()
    };
    set_checksums!(part, &info.data.checksums);
    part
}

fn upload(info: &UploadInfo, url: bool) -> MultipartUpload {
    MultipartUpload {
        checksum_algorithm: info.checksum.map(|(kind, _)| algorithm(kind)),
        checksum_type: info.checksum.map(|(_, full_object)| type_name(full_object)),
        initiated: Some(timestamp(info.started_nanos)),
        initiator: Some(initiator()),
        key: Some(encode(&info.key, url)),
        owner: Some(owner()),
        storage_class: Some(StorageClass::from(headers::storage_class(&info.headers).to_owned())),
        upload_id: Some(multipart::upload_id(info.id)),
    }
}

fn initiator() -> Initiator {
    Initiator {
        display_name: owner().display_name,
        id: owner().id,
    }
}
