//! Random walks where exhaustive search is infeasible.

use check::register::bounds::world;
use check::register::state::{Faults, World};
use check::register::walks::walk;
use model::protocol::Drives;

fn check(world: World, seeds: u64) {
    assert!(world.changes.last().is_some_and(|change| change.is_get()));
    let mut answered = 0;
    for seed in 0..seeds {
        answered += walk(&world, seed);
    }
    let asked = world.changes.iter().filter(|change| change.is_asked_for()).count();
    let asked = seeds as usize * asked;
    println!(
        "{} drives: {answered} of {asked} operations were answered",
        world.drives
    );
    assert!(answered * 2 > asked, "most operations are answered");
}

#[test]
fn walks_through_large_sets() {
    let faults = |losses, wipes| Faults {
        losses,
        boots: 3,
        crashes: 1,
        silences: 10,
        doubles: 10,
        deadlines: 1,
        failures: 3,
        wipes,
        rots: 1,
    };
    let wide = |world: World, least: u8| {
        let mut world = world.with_clean_ups();
        let all = Drives::all(world.drives);
        let first = Drives::all(least);
        let even = (0..world.drives).filter(|drive| drive % 4 != 1).collect();
        world.stagings = vec![all, first, even];
        world
            .stagings
            .retain(|drives: &Drives| drives.count() >= usize::from(least));
        world
    };
    check(wide(world(16, 8, "ppdchughuG", 30, faults(1, 0)), 9), 200);
    check(wide(world(16, 12, "ppdcghuG", 30, faults(0, 0)), 12), 200);
    check(
        wide(
            world(16, 8, "ppmgdG", 30, faults(0, 0)).with_data(&[8, 12, 8, 8, 8, 8]),
            12,
        ),
        300,
    );
    check(wide(world(5, 3, "pxpmdghuG", 30, faults(0, 0)), 3), 300);
    check(wide(world(1, 1, "pcdgG", 30, faults(0, 0)), 1), 100);
    check(wide(world(16, 8, "ppdchughuG", 30, faults(0, 1)), 9), 200);
    check(wide(world(4, 2, "pdchughuG", 30, faults(0, 1)), 3), 300);
    check(wide(world(16, 8, "ppdchughuG", 30, faults(0, 1)).in_brief(), 9), 200);
    check(wide(world(4, 2, "ppdchughuG", 30, faults(0, 1)).in_brief(), 3), 300);
}
