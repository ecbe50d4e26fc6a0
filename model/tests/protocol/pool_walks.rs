//! Random walks with all faults at once, many operations, sets of up to 16 drives.

use check::pool::bounds::world;
use check::pool::state::{Faults, Start};
use check::pool::walks::walk;

fn check(sizes: &[u8], ops: &str, start: Start, seeds: u64) {
    let faults = Faults {
        boots: 2,
        crashes: 2,
        silences: 3,
    };
    let world = world(sizes, &format!("{ops}rG"), 12, faults).on(start);
    let answered: usize = (0..seeds).map(|seed| walk(&world, seed)).sum();
    println!(
        "{}: {answered} operations of {seeds} walks were answered",
        world.bounds()
    );
    assert!(answered >= seeds as usize, "the last read of each is answered");
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
