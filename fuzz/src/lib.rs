//! Fuzz targets. They are in `tests/`, one file for each subject; `README.md` says how to run them.

#[cfg(fuzzing)]
use bolero as _;
