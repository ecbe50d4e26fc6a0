//! Targets for the calls between nodes: frames, handshakes, and the two ends of a connection.

mod ends;
mod frames;
mod handshake;
