//! Checks a key over several pools exhaustively within stated bounds (`specs/pool.md`, `specs/model.md`), and that each
//! way to break the protocol is noticed (`specs/mutants.md`).

mod bounds;
mod mutants;
mod walks;
