//! Mutants of a first start that its scenario must notice (`specs/mutants.md`).

use check::tables::{Figures, Table, has_figures};
use sim::{
    formation::mutants::{broken, mutants, name, table},
    run::Scenario,
};
use std::env;

/// Number of seeds for each mutant.
const SEEDS: u64 = 300;

fn page() -> Table {
    let (columns, rows) = table();
    Table::new("mutants.md", "mutants of a first start".to_owned(), columns, 2, rows)
}

#[test]
fn the_page_has_the_table_of_mutants() {
    page().check_rows();
}

// `sim.mutants-caught`
#[test]
fn every_mutant_is_caught() {
    let scenario = Scenario::new("every_mutant_is_caught");
    let (mut missed, mut caught) = (Vec::new(), Figures::new());
    for (mutant, focus) in mutants() {
        match scenario.first_failure(0..SEEDS, broken(mutant, focus)) {
            Some((seed, failure)) => {
                let figures = vec![seed.to_string(), failure.noticed_as()];
                caught.insert(name(mutant).to_owned(), figures);
            }
            None => missed.push(mutant),
        }
    }
    assert_eq!(missed, [], "mutants that no seed noticed");
    page().enter(&caught, has_figures);
}

#[test]
#[ignore = "measures: MUTANT=name or all, SIM_FIRST and SIM_SEEDS the seeds"]
fn measure_mutants() {
    let number = |name: &str, otherwise| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let wanted = env::var("MUTANT").unwrap_or("all".to_owned());
    let (first, seeds) = (number("SIM_FIRST", 0), number("SIM_SEEDS", SEEDS));
    for (mutant, focus) in mutants() {
        if wanted != "all" && format!("{mutant:?}") != wanted {
            continue;
        }
        let scenario = Scenario::new("measure_mutants");
        let found = scenario.first_failure(first..first + seeds, broken(mutant, focus));
        let found = found.map(|(seed, failure)| (seed, failure.noticed_as()));
        println!("{mutant:?}: {found:?}");
    }
}
