//! Reading objects: whole, by ranges, by parts.

use super::{
    ApiError, Code, Context,
    conditions::{ReadConditions, seconds},
    names,
};
use crate::{
    access::Resource,
    store::{ByteStream, ObjectInfo, ObjectReader, Store},
};
use std::{ops::Range, sync::Arc};

/// Section of an object's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Section {
    /// All of them.
    #[default]
    Whole,
    /// Bytes from `first` on, to `last` inclusive if that is given.
    Span {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: Option<u64>,
    },
    /// The last so many.
    Suffix(u64),
    /// Bytes of one part, 1 to 10,000.
    Part(u16),
}

/// `If-Range`: the range counts only while the object is still this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// By its ETag, without quotes.
    Etag(String),
    /// By its date, in seconds since the Unix epoch.
    Date(i64),
}

/// Request to read an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadRequest {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Conditions on the object.
    pub conditions: ReadConditions,
    /// Bytes to read.
    pub section: Section,
    /// `If-Range`.
    pub if_range: Option<IfRange>,
}

/// Object that was found, and the bytes of it to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The object.
    pub info: ObjectInfo,
    /// The bytes of it that are sent.
    pub range: Range<u64>,
    /// A part or a range was asked for (206).
    pub partial: bool,
}

/// Describes an object, and the range that a read would send.
///
/// # Errors
/// [`Code::NoSuchKey`], [`Code::NoSuchBucket`], [`Code::PreconditionFailed`], [`Code::NotModified`],
/// [`Code::InvalidRange`], [`Code::InvalidPartNumber`].
pub async fn head(cx: &Context, store: &Store, request: &ReadRequest) -> Result<Found, ApiError> {
    cx.authorize(Resource::Object(&request.bucket, &request.key))?;
    names::check_key(&request.key)?;
    let info = store.head(&request.bucket, &request.key).await?;
    found(info, request)
}

/// An object that was found, before its bytes are read.
#[derive(Debug)]
pub struct Opened {
    found: Found,
    reader: ObjectReader,
}

impl Opened {
    /// Returns what is read.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Begins to read.
    ///
    /// # Errors
    /// The object cannot be read: too few shards.
    pub async fn stream(self) -> Result<(Found, ByteStream), ApiError> {
        let stream = self.reader.stream(self.found.range.clone()).await?;
        Ok((self.found, stream))
    }
}

/// Opens an object to read it.
///
/// # Errors
/// As [`head`].
pub async fn open(cx: &Context, store: &Arc<Store>, request: &ReadRequest) -> Result<Opened, ApiError> {
    cx.authorize(Resource::Object(&request.bucket, &request.key))?;
    names::check_key(&request.key)?;
    let reader = store.get(&request.bucket, &request.key).await?;
    let found = found(reader.info().clone(), request)?;
    Ok(Opened { found, reader })
}

fn found(info: ObjectInfo, request: &ReadRequest) -> Result<Found, ApiError> {
    request.conditions.check_read(&info)?;
    let current = match &request.if_range {
        None => true,
        Some(IfRange::Etag(etag)) => *etag == info.data.etag,
        Some(IfRange::Date(date)) => *date == seconds(&info),
    };
    let is_span = matches!(request.section, Section::Span { .. } | Section::Suffix(_));
    let section = if is_span && !current {
        Section::Whole
    } else {
        request.section
    };
    let range = resolve(section, &info)?;
    Ok(Found {
        info,
        range,
        partial: section != Section::Whole,
    })
}

/// The bytes that a section of an object is.
fn resolve(section: Section, info: &ObjectInfo) -> Result<Range<u64>, ApiError> {
    let size = info.data.size;
    let unsatisfiable = || {
        ApiError::from(Code::InvalidRange)
            .with_header("content-range", format!("bytes */{size}"))
            .with_field("ActualObjectSize", size)
    };
    match section {
        Section::Whole => Ok(0..size),
        Section::Span { first, .. } if first >= size => Err(unsatisfiable()),
        Section::Span { first, last } => Ok(first..last.map_or(size, |last| size.min(last.saturating_add(1)))),
        Section::Suffix(len) if len == 0 || size == 0 => Err(unsatisfiable()),
        Section::Suffix(len) => Ok(size - len.min(size)..size),
        Section::Part(number) => part(number, info).ok_or_else(|| Code::InvalidPartNumber.into()),
    }
}

