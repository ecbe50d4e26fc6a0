//! Multipart uploads.

use super::{
    ApiError, Code, Context, Incoming, checksum, headers,
    ingest::{Expected, OBJECT_BYTES_MAX, hex, ingest},
    names,
};
use crate::{
    access::Resource,
    digest::Md5,
    store::{CompletedPart, ObjectInfo, PartInfo, PutOptions, Store, UploadInfo, Uploads, UploadsQuery, WriteMeta},
};
use model::record::{Checksum, ChecksumKind, PartData, Precondition};
use std::{collections::BTreeMap, sync::Arc};

/// The highest part number.
pub const PART_NUMBER_MAX: u16 = 10_000;

/// The least size of a part that is not the last, in bytes: 5 MiB.
pub const PART_BYTES_MIN: u64 = 5 << 20;

/// An upload to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Headers to store with the object, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Its storage class, by its S3 name.
    pub storage_class: Option<String>,
    /// The checksum that its parts carry.
    pub checksum: Option<ChecksumKind>,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub checksum_type: Option<String>,
}

/// A part that a client names when it completes an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedPart {
    /// Its number.
    pub number: i32,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its checksums, if the client repeats them: algorithm, Base64.
    pub checksums: Vec<(ChecksumKind, String)>,
}

/// An upload to complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteRequest {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The upload.
    pub upload: u128,
    /// Its parts, in order.
    pub parts: Vec<NamedPart>,
    /// The whole object's checksum, if the client knows it: algorithm, Base64.
    pub checksum: Option<(ChecksumKind, String)>,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub checksum_type: Option<String>,
    /// The whole object's size in bytes, if the client knows it.
    pub size: Option<u64>,
    /// Condition on the version to be replaced.
    pub precondition: Precondition,
}

/// The id of an upload as clients see it.
#[must_use]
pub fn upload_id(id: u128) -> String {
    format!("{id:032x}")
}

/// Parses an upload's id. What is none names no upload.
///
/// # Errors
/// [`Code::NoSuchUpload`].
pub fn parse_upload_id(text: &str) -> Result<u128, ApiError> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    id.ok_or_else(|| Code::NoSuchUpload.into())
}

/// Begins an upload; its id, and the checksum that its parts must carry, if the client has said so.
///
/// # Errors
/// [`Code::NoSuchBucket`], and what [`headers::stored`] and [`checksum::of_upload`] refuse.
pub async fn create(
    cx: &Context,
    store: &Store,
    request: CreateRequest,
) -> Result<(u128, Option<(ChecksumKind, bool)>), ApiError> {
    cx.authorize(Resource::Object(&request.bucket, &request.key))?;
    names::check_key(&request.key)?;
    let (headers, class) = headers::stored(request.headers, request.storage_class.as_deref())?;
    // Without an algorithm, parts may come with any, and the object has the default one.
    let checksum = match (request.checksum, request.checksum_type.as_deref()) {
        (None, None) => None,
        (kind, checksum_type) => Some(checksum::of_upload(kind, checksum_type)?),
    };
    let options = PutOptions {
        class,
        size: None,
        checksum,
    };
    let meta = WriteMeta {
        headers,
        ..WriteMeta::default()
    };
    let id = store
        .create_upload(&request.bucket, &request.key, options, meta)
        .await?;
    Ok((id, checksum))
}

/// Describes an open upload.
///
/// # Errors
/// [`Code::NoSuchUpload`].
pub async fn describe(
    cx: &Context,
    store: &Store,
    bucket: &str,
    key: &str,
    upload: u128,
) -> Result<UploadInfo, ApiError> {
    cx.authorize(Resource::Object(bucket, key))?;
    Ok(store.upload(bucket, key, upload).await?)
}

/// Checks a part's number.
///
/// # Errors
/// [`Code::InvalidArgument`].
pub fn check_part_number(number: i32) -> Result<u16, ApiError> {
    u16::try_from(number)
        .ok()
        .filter(|number| (1..=PART_NUMBER_MAX).contains(number))
        .ok_or_else(|| {
            ApiError::new(
                Code::InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive.",
            )
        })
}

