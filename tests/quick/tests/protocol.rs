//! Some of the model's smaller worlds, explored in full, and some mutants of each topic. `cargo test -p model` checks
//! all.

use check::topic;

/// Limit of generated states for each topic; larger worlds are left to `cargo test -p model`.
const BUDGET: usize = 500_000;
/// Limit of generated states for each mutant.
const STATES_MAX: usize = 10_000;
/// Number of mutants of each topic.
const MUTANTS: usize = 5;

macro_rules! topics {
    ($($topic:ident)*) => {
        $(mod $topic {
            #[test]
            fn the_pages_have_its_tables() {
                super::topic(stringify!($topic)).check_tables();
            }

            #[test]
            fn small_worlds_are_exhausted() {
                let exhausted = super::topic(stringify!($topic)).exhaust_small(super::BUDGET);
                assert!(exhausted >= 2, "only {exhausted} worlds");
            }

            #[test]
            fn some_mutants_are_caught() {
                let caught = super::topic(stringify!($topic)).catch_some(super::MUTANTS, super::STATES_MAX);
                assert_eq!(caught, super::MUTANTS);
            }
        })*
    };
}

topics!(uploads versions bucket lock configuration formation list pool register);
