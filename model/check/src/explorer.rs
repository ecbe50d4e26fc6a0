//! Worlds for stateright's explorer, small enough to be stepped through by hand.

use crate::configuration::state::Kind::{Change, Serve};
use crate::register::bounds::{NONE, world as register};
use crate::register::state::Faults;
use crate::topic::AnyWorld;
use crate::{bucket, configuration, history, list, lock, pool};

/// A world for the explorer.
pub struct Shown {
    /// Name on the command line.
    pub name: &'static str,
    /// Description for the command line.
    pub text: &'static str,
    pub world: Box<dyn AnyWorld>,
}

/// Returns all of them.
#[must_use]
pub fn worlds() -> Vec<Shown> {
    let boots = Faults { boots: 1, ..NONE };
    let wipes = Faults { wipes: 1, ..NONE };
    let crashes = Faults { crashes: 1, ..NONE };
    vec![
        shown(
            "put",
            "two puts and a read on three drives, K = 2",
            register(3, 2, "ppg", 1, NONE),
        ),
        shown("create", "two creations race", register(3, 2, "cc", 2, NONE)),
        shown("delete", "a put, a delete and a read", register(3, 2, "pdg", 1, NONE)),
        shown(
            "power",
            "a put and a read; a drive loses power",
            register(3, 2, "pg", 2, boots),
        ),
        shown(
            "crash",
            "a put whose coordinator may crash, and a read that finds it",
            register(3, 2, "pG", 2, crashes),
        ),
        shown(
            "clean-up",
            "a put and the clean-up of what it staged",
            register(3, 2, "px", 2, NONE),
        ),
        shown(
            "wipe",
            "a put and a read; a drive loses everything and comes back",
            register(3, 2, "pg", 1, wipes),
        ),
        shown(
            "heal",
            "a put, a heal and a read; a drive loses everything",
            register(3, 2, "phg", 1, wipes),
        ),
        shown(
            "purge",
            "a put, a delete and the purge of the tombstone",
            register(3, 2, "pdu", 1, NONE),
        ),
        shown(
            "upload",
            "a part, a completion and an abort of one upload",
            history::uploads::bounds::world("uca"),
        ),
        shown(
            "versions",
            "puts and a delete with versions",
            history::versions::bounds::world("pe pe de"),
        ),
        shown(
            "bucket",
            "a put races the deletion of its bucket",
            bucket::bounds::world(1, 3, "pd", bucket::bounds::NONE),
        ),
        shown(
            "lock",
            "two clients and two lock servers",
            lock::bounds::world(2, &[1, 1], lock::bounds::NONE),
        ),
        shown(
            "configuration",
            "a change and a request, three nodes",
            configuration::bounds::world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], configuration::bounds::NONE),
        ),
        shown(
            "list",
            "a listing of three keys, a page each, and a put of the second",
            list::bounds::world(3, &["1o1"], &[('p', 2)], 1),
        ),
        shown(
            "pool",
            "a creation in each of two pools, and a read",
            pool::bounds::world(&[2, 2], "cCg", 1, pool::bounds::NONE),
        ),
    ]
}

fn shown(name: &'static str, text: &'static str, world: impl AnyWorld + 'static) -> Shown {
    Shown {
        name,
        text,
        world: Box::new(world),
    }
}
