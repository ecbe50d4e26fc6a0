//! Checks the protocol: every topic's worlds are explored exhaustively within their bounds (`specs/model.md`), each of
//! its mutants is caught by the rules that it breaks (`specs/mutants.md`), and random walks go where exhaustive search
//! is infeasible.

mod pool_walks;
mod records;
mod register_walks;

/// Defines the tests of each topic.
macro_rules! topics {
    ($($topic:ident)*) => {
        $(mod $topic {
            #[test]
            fn the_pages_have_its_tables() {
                check::topic(stringify!($topic)).check_tables();
            }

            #[test]
            fn every_rule_holds() {
                check::topic(stringify!($topic)).exhaust();
            }

            #[test]
            fn every_mutant_is_caught() {
                check::topic(stringify!($topic)).catch();
            }

            #[test]
            #[ignore = "minutes"]
            fn every_rule_holds_in_larger_worlds() {
                check::topic(stringify!($topic)).exhaust_larger();
            }
        })*

        /// Checks that no topic is left out.
        #[test]
        fn every_topic_is_checked() {
            let topics: Vec<&str> = check::topics().iter().map(|topic| topic.name).collect();
            assert_eq!(topics, [$(stringify!($topic)),*]);
        }
    };
}

topics!(uploads versions bucket lock configuration formation list pool register);

/// Explores one world from the environment, in the notation of its topic's `parse`.
#[test]
#[ignore = "for finding bounds by hand: REGISTER='3 2 ppG 2 0 1', POOL='22 cCg 1 0 1 value' or UPLOADS='cup parts 1'"]
fn by_hand() {
    let worlds = [
        ("REGISTER", check::register::bounds::parse as fn(&str) -> _),
        ("POOL", check::pool::bounds::parse),
        ("UPLOADS", check::history::uploads::bounds::parse),
    ];
    let asked = worlds
        .iter()
        .find_map(|(name, parse)| Some(parse(&std::env::var(name).ok()?)));
    let world = asked.expect("REGISTER, POOL or UPLOADS is set");
    let found = check::topic::explore(&*world, &[]);
    println!(
        "{}: {} states, depth {}, {:.1} s, {:?} {:?}",
        world.bounds(),
        found.states,
        found.depth,
        found.seconds,
        found.broken,
        world.occasions()
    );
}