/// Stores a part of `upload`, which was described before, as a client sends it; its ETag and checksum.
///
/// # Errors
/// As [`store_part`], and [`Code::InvalidRequest`] for a part without the checksum that the object's is made of.
pub async fn put_part(
    cx: &Context,
    store: &Arc<Store>,
    bucket: &str,
    upload: &UploadInfo,
    number: u16,
    incoming: Incoming,
) -> Result<(String, Option<Checksum>), ApiError> {
    cx.authorize(Resource::Object(bucket, &upload.key))?;
    if let Some((kind, false)) = upload.checksum
        && matches!(incoming.checksum, Expected::Compute(_))
    {
        let declared = checksum::kind_name(kind);
        return Err(ApiError::new(
            Code::InvalidRequest,
            format!("Checksum Type mismatch occurred, expected checksum Type: {declared}, actual: null"),
        ));
    }
    store_part(store, bucket, upload, number, incoming).await
}

/// Stores a part of `upload`, which was described before; its ETag and checksum.
///
/// # Errors
/// [`Code::NoSuchUpload`], [`Code::InvalidRequest`] for another checksum than the upload's, and as a put.
pub(super) async fn store_part(
    store: &Arc<Store>,
    bucket: &str,
    upload: &UploadInfo,
    number: u16,
    mut incoming: Incoming,
) -> Result<(String, Option<Checksum>), ApiError> {
    incoming.validate()?;
    let (declared, actual) = (upload.checksum.map(|(kind, _)| kind), incoming.checksum.kind());
    if declared.is_some_and(|declared| declared != actual) {
        let (declared, actual) = (declared.map_or("", checksum::kind_name), checksum::kind_name(actual));
        return Err(ApiError::new(
            Code::InvalidRequest,
            format!("Checksum Type mismatch occurred, expected checksum Type: {declared}, actual: {actual}"),
        ));
    }
    // The one that the object's is made of.
    incoming.also = Some(upload_checksum(upload).0);
    let size = Some(incoming.size);
    let mut writer = store.put_part(bucket, &upload.key, upload.id, number, size).await?;
    let ingested = ingest(store, writer.staging(), incoming).await?;
    let meta = WriteMeta {
        etag: ingested.md5.clone(),
        headers: BTreeMap::new(),
        checksums: ingested.checksums.clone(),
    };
    writer.commit(meta).await?;
    Ok((ingested.md5, ingested.checksums.into_iter().next()))
}

/// The checksum of an upload's parts, and whether the object's is over the whole object.
#[must_use]
pub fn upload_checksum(upload: &UploadInfo) -> (ChecksumKind, bool) {
    upload.checksum.unwrap_or((checksum::DEFAULT_KIND, true))
}

/// Parts of an open upload with numbers above `after`, at most `limit`; and whether there are more.
///
/// # Errors
/// [`Code::NoSuchUpload`].
pub async fn list_parts(
    cx: &Context,
    store: &Store,
    bucket: &str,
    upload: &UploadInfo,
    after: u16,
    limit: usize,
) -> Result<(Vec<PartInfo>, bool), ApiError> {
    cx.authorize(Resource::Object(bucket, &upload.key))?;
    if limit == 0 {
        return Ok((Vec::new(), false));
    }
    Ok(store.list_parts(bucket, &upload.key, upload.id, after, limit).await?)
}

/// Makes an object of an upload's parts. Asked again after it was done, it says again what it has made: a
/// client that missed the answer must not be told that its upload never was.
///
/// # Errors
/// [`Code::MalformedXml`] without parts, [`Code::InvalidPartOrder`], [`Code::InvalidPart`],
/// [`Code::EntityTooSmall`], [`Code::BadDigest`], [`Code::NoSuchUpload`], [`Code::PreconditionFailed`].
pub async fn complete(cx: &Context, store: &Store, request: CompleteRequest) -> Result<ObjectInfo, ApiError> {
    cx.authorize(Resource::Object(&request.bucket, &request.key))?;
    if request.parts.is_empty() {
        return Err(Code::MalformedXml.into());
    }
    if !request.parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(Code::InvalidPartOrder.into());
    }
    match complete_open(store, &request).await {
        Err(error) if error.code == Code::NoSuchUpload => made_before(store, &request).await.ok_or(error),
        outcome => outcome,
    }
}

