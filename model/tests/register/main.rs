//! Checks the protocol's machines exhaustively within stated bounds (`specs/model.md`), and that each way
//! to break the protocol is noticed (`specs/mutants.md`).

mod bounds;
mod mutants;
mod walks;
