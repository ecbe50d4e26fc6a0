//! Erasure coding and bitrot framing: pure and synchronous.
