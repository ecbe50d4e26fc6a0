//! Targets, one module per subject: `fuzz/README.md`. In one binary, since each links the whole server.

mod chunks;
mod erasure;
mod format;
mod index;
mod peer;
mod protocol;
mod rows;
mod server;
mod text;
