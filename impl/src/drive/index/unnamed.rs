//! Orphaned folders: held ones that no register names.

use super::{IndexError, View, compaction::RowTable, rows};
use crate::drive::{RegisterKey, Unnamed, UnnamedPage};
use model::{protocol::Value, record::Record};
use std::{
    collections::BTreeSet,
    ops::{Bound, ControlFlow},
};

impl View {
    /// Looks at `limit` held folders after `after`, in the order of the table, and returns those that neither the
    /// accepted nor the previous value of their owner names; parts of uploads that the accepted value has open left
    /// out. The limit bounds how long the view is held: while it is, the index cannot use pages again.
    pub(crate) fn unnamed(&self, after: Option<&Unnamed>, limit: usize) -> Result<UnnamedPage, IndexError> {
        let after = after.map(|after| rows::held_key(&after.owner, after.folder, held_of(after)));
        let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut page, mut looked_at) = (UnnamedPage::default(), 0);
        let mut owner: Option<Owner> = None;
        self.scan(RowTable::Held, &[], start, |key, row| {
            let (folder, held) = rows::decode_held(key, row)?;
            let owner_key = rows::held_owner(key)?;
            let current = match owner.take() {
                Some(known) if known.key == owner_key => known,
                _ => Owner::load(self, owner_key)?,
            };
            let upload = Some(held.upload).filter(|upload| *upload != 0);
            let (is_named, part) = (current.names(folder, upload), held.part);
            let folder = Unnamed {
                owner: current.key.clone(),
                folder,
                upload,
                part,
            };
            owner = Some(current);
            looked_at += 1;
            if !is_named {
                page.found.push(folder.clone());
            }
            if looked_at == limit {
                page.next = Some(folder);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }
}

/// Returns how it is held; whether as a file is not part of the row's key.
fn held_of(unnamed: &Unnamed) -> rows::Held {
    rows::Held {
        upload: unnamed.upload.unwrap_or(0),
        part: unnamed.part,
        file: false,
    }
}

/// Folders that an object key's register names.
struct Owner {
    key: RegisterKey,
    folders: BTreeSet<u128>,
    uploads: BTreeSet<u128>,
}

impl Owner {
    fn load(view: &View, key: RegisterKey) -> Result<Owner, IndexError> {
        let register = view.register(&key)?;
        let of = |record: &Record| record.folders().into_iter().map(|need| need.folder).collect::<Vec<_>>();
        let folders = [of(&register.accepted.value), of(&register.prev.value)].concat();
        let uploads = register
            .accepted
            .value
            .object()
            .map(|object| &object.uploads[..])
            .unwrap_or_default();
        Ok(Owner {
            key,
            folders: folders.into_iter().collect(),
            uploads: uploads.iter().map(|upload| upload.id).collect(),
        })
    }

    fn names(&self, folder: u128, upload: Option<u128>) -> bool {
        self.folders.contains(&folder) || upload.is_some_and(|upload| self.uploads.contains(&upload))
    }
}