/// The bytes of a part. Parts count by their place in the object, which is what S3 does.
fn part(number: u16, info: &ObjectInfo) -> Option<Range<u64>> {
    let index = usize::from(number).checked_sub(1)?;
    if index == 0 && info.data.parts.len() <= 1 {
        return Some(0..info.data.size);
    }
    let size = info.data.parts.get(index)?.size;
    let start: u64 = info.data.parts.iter().take(index).map(|part| part.size).sum();
    Some(start..start + size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{
        protocol::{Drives, Folder},
        record::{ObjectData, PartData},
    };
    use std::sync::Arc;

    fn info(part_sizes: &[u64]) -> ObjectInfo {
        let part = |(index, size): (usize, &u64)| PartData {
            number: u16::try_from(index + 1).unwrap(),
            folder: Folder::default(),
            size: *size,
            etag: String::new(),
            holders: Drives::default(),
            checksums: vec![],
        };
        ObjectInfo {
            key: "k".into(),
            version: 0,
            time_nanos: 7_500_000_000,
            data: Arc::new(ObjectData {
                etag: "e".into(),
                size: part_sizes.iter().sum(),
                parts: part_sizes.iter().enumerate().map(part).collect(),
                ..ObjectData::default()
            }),
        }
    }

    #[test]
    fn ranges() {
        let of = |section, size| resolve(section, &info(&[size])).map_err(|error| error.code);
        let span = |first, last| Section::Span { first, last };
        assert_eq!(of(Section::Whole, 10), Ok(0..10));
        assert_eq!(of(Section::Whole, 0), Ok(0..0));
        assert_eq!(of(span(0, Some(0)), 10), Ok(0..1));
        assert_eq!(of(span(3, None), 10), Ok(3..10));
        assert_eq!(of(span(3, Some(99)), 10), Ok(3..10));
        assert_eq!(of(span(3, Some(u64::MAX)), 10), Ok(3..10));
        assert_eq!(of(span(10, None), 10), Err(Code::InvalidRange));
        assert_eq!(of(span(0, None), 0), Err(Code::InvalidRange));
        assert_eq!(of(Section::Suffix(3), 10), Ok(7..10));
        assert_eq!(of(Section::Suffix(99), 10), Ok(0..10));
        assert_eq!(of(Section::Suffix(0), 10), Err(Code::InvalidRange));
        assert_eq!(of(Section::Suffix(1), 0), Err(Code::InvalidRange));
    }

    #[test]
    fn parts() {
        let of = |number, sizes| resolve(Section::Part(number), &info(sizes)).map_err(|error| error.code);
        assert_eq!(of(1, &[5, 3]), Ok(0..5));
        assert_eq!(of(2, &[5, 3]), Ok(5..8));
        assert_eq!(of(3, &[5, 3]), Err(Code::InvalidPartNumber));
        assert_eq!(of(1, &[5]), Ok(0..5));
        assert_eq!(of(2, &[5]), Err(Code::InvalidPartNumber));
    }

    #[test]
    fn if_range_of_another_object_sends_all() {
        let request = |if_range| ReadRequest {
            section: Section::Span { first: 2, last: None },
            if_range: Some(if_range),
            ..ReadRequest::default()
        };
        let range = |if_range| found(info(&[10]), &request(if_range)).unwrap().range;
        assert_eq!(range(IfRange::Etag("e".into())), 2..10);
        assert_eq!(range(IfRange::Etag("other".into())), 0..10);
        assert_eq!(range(IfRange::Date(7)), 2..10);
        assert_eq!(range(IfRange::Date(8)), 0..10);
    }
}
