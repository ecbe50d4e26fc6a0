//! Log destination: standard error, or a file that is rotated.

use super::{
    ConfigError, Env,
    limits::{either, invalid},
    size,
};
use std::path::{Path, PathBuf};

/// Default size at which the log file is rotated, in bytes.
const SIZE_BYTES: u64 = 100 << 20;

/// Less would rotate for every few lines, in bytes.
const SIZE_BYTES_MIN: u64 = 64 << 10;

/// Rotated files that are kept: the default, and the maximum.
const COUNT: u32 = 5;
const COUNT_MAX: u32 = 1000;

/// The flags of the log as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenLog {
    /// `--log-file`.
    pub file: Option<String>,
    /// `--log-file-size`.
    pub size: Option<String>,
    /// `--log-file-count`.
    pub count: Option<String>,
}

/// A log file as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFileSettings {
    /// The file.
    pub path: PathBuf,
    /// Size at which it is rotated, in bytes; 0 for never.
    pub size_bytes: u64,
    /// Rotated files that are kept.
    pub count: u32,
}

/// The log file, from flags and the environment; `None` for standard error.
pub(super) fn resolve(
    given: &GivenLog,
    env: &Env,
    current_folder: &Path,
) -> Result<Option<LogFileSettings>, ConfigError> {
    let size_bytes = match either(("--log-file-size", &given.size), env, "MINIO_LOG_FILE_SIZE") {
        None => SIZE_BYTES,
        Some((_, "0")) => 0,
        Some((name, text)) => {
            let bytes = size::parse(text).ok().filter(|bytes| *bytes >= SIZE_BYTES_MIN);
            bytes.ok_or_else(|| invalid(name, text, "a size of at least 64KiB, for example 100MiB, or 0 for any"))?
        }
    };
    let count = match either(("--log-file-count", &given.count), env, "MINIO_LOG_FILE_COUNT") {
        None => COUNT,
        Some((name, text)) => {
            let count = text.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
            count.ok_or_else(|| invalid(name, text, "a whole number of 1 to 1000"))?
        }
    };
    let Some((_, path)) = either(("--log-file", &given.file), env, "MINIO_LOG_FILE") else {
        return Ok(None);
    };
    Ok(Some(LogFileSettings {
        path: current_folder.join(path),
        size_bytes,
        count,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: [Option<&str>; 3], env: &[(&str, &str)], expected: Result<Option<(&str, u64, u32)>, &str>) {
        let [file, size, count] = given.map(|text| text.map(str::to_owned));
        let resolved = resolve(
            &GivenLog { file, size, count },
            &Env::from_pairs(env),
            Path::new("/srv"),
        );
        let resolved = resolved.map(|file| file.map(|file| (file.path, file.size_bytes, file.count)));
        let expected = expected.map(|file| file.map(|(path, size, count)| (PathBuf::from(path), size, count)));
        assert_eq!(
            resolved.map_err(|error| error.to_string()),
            expected.map_err(str::to_owned)
        );
    }

    #[test]
    fn flags_beat_the_environment() {
        check([None; 3], &[], Ok(None));
        check([Some("log"), None, None], &[], Ok(Some(("/srv/log", 100 << 20, 5))));
        let env = [
            ("MINIO_LOG_FILE", "/var/log/store"),
            ("MINIO_LOG_FILE_SIZE", "1GiB"),
            ("MINIO_LOG_FILE_COUNT", "2"),
        ];
        check([None; 3], &env, Ok(Some(("/var/log/store", 1 << 30, 2))));
        check([None, Some("0"), Some("7")], &env, Ok(Some(("/var/log/store", 0, 7))));
    }

    #[test]
    fn nonsense_is_refused() {
        let message = "--log-file-size 1KiB: expected a size of at least 64KiB, for example 100MiB, or 0 for any";
        check([None, Some("1KiB"), None], &[], Err(message));
        let message = "MINIO_LOG_FILE_COUNT 0: expected a whole number of 1 to 1000";
        check([None; 3], &[("MINIO_LOG_FILE_COUNT", "0")], Err(message));
    }
}