async fn complete_open(store: &Store, request: &CompleteRequest) -> Result<ObjectInfo, ApiError> {
    let open = store.open_upload(&request.bucket, &request.key, request.upload).await?;
    let stored = open.parts().map(|part| (part.number, part)).collect();
    let parts = match_parts(&request.parts, &stored, open.info.checksum)?;
    let size = check_sizes(&parts, request.size)?;
    debug_assert!(size <= OBJECT_BYTES_MAX, "checked");

    let (kind, full_object) = upload_checksum(&open.info);
    let checksum = checksum::combine(kind, full_object, &parts)?;
    check_object_checksum(request, &checksum)?;
    let meta = WriteMeta {
        etag: etag(parts.iter().map(|part| &part.etag)).ok_or(Code::InternalError)?,
        headers: BTreeMap::new(),
        checksums: vec![checksum],
    };
    let named: Vec<CompletedPart> = parts
        .iter()
        .map(|part| CompletedPart {
            number: part.number,
            etag: part.etag.clone(),
        })
        .collect();
    let precondition = request.precondition.clone();
    let completed = store.complete_upload(&request.bucket, open, &named, meta, precondition);
    Ok(completed.await?)
}

/// The key's object, if it is what this request would have made.
async fn made_before(store: &Store, request: &CompleteRequest) -> Option<ObjectInfo> {
    let etag = etag(request.parts.iter().map(|part| &part.etag))?;
    let info = store.head(&request.bucket, &request.key).await.ok()?;
    (info.data.etag == etag).then_some(info)
}

/// Forgets an upload.
///
/// # Errors
/// [`Code::NoSuchUpload`].
pub async fn abort(cx: &Context, store: &Store, bucket: &str, key: &str, upload: u128) -> Result<(), ApiError> {
    cx.authorize(Resource::Object(bucket, key))?;
    Ok(store.abort_upload(bucket, key, upload).await?)
}

/// A page of open uploads.
///
/// # Errors
/// [`Code::NoSuchBucket`].
pub async fn list_uploads(
    cx: &Context,
    store: &Store,
    bucket: &str,
    mut query: UploadsQuery,
) -> Result<Uploads, ApiError> {
    cx.authorize(Resource::Bucket(bucket))?;
    query.delimiter = query.delimiter.filter(|delimiter| !delimiter.is_empty());
    query.key_after = query.key_after.filter(|key| !key.is_empty());
    if query.limit == 0 {
        store.bucket(bucket).await?;
        return Ok(Uploads::default());
    }
    Ok(store.list_uploads(bucket, &query).await?)
}

/// The stored parts that the client names; each must be the very one that it was told about.
/// `declared` is the checksum that the upload was begun with, and whether the object's is over the whole object.
fn match_parts<'a>(
    named: &[NamedPart],
    stored: &BTreeMap<u16, &'a PartData>,
    declared: Option<(ChecksumKind, bool)>,
) -> Result<Vec<&'a PartData>, ApiError> {
    let matching = |named: &NamedPart| {
        let invalid = || {
            ApiError::from(Code::InvalidPart)
                .with_field("PartNumber", named.number)
                .with_field("ETag", &named.etag)
        };
        let part = *stored.get(&check_part_number(named.number)?).ok_or_else(invalid)?;
        if part.etag != named.etag {
            return Err(invalid());
        }
        check_part_checksum(named, part, declared)?;
        Ok(part)
    };
    named.iter().map(matching).collect()
}

