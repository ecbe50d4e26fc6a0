//! Mutants of the calls between nodes, each of which must be noticed (`specs/mutants.md`).

use sim::peers::mutants::mutants;

#[test]
fn the_page_has_the_table_of_mutants() {
    mutants().check_rows();
}

// `sim.mutants-caught`
#[test]
fn every_mutant_is_caught() {
    mutants().check();
}

#[test]
#[ignore = "measures: MUTANT=name or all, SIM_FIRST and SIM_SEEDS the seeds"]
fn measure_mutants() {
    mutants().measure();
}
