//! Checks the protocol of buckets exhaustively within stated bounds, and that each way to break it is noticed.

mod bounds;
mod mutants;