/// Checks what a client says about the checksum of a part when it completes an upload.
fn check_part_checksum(
    named: &NamedPart,
    part: &PartData,
    declared: Option<(ChecksumKind, bool)>,
) -> Result<(), ApiError> {
    let (number, well_formed) = (named.number, |(kind, value): &(ChecksumKind, String)| {
        checksum::is_well_formed(*kind, value)
    });
    if named.checksums.len() > 1 || !named.checksums.iter().all(well_formed) {
        return Err(ApiError::new(
            Code::InvalidArgument,
            format!("Part {number} has more than one checksum, or one that is not the Base64 form of one."),
        ));
    }
    match (named.checksums.first(), declared) {
        (None, Some((kind, false))) => Err(ApiError::new(
            Code::InvalidRequest,
            format!(
                "The upload was begun with {} checksums; each part must come with its own, and part {number} does not.",
                checksum::kind_name(kind)
            ),
        )),
        (Some((kind, _)), Some((declared, _))) if *kind != declared => Err(ApiError::new(
            Code::BadDigest,
            format!(
                "The {} you specified for part {number} did not match what we received.",
                checksum::kind_name(*kind)
            ),
        )),
        (Some((kind, value)), _) => {
            let own = part.checksums.iter().find(|checksum| checksum.kind == *kind);
            let is_same = own.is_none_or(|own| own.value == *value);
            let invalid = || ApiError::from(Code::InvalidPart).with_field("PartNumber", number);
            is_same.then_some(()).ok_or_else(invalid)
        }
        (None, _) => Ok(()),
    }
}

/// The object's size.
fn check_sizes(parts: &[&PartData], announced: Option<u64>) -> Result<u64, ApiError> {
    let but_last = parts.split_last().map_or(&[][..], |(_, rest)| rest);
    if let Some(small) = but_last.iter().find(|part| part.size < PART_BYTES_MIN) {
        return Err(ApiError::from(Code::EntityTooSmall)
            .with_field("ETag", &small.etag)
            .with_field("MinSizeAllowed", PART_BYTES_MIN)
            .with_field("ProposedSize", small.size)
            .with_field("PartNumber", small.number));
    }
    let size: u64 = parts.iter().map(|part| part.size).sum();
    if size > OBJECT_BYTES_MAX {
        return Err(Code::EntityTooLarge.into());
    }
    if announced.is_some_and(|announced| announced != size) {
        return Err(ApiError::new(
            Code::InvalidRequest,
            format!("The parts have {size} bytes, not as many as x-amz-mp-object-size says."),
        ));
    }
    Ok(size)
}

fn check_object_checksum(request: &CompleteRequest, actual: &Checksum) -> Result<(), ApiError> {
    let actual_type = if actual.full_object { "FULL_OBJECT" } else { "COMPOSITE" };
    let other_type = request
        .checksum_type
        .as_ref()
        .is_some_and(|wanted| wanted != actual_type);
    let other_kind = request.checksum.as_ref().is_some_and(|(kind, _)| *kind != actual.kind);
    if other_type || other_kind {
        return Err(ApiError::new(
            Code::InvalidRequest,
            "The checksum is not of the type with which the upload was begun.",
        ));
    }
    // A composite one may come without the number of parts behind it.
    let bare = actual.value.split('-').next().unwrap_or_default();
    match &request.checksum {
        Some((_, value)) if *value != actual.value && value != bare => Err(Code::BadDigest.into()),
        _ => Ok(()),
    }
}

