//! Changes from one record to the next: an Accept in brief carries this instead of a key's whole history.

use super::{Content, Object, Record, Upload, Version};
use crate::protocol::Chained;
use serde::{Deserialize, Serialize};

/// A change of a record, and the name of what it makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    name: u128,
    kind: DeltaKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum DeltaKind {
    /// All of it is new.
    Whole(Content),
    /// Some versions and open uploads of a key go, others come after those that stay.
    Object {
        gone: Vec<u128>,
        versions: Vec<Version>,
        ended: Vec<u128>,
        uploads: Vec<Upload>,
    },
}

impl Chained for Record {
    type Name = u128;
    type Change = Delta;

    fn name(&self) -> u128 {
        Record::name(self)
    }

    fn change_of(&self, base: &Record) -> Delta {
        let kind = match (base.content(), self.content()) {
            (Content::Object(before), Content::Object(after)) => {
                let (gone, versions) = difference(&before.versions, &after.versions, |version| version.id);
                let (ended, uploads) = difference(&before.uploads, &after.uploads, |upload| upload.id);
                DeltaKind::Object {
                    gone,
                    versions,
                    ended,
                    uploads,
                }
            }
            (_, after) => DeltaKind::Whole(after.clone()),
        };
        let (name, whole) = (self.name(), || DeltaKind::Whole(self.content().clone()));
        let delta = Delta { name, kind };
        if Record::changed(base, &delta).content() == self.content() {
            return delta;
        }
        // No change of ours inserts before what stays.
        Delta { name, kind: whole() }
    }

    fn changed(base: &Record, change: &Delta) -> Record {
        let content = match (&change.kind, base.content()) {
            (DeltaKind::Whole(content), _) => content.clone(),
            (
                DeltaKind::Object {
                    gone,
                    versions,
                    ended,
                    uploads,
                },
                Content::Object(before),
            ) => {
                let mut object: Object = before.clone();
                object.versions.retain(|version| !gone.contains(&version.id));
                object.versions.extend_from_slice(versions);
                object.uploads.retain(|upload| !ended.contains(&upload.id));
                object.uploads.extend_from_slice(uploads);
                Content::Object(object)
            }
            // Made of another base: what comes out has no name that anybody asks for.
            (DeltaKind::Object { .. }, _) => return base.clone(),
        };
        Record::new(change.name, content)
    }
}

/// Returns which of `before` are not in `after` as they were, by their ids, and which of `after` are new.
fn difference<T: Clone + PartialEq>(before: &[T], after: &[T], id: impl Fn(&T) -> u128) -> (Vec<u128>, Vec<T>) {
    let gone = before.iter().filter(|item| !after.contains(item)).map(id).collect();
    let new = after.iter().filter(|item| !before.contains(item)).cloned().collect();
    (gone, new)
}
