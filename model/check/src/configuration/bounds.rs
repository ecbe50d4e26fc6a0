//! The bounds of runs that take long.

use super::world::Kind::{Change, Serve};
use super::world::{Faults, World, world};

/// No faults.
pub const NONE: Faults = Faults {
    losses: 0,
    no_acceptors: 0,
};

/// The worlds that the tests exhaust.
#[must_use]
pub fn worlds() -> Vec<World> {
    let losing = Faults { losses: 1, ..NONE };
    let without = Faults {
        no_acceptors: 1,
        ..NONE
    };
    vec![
        world(&[&[0, 1, 2]], &[Change, Serve(2, 0), Serve(0, 0)], NONE),
        world(&[&[0, 1, 2]], &[Change, Change, Serve(2, 0)], without),
        world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], losing),
        world(&[&[0, 1]], &[Change, Change, Serve(1, 0)], losing),
        world(&[&[0, 1], &[1, 2]], &[Change, Change, Serve(2, 1)], NONE),
        world(&[&[0, 1], &[1, 2]], &[Change, Serve(2, 1), Serve(0, 0)], losing),
        world(&[&[0, 0, 1, 1], &[1, 1, 2, 2]], &[Change, Serve(2, 1)], NONE),
    ]
}

/// Returns what takes minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    let losing = Faults { losses: 1, ..NONE };
    vec![
        world(&[&[0, 1, 2]], &[Change, Serve(2, 0), Serve(0, 0)], losing),
        world(&[&[0, 1, 2]], &[Change, Change, Serve(2, 0)], losing),
        world(&[&[0, 1], &[1, 2]], &[Change, Change, Serve(2, 1)], losing),
        world(
            &[&[0, 1, 2]],
            &[Change, Change, Serve(2, 0)],
            Faults {
                no_acceptors: 1,
                ..losing
            },
        ),
        world(&[&[0, 1, 2, 3]], &[Change, Change, Serve(3, 0)], NONE),
    ]
}
