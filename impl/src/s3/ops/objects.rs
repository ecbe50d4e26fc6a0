//! Operations on objects.

use super::{Answer, Operations};
use crate::{
    api::{
        ApiError, Code, Context, checksum,
        conditions::parse_etags,
        copy, delete, headers, list,
        read::{self, Found, ReadRequest},
        write,
    },
    http::{AdmissionPermit, admission::UNRESERVED_BYTES},
    s3::{
        convert::{
            check_algorithm, checksum_type, content_range, copy_source, etag, headers_to_store, if_range, incoming,
            parse_algorithm, precondition, precondition_of, read_conditions, section, set_checksums, stored_headers,
            timestamp,
        },
        reply::BareEtag,
        sent::{sent_headers, sent_uri},
    },
    sigv4::{parse_query, query_value},
    store::{ByteStream, ObjectInfo, READ_MEMORY_BYTES},
};
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use model::record::{ChecksumKind, Precondition};
use s3s::{
    Body, S3Request, S3Response,
    dto::{self, *},
};

/// Attributes that GetObjectAttributes knows.
const ATTRIBUTES: [&str; 5] = ["Checksum", "ETag", "ObjectParts", "ObjectSize", "StorageClass"];

/// Builds the request of a GET or a HEAD. Their inputs have the same fields, and no type in common.
macro_rules! read_request {
    ($req:expr) => {{
        let input = &$req.input;
        ReadRequest {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            conditions: read_conditions(
                input.if_match.as_ref(),
                input.if_none_match.as_ref(),
                input.if_modified_since.clone(),
                input.if_unmodified_since.clone(),
            ),
            section: section(input.range, input.part_number)?,
            if_range: if_range(&$req.headers),
        }
    }};
}

/// The answer to one, without a body: as with their inputs.
macro_rules! describe {
    ($output:ident, $req:expr, $found:expr) => {{
        let (input, found) = (&$req.input, $found);
        let mut output = $output {
            accept_ranges: Some("bytes".into()),
            content_length: i64::try_from(found.range.end - found.range.start).ok(),
            content_range: content_range(found),
            e_tag: Some(etag(&found.info.data.etag)),
            last_modified: Some(timestamp(found.info.time_nanos)),
            parts_count: parts_count(found, input.part_number),
            storage_class: reduced(&found.info),
            ..$output::default()
        };
        if wants_checksum(input.checksum_mode.as_ref(), &$req.uri) {
            let checksums = sent_checksums(found, input.part_number);
            set_checksums!(output, &checksums);
            output.checksum_type = checksums.first().map(checksum_type);
        }
        S3Response::with_headers(output, stored_headers(&found.info, sent_uri(&$req)))
    }};
}

pub(super) async fn get_object(
    ops: &Operations,
    cx: &Context,
    req: S3Request<GetObjectInput>,
) -> Answer<GetObjectOutput> {
    let opened = read::open(cx, &ops.store, &read_request!(req)).await?;
    let range = &opened.found().range;
    let memory_bytes = (2 * (range.end - range.start)).min(READ_MEMORY_BYTES);
    if memory_bytes > UNRESERVED_BYTES
        && let Some(permit) = req.extensions.get::<AdmissionPermit>()
    {
        permit.reserve(memory_bytes).await?;
    }
    let (found, stream) = opened.stream().await?;
    let mut response = describe!(GetObjectOutput, req, &found);
    response.output.body = Some(response_body(stream));
    Ok(response)
}

pub(super) async fn head_object(
    ops: &Operations,
    cx: &Context,
    req: S3Request<HeadObjectInput>,
) -> Answer<HeadObjectOutput> {
    let found = read::head(cx, &ops.store, &read_request!(req)).await?;
    Ok(describe!(HeadObjectOutput, req, &found))
}

pub(super) async fn put_object(
    ops: &Operations,
    cx: &Context,
    req: S3Request<PutObjectInput>,
) -> Answer<PutObjectOutput> {
    let incoming = incoming(&req, checksum::DEFAULT_KIND)?;
    let headers = headers_to_store(sent_headers(&req))?;
    let input = req.input;
    let request = write::PutRequest {
        headers,
        storage_class: input.storage_class.map(|class| class.as_str().to_owned()),
        precondition: precondition(input.if_match.as_ref(), input.if_none_match.as_ref()),
        bucket: input.bucket,
        key: input.key,
        incoming,
    };
    let info = write::put(cx, &ops.store, request).await?;
    let mut output = PutObjectOutput {
        e_tag: Some(etag(&info.data.etag)),
        checksum_type: info.data.checksums.first().map(checksum_type),
        ..PutObjectOutput::default()
    };
    set_checksums!(output, &info.data.checksums);
    Ok(S3Response::new(output))
}

