//! What nodes send each other: frames, handshakes, and the two ends of a connection.

mod ends;
mod frames;
mod handshake;
