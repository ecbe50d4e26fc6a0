//! Deletes of objects.

use super::{Store, types::Deleted};
use crate::{
    drive::RegisterKey,
    runtime::Mutant,
    set::{StoreError, driver::settled},
};
use model::{
    protocol::Outcome,
    record::{Change, Precondition, Versioning},
};

impl Store {
    /// Deletes a key. A key that does not exist is deleted already.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::PreconditionFailed`], or unavailable.
    pub async fn delete(&self, bucket: &str, key: &str, precondition: Precondition) -> Result<Deleted, StoreError> {
        let incarnation = self.incarnation(bucket).await?;
        let outcome = self
            .change(
                self.set_of(key),
                RegisterKey::object(incarnation, key),
                Change::Delete {
                    precondition,
                    versioning: Versioning::Unversioned,
                },
            )
            .await
            .outcome;
        let existed = matches!(outcome, Outcome::Written(_));
        match settled(outcome) {
            Err(StoreError::Unwritable(_) | StoreError::Unreadable(_) | StoreError::Ambiguous(_))
                if self.rt.mutation().is(Mutant::DeleteErrorSwallowed) =>
            {
                Ok(Deleted { existed })
            }
            settled => settled.map(|_| Deleted { existed }),
        }
    }
}