pub(super) async fn copy_object(
    ops: &Operations,
    cx: &Context,
    req: S3Request<CopyObjectInput>,
) -> Answer<CopyObjectOutput> {
    let replaces = match req.input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some("COPY") => false,
        Some("REPLACE") => true,
        Some(_) => return Err(ApiError::new(Code::InvalidArgument, "Unknown metadata directive.")),
    };
    let replace_headers = replaces.then(|| headers_to_store(sent_headers(&req))).transpose()?;
    let precondition = precondition_of(&req.headers);
    let input = req.input;
    let (source_bucket, source_key) = copy_source(input.copy_source)?;
    let request = copy::CopyRequest {
        source_bucket,
        source_key,
        source_conditions: read_conditions(
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
            input.copy_source_if_modified_since,
            input.copy_source_if_unmodified_since,
        ),
        bucket: input.bucket,
        key: input.key,
        replace_headers,
        storage_class: input.storage_class.map(|class| class.as_str().to_owned()),
        checksum: parse_algorithm(input.checksum_algorithm.as_ref())?,
        precondition,
    };
    let info = copy::copy(cx, &ops.store, request).await?;
    let mut result = CopyObjectResult {
        e_tag: Some(etag(&info.data.etag)),
        last_modified: Some(timestamp(info.time_nanos)),
        checksum_type: info.data.checksums.first().map(checksum_type),
        ..CopyObjectResult::default()
    };
    set_checksums!(result, &info.data.checksums);
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        ..CopyObjectOutput::default()
    }))
}

pub(super) async fn delete_object(
    ops: &Operations,
    cx: &Context,
    req: S3Request<DeleteObjectInput>,
) -> Answer<DeleteObjectOutput> {
    let request = delete::DeleteRequest {
        precondition: precondition(req.input.if_match.as_ref(), None),
        key: req.input.key,
    };
    delete::delete(cx, &ops.store, &req.input.bucket, request).await?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

pub(super) async fn delete_objects(
    ops: &Operations,
    cx: &Context,
    req: S3Request<DeleteObjectsInput>,
) -> Answer<DeleteObjectsOutput> {
    check_algorithm(&req.headers)?;
    let requests = req.input.delete.objects.into_iter().map(delete_request).collect();
    let outcomes = delete::delete_many(cx, &ops.store, &req.input.bucket, requests).await?;
    let quiet = req.input.delete.quiet == Some(true);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (key, outcome) in outcomes {
        match outcome {
            Ok(()) if quiet => {}
            Ok(()) => deleted.push(DeletedObject {
                key: Some(key),
                ..DeletedObject::default()
            }),
            Err(error) => errors.push(dto::Error {
                code: Some(error.code.name().into()),
                key: Some(key),
                message: Some(error.message.into_owned()),
                version_id: None,
            }),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        request_charged: None,
    }))
}

pub(super) async fn get_object_attributes(
    ops: &Operations,
    cx: &Context,
    req: S3Request<GetObjectAttributesInput>,
) -> Answer<GetObjectAttributesOutput> {
    let input = req.input;
    let names = attribute_names(&input.object_attributes)?;
    let limit = list::page_size(input.max_parts)?;
    let request = ReadRequest {
        bucket: input.bucket,
        key: input.key,
        ..ReadRequest::default()
    };
    let info = read::head(cx, &ops.store, &request).await?.info;
    let wants = |name| names.contains(&name);
    let mut checksum = Checksum {
        checksum_type: info.data.checksums.first().map(checksum_type),
        ..Checksum::default()
    };
    set_checksums!(checksum, &info.data.checksums);
    let is_multipart = info.data.etag.contains('-');
    let parts = || object_parts(&info, input.part_number_marker.unwrap_or_default(), limit);
    let output = GetObjectAttributesOutput {
        checksum: wants("Checksum").then_some(checksum),
        e_tag: wants("ETag").then(|| etag(&info.data.etag)),
        last_modified: Some(timestamp(info.time_nanos)),
        object_parts: (wants("ObjectParts") && is_multipart).then(parts),
        object_size: wants("ObjectSize")
            .then(|| i64::try_from(info.data.size).ok())
            .flatten(),
        storage_class: wants("StorageClass")
            .then(|| StorageClass::from(headers::storage_class(&info.data.headers).to_owned())),
        ..GetObjectAttributesOutput::default()
    };
    let mut response = S3Response::new(output);
    response.extensions.insert(BareEtag);
    Ok(response)
}

