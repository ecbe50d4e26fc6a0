//! Listings of keys and of open uploads: the same walk over a bucket's registers.

use super::{
    Store,
    types::{ListQuery, Listing, ObjectInfo, Uploads, UploadsQuery, latest_info, upload_info},
};
use crate::{
    drive::{ListFrom, RegisterKey},
    runtime::Mutant,
    set::{StoreError, scan::scan},
};
use model::record::Record;

impl Store {
    /// Lists keys and common prefixes.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub async fn list(&self, bucket: &str, query: &ListQuery) -> Result<Listing, StoreError> {
        let incarnation = self.incarnation(bucket).await?;
        let mut listing = Listing::default();
        let mut last = None;
        let mut walk = Walk::new(
            incarnation,
            &query.prefix,
            query.delimiter.as_deref(),
            query.after.as_deref(),
            query.limit,
        );
        while let Some(step) = walk.next(self).await? {
            let (name, taken) = match step {
                Step::Key(key, record) => match latest_info(&key, &record) {
                    None if self.rt().mutation().is(Mutant::ListShowsUploads) => (
                        key.clone(),
                        Taken::Object(Box::new(ObjectInfo {
                            key,
                            ..ObjectInfo::default()
                        })),
                    ),
                    None => continue,
                    Some(info) => (key, Taken::Object(Box::new(info))),
                },
                Step::Prefix(prefix, record) => match latest_info("", &record) {
                    None => continue,
                    Some(_) => (prefix, Taken::Prefix),
                },
            };
            if listing.objects.len() + listing.common_prefixes.len() == query.limit {
                listing.next = last;
                break;
            }
            last = Some(name.clone());
            match taken {
                Taken::Object(info) => listing.objects.push(*info),
                Taken::Prefix => {
                    walk.skip(&name);
                    listing.common_prefixes.push(name);
                }
            }
        }
        Ok(listing)
    }

    /// Lists open uploads, by key and then by the time they were begun.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], or unavailable.
    pub async fn list_uploads(&self, bucket: &str, query: &UploadsQuery) -> Result<Uploads, StoreError> {
        let incarnation = self.incarnation(bucket).await?;
        let mut found = Uploads::default();
        let mut last = None;
        let key_after = query.key_after.as_deref();
        let mut walk = Walk::new(
            incarnation,
            &query.prefix,
            query.delimiter.as_deref(),
            key_after,
            query.limit,
        );
        if query.upload_after.is_some() {
            walk.include_after();
        }
        'walk: while let Some(step) = walk.next(self).await? {
            let (name, record, rolled_up) = match step {
                Step::Key(key, record) => (key, record, false),
                Step::Prefix(prefix, record) => (prefix, record, true),
            };
            let uploads = record.object().map(|object| &object.uploads[..]).unwrap_or_default();
            if uploads.is_empty() {
                continue;
            }
            if rolled_up {
                if found.uploads.len() + found.common_prefixes.len() == query.limit {
                    found.next = last;
                    break;
                }
                walk.skip(&name);
                last = Some((name.clone(), None));
                found.common_prefixes.push(name);
                continue;
            }
            let skip = match query.upload_after.filter(|_| Some(&name[..]) == key_after) {
                // The marker's upload may be gone: those begun after it cannot be told, so all are given.
                Some(after) => uploads
                    .iter()
                    .position(|upload| upload.id == after)
                    .map_or(0, |at| at + 1),
                None => 0,
            };
            for upload in &uploads[skip..] {
                if found.uploads.len() + found.common_prefixes.len() == query.limit {
                    found.next = last;
                    break 'walk;
                }
                last = Some((name.clone(), Some(upload.id)));
                found.uploads.push(upload_info(&name, upload));
            }
        }
        Ok(found)
    }
}

enum Taken {
    Object(Box<ObjectInfo>),
    Prefix,
}

/// Step of the walk: a register.
enum Step {
    /// A key.
    Key(String, Record),
    /// A key that belongs under this common prefix.
    Prefix(String, Record),
}

/// A walk over a bucket's keys, in order.
struct Walk<'a> {
    incarnation: u128,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    page: usize,
    from: Option<ListFrom>,
    buffered: std::vec::IntoIter<(RegisterKey, Record)>,
    /// Keys below this one were dealt with.
    skip_to: Option<Vec<u8>>,
}

impl<'a> Walk<'a> {
    fn new(
        incarnation: u128,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        after: Option<&'a str>,
        limit: usize,
    ) -> Walk<'a> {
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
        // A marker before the prefix changes nothing; one behind all its keys leaves nothing.
        let after = after.filter(|after| *after >= prefix);
        let from = after.map_or(ListFrom::Start, |after| {
            ListFrom::After(RegisterKey::object(incarnation, after).as_bytes().to_vec())
        });
        let mut walk = Walk {
            incarnation,
            prefix,
            delimiter,
            // Asking for one more tells whether there is more; small pages would cost more than they save.
            page: limit.saturating_add(1).clamp(32, 1000),
            from: Some(from),
            buffered: Vec::new().into_iter(),
            skip_to: None,
        };
        if limit == 0 {
            walk.from = None;
        }
        // A marker that is a common prefix has all its keys behind it.
        if let Some(after) = after
            && walk.common_prefix(after) == Some(after)
        {
            walk.skip(after);
        }
        walk
    }

    /// Begins at the marker's key itself instead of behind it.
    fn include_after(&mut self) {
        if let (Some(ListFrom::After(key)), None) = (&self.from, &self.skip_to) {
            self.from = Some(ListFrom::At(key.clone()));
        }
    }

    /// Skips all further keys with this prefix.
    fn skip(&mut self, prefix: &str) {
        self.skip_to = successor(RegisterKey::object(self.incarnation, prefix).as_bytes());
    }

    async fn next(&mut self, store: &Store) -> Result<Option<Step>, StoreError> {
        loop {
            for (register, record) in self.buffered.by_ref() {
                if self
                    .skip_to
                    .as_deref()
                    .is_some_and(|skip_to| register.as_bytes() < skip_to)
                {
                    continue;
                }
                let Some(key) = register.object_key() else { continue };
                return Ok(Some(match self.common_prefix(key) {
                    Some(prefix) => Step::Prefix(prefix.to_owned(), record),
                    None => Step::Key(key.to_owned(), record),
                }));
            }
            let Some(mut from) = self.from.take() else {
                return Ok(None);
            };
            if let (ListFrom::After(at) | ListFrom::At(at), Some(skip_to)) = (&from, &self.skip_to)
                && at < skip_to
            {
                from = ListFrom::At(skip_to.clone());
            }
            let prefix = RegisterKey::objects_prefix(self.incarnation, self.prefix);
            let scanned = scan(store.sets(), &prefix, &from, self.page).await?;
            let marker = scanned.span.marker();
            self.from = marker.map(|last| ListFrom::After(last.as_bytes().to_vec()));
            self.buffered = scanned.registers.into_iter();
        }
    }

    /// The common prefix that a key is rolled up to: up to the first delimiter behind the prefix.
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let rest = key.strip_prefix(self.prefix)?;
        let at = rest.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }
}

/// The first byte string behind all that begin with `prefix`; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let end = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut next = prefix[..=end].to_vec();
    next[end] += 1;
    Some(next)
}
