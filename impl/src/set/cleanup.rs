//! Clean-up on the drives of a set, after a vote that tells them what is gone.

use super::{
    ErasureSet, StoreError,
    driver::{Ended, execute},
};
use crate::{
    drive::{DriveError, RegisterKey},
    runtime,
};
use futures::future::join_all;
use model::{
    protocol::{Ballot, Outcome},
    record::{Change, Op, Record},
};
use std::{sync::Arc, time::Duration};

/// Number of times, and their distance, that a drive is asked to remove an upload's parts: it refuses until it knows
/// that the upload is gone.
const END_TRIES: u32 = 5;
const END_PAUSE: Duration = Duration::from_millis(50);

/// Votes for a key's value again, under a ballot of its own. Returns the value and the ballot.
///
/// # Errors
/// [`StoreError::Unwritable`]
pub(crate) async fn touch(set: &Arc<ErasureSet>, owner: &RegisterKey) -> Result<(Record, Ballot), StoreError> {
    let op = Op::new(runtime::random_id(&set.rt), set.rt.wall_nanos(), Change::Touch);
    let Ended { outcome, ballot, .. } = execute(set, owner.clone(), op, None).await;
    match outcome {
        Outcome::Written(record) => Ok((record, ballot)),
        _ => Err(StoreError::Unwritable("the clean-up was not voted for".into())),
    }
}

/// Has every drive remove what an upload that is gone as of the ballot `ended` has left. Returns `false` if a drive
/// stayed behind that ballot and refused.
pub(crate) async fn remove_left(set: &Arc<ErasureSet>, owner: &RegisterKey, upload: u128, ended: Ballot) -> bool {
    let ends = set.drives.iter().map(|drive| async {
        for _ in 0..END_TRIES {
            if drive.end_upload(owner, upload, ended).await != Err(DriveError::Behind) {
                return true;
            }
            set.rt.sleep(END_PAUSE).await;
        }
        false
    });
    join_all(ends).await.into_iter().all(|done| done)
}
