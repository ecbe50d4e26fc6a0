//! Scenario of a first start: nodes whose drives are empty form a deployment, while processes end, hosts lose their
//! power, links fail, drives cannot be written, and some of what they find is in the way.
//!
//! Checked, on the simulated drives themselves: no two are of different deployments (`format.one-deployment`), none is
//! complete before all have begun and have an index (`format.complete-after-all`), what is in the way is left as it is
//! and stops all (`format.refuse-changes-nothing`, `format.foreign-data`), the leader's drives are complete first, and
//! an empty drive of a deployment stays empty (`format.wiped-is-unknown`). Once the faults are over the deployment is
//! formed and serves (`live.first-start`). `plan.rs` says what may happen. `mutants.rs` lists the mutants that must be
//! noticed.

mod faults;
mod later;
mod life;
mod media;
pub mod mutants;
mod node;
mod plan;

pub use life::{Seen, formation, formation_as};
pub use plan::{FAULTS, Fault, Obstacle, Plan, SOMETIMES, Wrong};
