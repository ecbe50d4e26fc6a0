//! Mutants of the calls between nodes, each of which must be noticed (`specs/mutants.md`).

use check::tables::{Figures, Table, has_figures};
use sim::{
    peers::mutants::{broken, mutants, name, table},
    run::Scenario,
};

/// Number of seeds for each mutant.
const SEEDS: u64 = 200;

fn page() -> Table {
    let (columns, rows) = table();
    Table::new("mutants.md", "mutants of peers".to_owned(), columns, 2, rows)
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
    for (mutant, scene) in mutants() {
        match scenario.first_failure(0..SEEDS, broken(mutant, scene)) {
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