/// The attributes that a client asks for.
///
/// # Errors
/// `InvalidRequest` for none, `InvalidArgument` for a name that is none of [`ATTRIBUTES`].
fn attribute_names(lists: &[ObjectAttributes]) -> Result<Vec<&str>, ApiError> {
    let listed = lists.iter().flat_map(|list| list.as_str().split(','));
    let names: Vec<&str> = listed.map(str::trim).collect();
    if names.iter().all(|name| name.is_empty()) {
        return Err(ApiError::new(
            Code::InvalidRequest,
            "The header x-amz-object-attributes names no attribute.",
        ));
    }
    if !names.iter().all(|name| ATTRIBUTES.contains(name)) {
        return Err(ApiError::new(
            Code::InvalidArgument,
            "Invalid attribute name specified.",
        ));
    }
    Ok(names)
}

/// The parts after `marker`. They count by their place in the object, as in reads of a part.
fn object_parts(info: &ObjectInfo, marker: i32, limit: usize) -> GetObjectAttributesParts {
    let after = usize::try_from(marker).unwrap_or_default();
    let all = &info.data.parts;
    let parts: Vec<ObjectPart> = all
        .iter()
        .zip(1..)
        .skip(after)
        .take(limit)
        .map(|(data, number)| {
            let mut part = ObjectPart {
                part_number: Some(number),
                size: i64::try_from(data.size).ok(),
                ..ObjectPart::default()
            };
            set_checksums!(part, &data.checksums);
            part
        })
        .collect();
    GetObjectAttributesParts {
        is_truncated: Some(after + parts.len() < all.len()),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        part_number_marker: Some(marker),
        total_parts_count: i32::try_from(all.len()).ok(),
        parts: Some(parts),
    }
}

fn wants_checksum(mode: Option<&ChecksumMode>, uri: &http::Uri) -> bool {
    let query = parse_query(uri);
    let asked = mode
        .map(ChecksumMode::as_str)
        .or_else(|| query_value(&query, "x-amz-checksum-mode"));
    asked.is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED"))
}

/// The bytes of an object on their way out. An error breaks the response off: its length is announced.
fn response_body(stream: ByteStream) -> StreamingBlob {
    let frames = stream::unfold(stream, |mut stream| async move {
        let next = stream.next().await?.map(Frame::data).inspect_err(|error| {
            tracing::warn!(%error, "response broken off");
        });
        Some((next, stream))
    });
    StreamingBlob::from(Body::http_body_unsync(StreamBody::new(frames)))
}

/// The checksums of what is sent: of the whole object, or of a part that was asked for, whose type is the object's;
/// a range has none.
fn sent_checksums(found: &Found, part_number: Option<i32>) -> Vec<model::record::Checksum> {
    let data = &found.info.data;
    let is_multipart = data.etag.contains('-');
    let Some(number) = part_number.filter(|_| is_multipart) else {
        let is_range = part_number.is_none() && content_range(found).is_some();
        return if is_range { Vec::new() } else { data.checksums.clone() };
    };
    let part = usize::try_from(number - 1).ok().and_then(|index| data.parts.get(index));
    let Some((part, whole)) = part.zip(data.checksums.first()) else {
        return Vec::new();
    };
    let own = part.checksums.iter().find(|checksum| checksum.kind == whole.kind);
    let as_sent = |own: &model::record::Checksum| model::record::Checksum {
        full_object: whole.full_object,
        ..own.clone()
    };
    own.map(as_sent).into_iter().collect()
}

fn parts_count(found: &Found, part_number: Option<i32>) -> Option<i32> {
    let is_multipart = found.info.data.etag.contains('-');
    let count = i32::try_from(found.info.data.parts.len()).ok()?;
    (is_multipart && part_number.is_some()).then_some(count)
}

/// The storage class as reads show it: not at all if it is STANDARD.
fn reduced(info: &ObjectInfo) -> Option<StorageClass> {
    let class = info.data.headers.get(headers::STORAGE_CLASS)?;
    Some(StorageClass::from(class.clone()))
}

/// A key of a request to delete many; what cannot be served is this key's error alone.
fn delete_request(object: ObjectIdentifier) -> Result<delete::DeleteRequest, (String, ApiError)> {
    let other_version = object
        .version_id
        .as_deref()
        .is_some_and(|id| id != "null" && !id.is_empty());
    if other_version || object.last_modified_time.is_some() || object.size.is_some() {
        let error = ApiError::new(
            Code::NotImplemented,
            "Versions and conditions on size or date are not implemented.",
        );
        return Err((object.key, error));
    }
    let if_match = object.e_tag.map(|etag| parse_etags(etag.value()));
    Ok(delete::DeleteRequest {
        key: object.key,
        precondition: Precondition {
            if_match,
            if_none_match: None,
        },
    })
}
