//! Checks listings exhaustively within stated bounds, and that each way to break them is noticed.

mod bounds;
mod mutants;
