//! Random walks with all faults at once. At the end the faults stop, and what was left must be finished
//! (`pool.left-is-finished`).

use check::pool::bounds::world;
use check::pool::world::{Action, Faults, Stage, Start, State, World};
use model::pool::Placed;
use model::protocol::Value;
use stateright::Model;

/// Steps of a walk before the faults stop.
const STEPS: usize = 200;

/// A small generator: walks must be the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }
}

fn assert_holds(state: &State, seed: u64) {
    assert!(state.broken.is_none(), "seed {seed}: {:?}", state.broken);
}

/// Walks with all clients but the last two; then these, a recovery and a read, run alone.
fn walk(world: &World, seed: u64) {
    let last = world.jobs.len() as u8 - 2;
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut state = world.init_states().remove(0);
    let mut actions = Vec::new();
    for _ in 0..STEPS {
        actions.clear();
        world.actions(&state, &mut actions);
        actions.retain(|action| client_of(action).is_none_or(|client| client < last));
        if actions.is_empty() {
            break;
        }
        let action = actions[dice.roll(actions.len())];
        if let Some(next) = world.next_state(&state, action) {
            state = next;
            assert_holds(&state, seed);
        }
    }
    run(world, &mut state, last, seed);
    let chosen = (0..world.sizes.len() as u8).map(|pool| state.chosen_in(pool));
    let chosen: Vec<_> = chosen.collect();
    let copies = chosen.iter().filter(|set| set.is_incoming()).count();
    assert_eq!(copies, 0, "pool.left-is-finished: seed {seed}, {chosen:?}");
    let live = chosen.iter().filter(|set| set.is_live()).count();
    assert_eq!(live, state.homes().len(), "pool.left-is-finished: seed {seed}");
    assert!(
        chosen
            .iter()
            .all(|set| set.is_live() || set.is_absent() || is_sign(set))
    );
    run(world, &mut state, last + 1, seed);
    assert!(
        state.clients[usize::from(last + 1)].answered,
        "pool.left-is-finished: no answer, seed {seed}"
    );
}

fn is_sign<V: Value>(set: &Placed<V>) -> bool {
    matches!(set, Placed::Forward { .. } | Placed::Withdrawn)
}

fn client_of(action: &Action) -> Option<u8> {
    match action {
        Action::Invoke(client)
        | Action::Deliver { client, .. }
        | Action::Hurry(client)
        | Action::Read(client, ..)
        | Action::Conclude(client)
        | Action::Crash(client) => Some(*client),
        Action::Boot(..) => None,
    }
}

/// Runs one operation to its end, with every message delivered.
fn run(world: &World, state: &mut State, client: u8, seed: u64) {
    let mut actions = Vec::new();
    for _ in 0..1_000 {
        if state.clients[usize::from(client)].stage == Stage::Over && state.clients[usize::from(client)].mail.is_empty()
        {
            return;
        }
        actions.clear();
        world.actions(state, &mut actions);
        let own = |action: &&Action| {
            let lost = matches!(action, Action::Deliver { answered: false, .. } | Action::Crash(_));
            client_of(action) == Some(client) && !lost
        };
        let mut own: Vec<Action> = actions.iter().filter(own).copied().collect();
        own.sort_by_key(|action| matches!(action, Action::Hurry(_) | Action::Conclude(_)));
        let Some(next) = own.iter().find_map(|action| world.next_state(state, *action)) else {
            // What is left of its mail is of no use.
            assert_eq!(
                state.clients[usize::from(client)].stage,
                Stage::Over,
                "stuck, seed {seed}"
            );
            return;
        };
        *state = next;
        assert_holds(state, seed);
    }
    panic!("pool.left-is-finished: no end, seed {seed}");
}

fn check(sizes: &[u8], ops: &str, start: Start, seeds: u64) {
    let faults = Faults {
        boots: 2,
        crashes: 2,
        silences: 3,
    };
    let world = world(sizes, &format!("{ops}rG"), 12, faults).on(start);
    (0..seeds).for_each(|seed| walk(&world, seed));
}

#[test]
fn what_is_left_is_finished() {
    for sizes in [&[1, 1], &[2, 1], &[1, 2], &[2, 2], &[3, 2]] {
        check(sizes, "cCPdug", Start::Nothing, 150);
        check(sizes, "bpadG", Start::Value, 150);
        check(sizes, "bbru", Start::Value, 150);
        check(sizes, "rdCbu", Start::Forwarded, 150);
        check(sizes, "pbCd", Start::StaleCopy, 150);
    }
    check(&[2, 1, 3], "ebpaCdu", Start::Value, 300);
    check(&[3, 3, 3], "ebpaCdu", Start::Value, 300);
    check(&[16, 16], "bpadbCug", Start::Value, 20);
}
