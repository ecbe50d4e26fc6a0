//! Random walks where exhaustive search is infeasible: sets of 16 drives, many operations, all faults at once. In the
//! end the faults stop, and every operation must end (`live.resolves`, `live.heals`) and leave nothing behind
//! (`drive.no-garbage`).

use super::bounds::NONE;
use super::change::Kind;
use super::state::{Action, Drive, Faults, State, World};
use crate::harness::World as _;
use crate::kit::client::Stage;
use crate::rng::Rng;

/// Number of steps of a walk before the faults stop.
const STEPS: usize = 600;

fn is_fault(action: &Action) -> bool {
    match action {
        Action::Deliver { answered, .. } => !answered,
        Action::Double { .. }
        | Action::Crash(_)
        | Action::Deadline(_)
        | Action::Fail(..)
        | Action::Boot(_)
        | Action::Wipe(_)
        | Action::Rot(_)
        | Action::Lose(..) => true,
        Action::Join(..) | Action::Fence(..) | Action::Scan(..) => false,
        Action::Invoke(..) | Action::StragglerTimeout(_) => false,
        Action::Read(..) | Action::Conclude(_) | Action::Open(..) => false,
    }
}

/// Walks, then lets every client finish in turn; the last one is a read that begins only then. Returns the number of
/// clients that were answered.
///
/// # Panics
/// If a rule is broken, or an operation does not end.
#[must_use]
pub fn walk(world: &World, seed: u64) -> usize {
    let mut rng = Rng::new(seed);
    let mut state = world.initial();
    let last = state.system.clients.len() as u8 - 1;
    // Operations that begin only after the walk: maintenance at the end of the list, and the last read.
    let kept_back = |client: u8| {
        let rest = &world.changes[usize::from(client)..usize::from(last)];
        rest.iter()
            .all(|change| matches!(change.kind, Kind::Heal | Kind::Purge | Kind::CleanUp(_)))
    };
    for _ in 0..STEPS {
        let mut actions = Vec::new();
        world.enabled(&state, &mut actions);
        actions.retain(|action| !matches!(action, Action::Invoke(client, _) if kept_back(*client)));
        if actions.is_empty() {
            break;
        }
        let action = actions[rng.roll(actions.len())];
        if is_fault(&action) && rng.roll(20) > 0 {
            continue;
        }
        state = world.next(&state, action).unwrap_or(state);
        state.ledger.broken.assert_none(seed);
    }
    state.system.faults = Faults {
        wipes: state.system.faults.wipes,
        rots: state.system.faults.rots,
        ..NONE
    };
    let came_back = world.come_back(&mut state);
    assert!(came_back, "live.heals: a drive cannot join, seed {seed}");
    state.ledger.broken.assert_none(seed);
    for client in 0..=last {
        let kind = world.change(client).kind;
        let all_deleted = (0..world.drives).all(|drive| state.system.is_deleted_on(drive));
        let any_vote = (0..world.drives).any(|drive| !state.system.vote_of(drive).is_zero());
        let idle = state.system.clients[usize::from(client)].stage == Stage::Idle;
        if kind == Kind::Purge && idle && !(all_deleted && any_vote) {
            continue;
        }
        if kind == Kind::Purge {
            (0..world.drives).for_each(|drive| evict(&mut state, drive));
        }
        finish(world, &mut state, client, seed);
        if kept_back(client) && client != last {
            arrive(world, &mut state, client, seed);
            let latest = state.ledger.latest();
            assert!(
                matches!(kind, Kind::CleanUp(_)) || state.system.is_healed(&latest),
                "live.heals: something is missing, seed {seed}"
            );
        }
        if kept_back(client) && kind == Kind::Purge {
            let forgotten = (0..world.drives).all(|drive| state.system.vote_of(drive).is_zero());
            assert!(forgotten, "live.heals: a tombstone is left, seed {seed}");
        }
        if let Kind::CleanUp(name) = kind
            && kept_back(client)
            && enough_know(&state)
        {
            let is_gone = state.ledger.latest().name == name || state.system.holding(name) == 0;
            assert!(is_gone, "drive.no-garbage: shards of {name} are left, seed {seed}");
        }
    }
    assert!(
        state.system.clients[usize::from(last)].answered,
        "live.resolves: the last read has no answer, seed {seed}"
    );
    state.system.clients.iter().filter(|client| client.answered).count()
}

/// Returns whether Q drives are authoritative: with fewer, no vote is possible.
fn enough_know(state: &State) -> bool {
    let drives = state.system.drives.len();
    let know = state.system.drives.iter().filter(|drive| drive.key.known).count();
    know + drives / 2 >= drives
}

/// Evicts the key from a drive's memory.
fn evict(state: &mut State, drive: u8) {
    let Drive { own, key, .. } = state.system.drive(drive);
    own.forget(std::mem::take(&mut key.promised));
}

/// Delivers the requests of a client that has left.
fn arrive(world: &World, state: &mut State, client: u8, seed: u64) {
    loop {
        let mut actions = Vec::new();
        world.enabled(state, &mut actions);
        let own = |action: &&Action| matches!(action, Action::Deliver { client: c, .. } if *c == client);
        let Some(next) = actions.iter().find(own) else { return };
        *state = world.next(state, *next).expect("it arrives");
        state.ledger.broken.assert_none(seed);
    }
}

/// Delivers a client's requests in order until its operation is over.
fn finish(world: &World, state: &mut State, client: u8, seed: u64) {
    for _ in 0..10_000 {
        if state.system.clients[usize::from(client)].stage == Stage::Over {
            return;
        }
        let mut actions = Vec::new();
        world.enabled(state, &mut actions);
        let own = |action: &&Action| match action {
            Action::Invoke(c, _) | Action::StragglerTimeout(c) | Action::Conclude(c) => *c == client,
            Action::Read(c, _) | Action::Open(c, _) => *c == client,
            Action::Deliver { client: c, .. } => *c == client,
            _ => false,
        };
        let is_delivery = |action: &&Action| matches!(action, Action::Deliver { .. } | Action::Read(..));
        let next = actions
            .iter()
            .filter(own)
            .find(is_delivery)
            .or_else(|| actions.iter().find(own));
        let Some(next) = next.and_then(|action| world.next(state, *action)) else {
            if state.system.clients[usize::from(client)].stage == Stage::Reading {
                // The value was replaced after the read: a server would read again.
                return;
            }
            // Replies that it waits for were lost.
            let before = state.clone();
            (0..world.drives).for_each(|drive| world.fail(state, client, drive));
            assert_ne!(*state, before, "live.resolves: stuck, seed {seed}");
            continue;
        };
        *state = next;
        state.ledger.broken.assert_none(seed);
    }
    panic!("live.resolves: no end, seed {seed}");
}
