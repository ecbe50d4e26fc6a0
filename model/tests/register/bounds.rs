//! The configurations that are exhausted, and what must happen in them.

use check::explore::{exhaust, explore};
use check::register::bounds::{NONE, world};
use check::register::world::Faults;
use std::time::Duration;

#[test]
fn every_rule_holds() {
    let silenced = Faults {
        crashes: 1,
        silences: 1,
        ..NONE
    };
    let given_up = Faults {
        deadlines: 1,
        ..silenced
    };
    let rebooted_and = |faults| Faults { boots: 1, ..faults };
    let worlds = vec![
        world(2, 1, "pgg", 1, NONE),
        world(2, 1, "pgg", 2, Faults { boots: 1, ..NONE }),
        world(2, 1, "pG", 3, Faults { boots: 2, ..NONE }),
        world(2, 1, "pp", 2, Faults { crashes: 1, ..NONE }),
        world(3, 2, "ppG", 1, NONE),
        world(3, 2, "pcd", 1, NONE),
        world(3, 2, "pm", 2, NONE),
        world(3, 2, "px", 2, NONE),
        world(3, 2, "pxG", 1, NONE),
        world(3, 2, "px", 2, Faults { boots: 1, ..NONE }),
        world(
            2,
            1,
            "px",
            2,
            Faults {
                losses: 1,
                boots: 1,
                ..NONE
            },
        ),
        world(3, 2, "pp", 2, Faults { doubles: 1, ..NONE }),
        world(3, 2, "pG", 2, Faults { boots: 1, ..NONE }),
        world(3, 2, "pG", 2, given_up),
        world(3, 2, "pr", 2, silenced),
        world(3, 2, "pG", 2, Faults { failures: 2, ..NONE }),
        world(3, 2, "pp", 2, Faults { failures: 1, ..NONE }),
        world(3, 2, "pdg", 1, NONE),
        world(3, 2, "cc", 2, Faults { boots: 1, ..NONE }),
        world(4, 2, "pG", 1, Faults { losses: 1, ..NONE }),
        world(3, 2, "pf", 1, NONE).on_a_value(),
        world(2, 1, "pdf", 1, NONE).on_a_value(),
        world(3, 2, "pf", 1, Faults { losses: 1, ..NONE }).on_a_value(),
        world(4, 3, "pG", 2, NONE),
        world(5, 3, "pph", 1, NONE).with_rescues(),
        world(4, 2, "pph", 1, Faults { losses: 1, ..NONE }).with_rescues(),
        world(4, 2, "pph", 1, Faults { losses: 1, ..NONE })
            .in_brief()
            .with_rescues(),
        world(3, 2, "pph", 1, Faults { wipes: 1, ..NONE }).with_rescues(),
        world(3, 2, "pph", 1, Faults { wipes: 1, ..NONE })
            .in_brief()
            .with_rescues(),
        world(3, 2, "pdh", 1, rebooted_and(Faults { wipes: 1, ..NONE })).with_rescues(),
        world(3, 2, "pxh", 1, rebooted_and(Faults { rots: 1, ..NONE })).with_rescues(),
        world(3, 2, "dph", 1, rebooted_and(Faults { rots: 1, ..NONE }))
            .on_a_value()
            .with_rescues(),
        world(4, 2, "pg", 2, NONE),
        world(3, 2, "pg", 2, Faults { boots: 1, ..NONE }).on_a_value(),
        world(3, 2, "idg", 1, NONE).on_a_value(),
        world(4, 2, "ppG", 1, NONE).with_data(&[2, 3]),
        world(2, 1, "pgg", 1, Faults { wipes: 1, ..NONE }),
        world(2, 1, "pG", 3, Faults { wipes: 2, ..NONE }),
        world(
            2,
            1,
            "pG",
            2,
            Faults {
                boots: 1,
                wipes: 1,
                ..NONE
            },
        ),
        world(3, 2, "cc", 1, Faults { wipes: 2, ..NONE }),
        world(3, 2, "pg", 1, Faults { wipes: 2, ..NONE }),
        world(3, 2, "pG", 2, Faults { wipes: 1, ..NONE }),
        world(4, 2, "p", 2, Faults { wipes: 2, ..NONE }),
        world(3, 2, "ph", 2, NONE),
        world(2, 1, "phg", 2, Faults { losses: 1, ..NONE }),
        world(2, 1, "phg", 1, Faults { losses: 2, ..NONE }),
        world(2, 1, "phg", 1, Faults { wipes: 1, ..NONE }),
        world(3, 2, "phG", 1, Faults { wipes: 1, ..NONE }),
        world(2, 1, "pgg", 1, Faults { rots: 1, ..NONE }),
        world(3, 2, "cc", 2, Faults { rots: 1, ..NONE }),
        world(2, 1, "phg", 2, Faults { rots: 1, ..NONE }),
        world(3, 2, "pdu", 1, NONE),
        world(2, 1, "pdug", 1, NONE).on_a_value(),
        world(2, 1, "pduH", 1, NONE).on_a_value(),
        world(3, 2, "dug", 1, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(2, 1, "pduH", 1, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(2, 1, "duhg", 1, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(
            2,
            1,
            "dup",
            2,
            Faults {
                losses: 1,
                boots: 1,
                ..NONE
            },
        )
        .on_a_value(),
        world(3, 2, "duc", 2, NONE).on_a_value(),
        world(3, 2, "dh", 2, Faults { wipes: 1, ..NONE }).on_a_value(),
        world(3, 2, "pdug", 1, NONE).on_a_value(),
        world(3, 2, "ppG", 1, NONE).in_brief(),
        world(3, 2, "pdg", 1, NONE).in_brief(),
        world(3, 2, "cc", 1, Faults { boots: 1, ..NONE }).in_brief(),
        world(2, 1, "pG", 2, Faults { wipes: 1, ..NONE }).in_brief(),
        world(4, 2, "pG", 2, NONE).in_brief(),
    ];
    exhaust(worlds, Duration::from_secs(600));
}

/// One configuration from the environment: `N K OPS ROUNDS`, then the faults in their order.
#[test]
#[ignore = "for finding bounds by hand: BOUNDS='3 2 ppG 2 0 0 0 0 0 0 0' [ON_A_VALUE=1 IN_BRIEF=1 RESCUED=1]"]
fn by_hand() {
    let text = std::env::var("BOUNDS").expect("BOUNDS is set");
    let words: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| words.get(at).map_or(0, |word| word.parse().expect("a number"));
    let faults = Faults {
        losses: number(4),
        boots: number(5),
        crashes: number(6),
        silences: number(7),
        doubles: number(8),
        deadlines: number(9),
        failures: number(10),
        wipes: number(11),
        rots: number(12),
    };
    let mut world = world(number(0), number(1), words[2], number(3), faults);
    if std::env::var_os("ON_A_VALUE").is_some() {
        world = world.on_a_value();
    }
    if std::env::var_os("IN_BRIEF").is_some() {
        world = world.in_brief();
    }
    if std::env::var_os("RESCUED").is_some() {
        world = world.with_rescues();
    }
    let found = explore(world, &[], Duration::from_secs(600));
    println!(
        "{text}: {} states, depth {}, {:.1} s, {:?}",
        found.states, found.depth, found.seconds, found.broken
    );
}
