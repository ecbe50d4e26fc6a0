//! Mutants that a scenario must notice: catches them all, and enters what noticed them into `specs/mutants.md`.

use crate::{
    World,
    run::{Scenario, from_env},
};
use check::tables::{Figures, Table, has_figures};
use std::{env, fmt::Debug, future::Future, pin::Pin, time::Instant};

/// A run, which panics if a rule is broken.
pub type Running = Pin<Box<dyn Future<Output = ()>>>;

/// A mutant with the scenario that must notice it.
pub struct Broken {
    /// How `MUTANT` selects it.
    id: String,
    /// Its row in `specs/mutants.md`.
    name: String,
    scenario: Box<dyn Fn(World) -> Running + Send + Sync>,
}

impl Broken {
    /// Makes a mutant with its name in `specs/mutants.md` and the scenario in which it is switched on.
    pub fn new(
        mutant: impl Debug,
        name: impl Into<String>,
        scenario: impl Fn(World) -> Running + Send + Sync + 'static,
    ) -> Broken {
        Broken {
            id: format!("{mutant:?}"),
            name: name.into(),
            scenario: Box::new(scenario),
        }
    }
}

/// The mutants of a table in `specs/mutants.md`.
pub struct Mutants {
    table: &'static str,
    seeds: u64,
    mutants: Vec<Broken>,
}

impl Mutants {
    /// Makes the mutants of a table, each of which must be noticed within a number of seeds.
    pub fn new(table: &'static str, seeds: u64, mutants: impl IntoIterator<Item = Broken>) -> Mutants {
        let mutants = mutants.into_iter().collect();
        Mutants { table, seeds, mutants }
    }

    /// Adds mutants that no seed has to notice, for [`Mutants::measure`].
    pub fn and(mut self, mutants: impl IntoIterator<Item = Broken>) -> Mutants {
        self.mutants.extend(mutants);
        self
    }

    /// Checks that `specs/mutants.md` has the rows of the table; with `UPDATE_SPECS=1` writes them.
    ///
    /// # Panics
    /// When it has other rows.
    pub fn check_rows(&self) {
        self.table().check_rows();
    }

    /// Catches every mutant, and compares the table with what noticed them; with `UPDATE_SPECS=1` writes that.
    ///
    /// # Panics
    /// When no seed notices a mutant, or the table lacks figures.
    pub fn check(self) {
        let table = self.table();
        table.enter(&self.catch(), has_figures);
    }

    /// Runs every mutant until a seed notices it; returns these seeds and what they noticed, by the mutants' names.
    ///
    /// # Panics
    /// When no seed notices a mutant.
    pub fn catch(self) -> Figures {
        let (mut missed, mut figures) = (Vec::new(), Figures::new());
        for mutant in self.mutants {
            match Scenario::new("mutants").first_failure(0..self.seeds, mutant.scenario) {
                Some((seed, failure)) => {
                    figures.insert(mutant.name, vec![seed.to_string(), failure.noticed_as()]);
                }
                None => missed.push(mutant.id),
            }
        }
        assert_eq!(missed, [""; 0], "mutants that no seed noticed");
        figures
    }

    /// Runs mutants until a seed notices them, and prints that seed, what it noticed, and the seconds that it took.
    /// `MUTANT` is a part of the name of those to run, or "all"; `SIM_FIRST` and `SIM_SEEDS` are the seeds.
    #[allow(clippy::disallowed_methods, reason = "measures real time")]
    pub fn measure(self) {
        let wanted = env::var("MUTANT").unwrap_or("all".to_owned());
        let first = from_env("SIM_FIRST").unwrap_or(0);
        let seeds = first..first + from_env("SIM_SEEDS").unwrap_or(self.seeds);
        for mutant in self.mutants {
            if wanted != "all" && !mutant.id.contains(&wanted) {
                continue;
            }
            let began = Instant::now();
            let caught = Scenario::new("mutants").first_failure(seeds.clone(), mutant.scenario);
            let how = caught.map(|(seed, failure)| {
                let message = failure.message.chars().take(160).collect::<String>();
                (seed, failure.noticed_as(), message)
            });
            println!("{}: {how:?}, {:.1} s", mutant.id, began.elapsed().as_secs_f64());
        }
    }

    fn table(&self) -> Table {
        let rows = self.mutants.iter().map(|mutant| mutant.name.clone());
        Table::new(
            "mutants.md",
            self.table.to_owned(),
            &["mutant", "seed", "noticed as"],
            2,
            rows,
        )
    }
}
