//! Fuzz targets. They are in `tests/`, one file per subject; how to run them is in `README.md`.

#[cfg(fuzzing)]
use bolero as _;