/// `<MD5 over the parts' MD5s>-<parts>`; `None` if one is no MD5.
fn etag<'a>(parts: impl Iterator<Item = &'a String>) -> Option<String> {
    let mut md5 = Md5::default();
    let mut count = 0;
    for of_part in parts {
        md5.update(&u128::from_str_radix(of_part, 16).ok()?.to_be_bytes());
        count += 1;
    }
    Some(format!("{}-{count}", hex(&md5.finish())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::protocol::{Drives, Folder};

    fn part(number: u16, size: u64, data: &[u8]) -> PartData {
        PartData {
            number,
            folder: Folder::default(),
            size,
            etag: hex(&Md5::of(data)),
            holders: Drives::default(),
            checksums: vec![Checksum {
                kind: ChecksumKind::Crc32,
                full_object: true,
                value: "AAAAAA==".into(),
            }],
        }
    }

    fn named(number: i32, data: &[u8]) -> NamedPart {
        NamedPart {
            number,
            etag: hex(&Md5::of(data)),
            checksums: vec![],
        }
    }

    #[test]
    fn etags_of_parts() {
        let parts = [b"a", b"b"].map(|data| hex(&Md5::of(data)));
        // printf %s 0cc175b9c0f1b6a831c399e26977266192eb5ffee6ae2fec3ad71c777531578f | xxd -r -p | md5sum
        assert_eq!(etag(parts.iter()).unwrap(), "96e024ba2074fe77e8e965ba43a704be-2");
    }

    #[test]
    fn parts_are_matched_by_number_etag_and_checksum() {
        let parts = [part(1, 1, b"a"), part(3, 1, b"c")];
        let stored = parts.iter().map(|part| (part.number, part)).collect();
        let matched = |named: &[NamedPart], declared| match_parts(named, &stored, declared).map(|parts| parts.len());
        let code = |named: &[NamedPart]| matched(named, None).map_err(|e| e.code);
        assert_eq!(code(&[named(1, b"a"), named(3, b"c")]), Ok(2));
        assert_eq!(code(&[named(2, b"a")]), Err(Code::InvalidPart));
        assert_eq!(code(&[named(1, b"b")]), Err(Code::InvalidPart));
        assert_eq!(code(&[named(0, b"a")]), Err(Code::InvalidArgument));
        assert_eq!(code(&[named(10_001, b"a")]), Err(Code::InvalidArgument));
        let with_checksum = |value: &str| NamedPart {
            checksums: vec![(ChecksumKind::Crc32, value.into())],
            ..named(1, b"a")
        };
        assert_eq!(code(&[with_checksum("AAAAAA==")]), Ok(1));
        assert_eq!(code(&[with_checksum("AAAAAQ==")]), Err(Code::InvalidPart));
        assert_eq!(code(&[with_checksum("AAAA")]), Err(Code::InvalidArgument));
        let mut doubled = with_checksum("AAAAAA==");
        doubled.checksums.push((ChecksumKind::Crc32c, "AAAAAA==".into()));
        assert_eq!(code(&[doubled]), Err(Code::InvalidArgument));

        let declared = |kind, full_object, part: NamedPart| {
            matched(&[part], Some((kind, full_object))).map_err(|error| error.code)
        };
        let crc32 = ChecksumKind::Crc32;
        assert_eq!(declared(crc32, false, with_checksum("AAAAAA==")), Ok(1));
        assert_eq!(declared(crc32, false, named(1, b"a")), Err(Code::InvalidRequest));
        assert_eq!(declared(crc32, true, named(1, b"a")), Ok(1));
        assert_eq!(
            declared(ChecksumKind::Crc32c, false, with_checksum("AAAAAA==")),
            Err(Code::BadDigest)
        );
    }

    #[test]
    fn only_the_last_part_may_be_small() {
        let (small, large) = (part(1, 5, b""), part(2, PART_BYTES_MIN, b""));
        let code = |parts: &[&PartData], announced| check_sizes(parts, announced).map_err(|e| e.code);
        assert_eq!(code(&[&large, &small], None), Ok(PART_BYTES_MIN + 5));
        assert_eq!(code(&[&small], Some(5)), Ok(5));
        assert_eq!(code(&[&small], Some(6)), Err(Code::InvalidRequest));
        assert_eq!(code(&[&small, &large], None), Err(Code::EntityTooSmall));
        let fields = check_sizes(&[&small, &large], None).unwrap_err().fields;
        let [_, least, proposed, number] = &fields[..] else {
            panic!("{fields:?}")
        };
        assert_eq!(*least, ("MinSizeAllowed", PART_BYTES_MIN.to_string()));
        assert_eq!(
            (proposed, number),
            (&("ProposedSize", "5".into()), &("PartNumber", "1".into()))
        );
    }

    #[test]
    fn upload_ids() {
        assert_eq!(parse_upload_id(&upload_id(7)), Ok(7));
        for bad in ["", "7", "+0000000000000000000000000000007", &"g".repeat(32)] {
            assert_eq!(parse_upload_id(bad).unwrap_err().code, Code::NoSuchUpload, "{bad}");
        }
    }
}
