//! Limits and timeouts: configured, or derived from the machine.

use super::{ConfigError, Env, size};
use std::{io, path::Path, time::Duration};

/// The flags of limits as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenLimits {
    /// `--memlimit`.
    pub memory: Option<String>,
    /// `--idle-timeout`.
    pub idle: Option<String>,
    /// `--read-header-timeout`.
    pub headers: Option<String>,
    /// `--shutdown-delay`.
    pub shutdown: Option<String>,
}

/// Memory, requests and time as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// The memory that the process may take, in bytes.
    pub memory_bytes: u64,
    /// Requests that are served at once; by memory unless it is set.
    pub requests: Option<usize>,
    /// Longest wait of a request for admission.
    pub wait: Duration,
    /// Longest time without progress on a connection.
    pub idle: Duration,
    /// Time limit for the headers of a request.
    pub headers: Duration,
    /// Age of an inactive multipart upload at which it is removed.
    pub stale_uploads: Duration,
    /// Interval of the search for such uploads.
    pub stale_uploads_interval: Duration,
    /// Grace period after SIGTERM: the server serves, not ready, before it closes its port.
    pub shutdown_delay: Duration,
}

/// Less memory than this serves nobody, in bytes.
const MEMORY_BYTES_MIN: u64 = 128 << 20;

/// Memory that is assumed where the machine's is unknown, in bytes.
const MEMORY_BYTES_UNKNOWN: u64 = 4 << 30;

/// Default of [`LimitSettings::wait`].
const WAIT: Duration = Duration::from_secs(10);

/// Default of both timeouts of a connection.
const IDLE: Duration = Duration::from_secs(60);
const HEADERS: Duration = Duration::from_secs(60);

/// Default grace period after SIGTERM: a load balancer asks every second or two.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(3);

/// When a multipart upload without activity is removed, and how often such uploads are looked for, unless it is told
/// otherwise; and the longest that either may be.
const STALE_UPLOADS: Duration = Duration::from_secs(24 * 3600);
const STALE_UPLOADS_INTERVAL: Duration = Duration::from_secs(6 * 3600);
const STALE_UPLOADS_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Less time than this would cut off clients that do nothing wrong; more is none at all.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Limits from flags, the environment, and the machine.
pub(super) fn resolve(given: &GivenLimits, env: &Env, read_file: ReadFile<'_>) -> Result<LimitSettings, ConfigError> {
    let memory_bytes = match either(("--memlimit", &given.memory), env, "MINIO_MEMLIMIT") {
        // Of the machine's, a quarter is left to the kernel and to others.
        None => machine_bytes(read_file).unwrap_or(MEMORY_BYTES_UNKNOWN) / 4 * 3,
        Some((name, text)) => size::parse(text)
            .ok()
            .filter(|bytes| *bytes >= MEMORY_BYTES_MIN)
            .ok_or_else(|| invalid(name, text, "a size of at least 128MiB, for example 4GiB"))?,
    };
    let requests = match of(env, "MINIO_API_REQUESTS_MAX") {
        None => None,
        Some((name, text)) => {
            let number: usize = text
                .parse()
                .map_err(|_| invalid(name, text, "a whole number, or 0 for a default"))?;
            Some(number).filter(|number| *number > 0)
        }
    };
    let wait = match of(env, "MINIO_API_REQUESTS_DEADLINE") {
        None => WAIT,
        Some((name, text)) => duration(text).ok_or_else(|| invalid(name, text, "a time, for example 10s or 1m"))?,
    };
    let stale = |name, default| match of(env, name) {
        None => Ok(default),
        Some((name, text)) => duration(text)
            .filter(|time| (TIMEOUT_MIN..=STALE_UPLOADS_MAX).contains(time))
            .ok_or_else(|| invalid(name, text, "a time of at least 1s, for example 24h")),
    };
    let shutdown_delay = match either(("--shutdown-delay", &given.shutdown), env, "MINIO_SHUTDOWN_DELAY") {
        None => SHUTDOWN_DELAY,
        Some((name, text)) => duration(text)
            .filter(|time| *time <= TIMEOUT_MAX)
            .ok_or_else(|| invalid(name, text, "a time of 0s to 24h, for example 10s"))?,
    };
    Ok(LimitSettings {
        memory_bytes: memory_bytes.max(MEMORY_BYTES_MIN),
        requests,
        wait,
        idle: timeout(("--idle-timeout", &given.idle), env, "MINIO_IDLE_TIMEOUT")?.unwrap_or(IDLE),
        headers: timeout(
            ("--read-header-timeout", &given.headers),
            env,
            "MINIO_READ_HEADER_TIMEOUT",
        )?
        .unwrap_or(HEADERS),
        stale_uploads: stale("MINIO_API_STALE_UPLOADS_EXPIRY", STALE_UPLOADS)?,
        stale_uploads_interval: stale("MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL", STALE_UPLOADS_INTERVAL)?,
        shutdown_delay,
    })
}

/// A flag, or else a variable: which it is, and what it holds.
pub(super) fn either<'a>(
    (flag, given): (&'static str, &'a Option<String>),
    env: &'a Env,
    variable: &'static str,
) -> Option<(&'static str, &'a str)> {
    match given {
        Some(text) => Some((flag, text)),
        None => of(env, variable),
    }
}

fn timeout(
    flag: (&'static str, &Option<String>),
    env: &Env,
    variable: &'static str,
) -> Result<Option<Duration>, ConfigError> {
    let Some((name, text)) = either(flag, env, variable) else {
        return Ok(None);
    };
    match duration(text) {
        Some(time) if (TIMEOUT_MIN..=TIMEOUT_MAX).contains(&time) => Ok(Some(time)),
        _ => Err(invalid(name, text, "a time of 1s to 24h, for example 30s or 5m")),
    }
}

fn of<'a>(env: &'a Env, name: &'static str) -> Option<(&'static str, &'a str)> {
    Some((name, env.get(name)?))
}

pub(super) fn invalid(name: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Limit {
        name,
        value: value.to_owned(),
        expected,
    }
}

/// `500ms`, `10s`, `2m`, `1h`, or several together: `1h30m`.
fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (None, text);
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit_end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let millis = number.parse::<u64>().ok()?.checked_mul(millis)?;
        total = Some(total.unwrap_or(0u64).checked_add(millis)?);
        rest = behind;
    }
    total.map(Duration::from_millis)
}

/// The memory of the machine, or of the control group that holds this process if that is less.
fn machine_bytes(read_file: ReadFile<'_>) -> Option<u64> {
    let total = read_file(Path::new("/proc/meminfo")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib << 10)
    });
    let groups = read_file(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| group_limits(line, read_file));
    total.into_iter().chain(limits).min()
}

/// The limits of a group and of those around it; `line` names it (`0::/path`, or `5:memory:/path` of the first
/// version of groups).
fn group_limits(line: &str, read_file: ReadFile<'_>) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    let path = Path::new(root).join(path.trim_start_matches('/'));
    let folders = path.ancestors().filter(|folder| folder.starts_with(root));
    // "max" is no number: no limit.
    folders
        .filter_map(|folder| read_file(&folder.join(file)).ok()?.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn with(files: &[(&str, &str)], env: &[(&str, &str)], flag: Option<&str>) -> Result<LimitSettings, String> {
        let read_file = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found
                .map(|(_, text)| (*text).to_owned())
                .ok_or(io::ErrorKind::NotFound.into())
        };
        let given = GivenLimits {
            memory: flag.map(str::to_owned),
            ..GivenLimits::default()
        };
        resolve(&given, &Env::from_pairs(env), &read_file).map_err(|error| error.to_string())
    }

    #[test]
    fn memory_of_the_machine() {
        let memory = |files: &[(&str, &str)]| with(files, &[], None).unwrap().memory_bytes;
        let meminfo = ("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n");
        assert_eq!(memory(&[]), 3 * GIB);
        assert_eq!(memory(&[meminfo]), 12 * GIB);
        let second = [
            meminfo,
            ("/proc/self/cgroup", "0::/pods/one\n"),
            ("/sys/fs/cgroup/pods/one/memory.max", "max\n"),
            ("/sys/fs/cgroup/pods/memory.max", "8589934592\n"),
        ];
        assert_eq!(memory(&second), 6 * GIB);
        let in_container = [
            meminfo,
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/memory.max", "4294967296\n"),
        ];
        assert_eq!(memory(&in_container), 3 * GIB);
        let first = [
            meminfo,
            ("/proc/self/cgroup", "12:cpu,cpuacct:/x\n5:memory:/docker/1\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n"),
            (
                "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ];
        assert_eq!(memory(&first), 3 * GIB / 2);
        let tiny = [("/proc/meminfo", "MemTotal: 1024 kB\n")];
        assert_eq!(memory(&tiny), MEMORY_BYTES_MIN);
    }

    #[test]
    fn what_is_set_counts() {
        let settings = with(&[], &[("MINIO_MEMLIMIT", "2GiB")], None).unwrap();
        assert_eq!(
            (settings.memory_bytes, settings.requests, settings.wait),
            (2 * GIB, None, WAIT)
        );
        assert_eq!(
            with(&[], &[("MINIO_MEMLIMIT", "2GiB")], Some("1GiB"))
                .unwrap()
                .memory_bytes,
            GIB
        );
        let env = [("MINIO_API_REQUESTS_MAX", "800"), ("MINIO_API_REQUESTS_DEADLINE", "2m")];
        let settings = with(&[], &env, None).unwrap();
        assert_eq!(
            (settings.requests, settings.wait),
            (Some(800), Duration::from_secs(120))
        );
        assert_eq!(
            with(&[], &[("MINIO_API_REQUESTS_MAX", "0")], None).unwrap().requests,
            None
        );
    }

    #[test]
    fn timeouts() {
        let times = |given: &GivenLimits, env: &[(&str, &str)]| {
            let no_files = |_: &Path| Err(io::ErrorKind::NotFound.into());
            let settings = resolve(given, &Env::from_pairs(env), &no_files);
            settings
                .map(|settings| (settings.idle.as_secs(), settings.headers.as_secs()))
                .map_err(|error| error.to_string())
        };
        let none = GivenLimits::default();
        assert_eq!(times(&none, &[]), Ok((60, 60)));
        let env = [("MINIO_IDLE_TIMEOUT", "5m"), ("MINIO_READ_HEADER_TIMEOUT", "30s")];
        assert_eq!(times(&none, &env), Ok((300, 30)));
        let given = GivenLimits {
            idle: Some("2s".to_owned()),
            ..GivenLimits::default()
        };
        assert_eq!(times(&given, &env), Ok((2, 30)));
        let given = GivenLimits {
            headers: Some("0s".to_owned()),
            ..GivenLimits::default()
        };
        let expected = "--read-header-timeout 0s: expected a time of 1s to 24h, for example 30s or 5m";
        assert_eq!(times(&given, &env), Err(expected.to_owned()));
        assert!(times(&none, &[("MINIO_IDLE_TIMEOUT", "25h")]).is_err());
    }

    #[test]
    fn the_moment_before_the_port_closes() {
        let delay = |text: &str| {
            let settings = with(&[], &[("MINIO_SHUTDOWN_DELAY", text)], None);
            settings.map(|settings| settings.shutdown_delay)
        };
        assert_eq!(delay(""), Ok(Duration::from_secs(3)));
        assert_eq!(delay("0s"), Ok(Duration::ZERO));
        assert_eq!(delay("90s"), Ok(Duration::from_secs(90)));
        let message = "MINIO_SHUTDOWN_DELAY 25h: expected a time of 0s to 24h, for example 10s";
        assert_eq!(delay("25h"), Err(message.to_owned()));
    }

    #[test]
    fn when_uploads_are_abandoned() {
        let stale = |env: &[(&str, &str)]| {
            let settings = with(&[], env, None);
            settings.map(|settings| {
                (
                    settings.stale_uploads.as_secs(),
                    settings.stale_uploads_interval.as_secs(),
                )
            })
        };
        assert_eq!(stale(&[]), Ok((86_400, 21_600)));
        let env = [
            ("MINIO_API_STALE_UPLOADS_EXPIRY", "24h0m5s"),
            ("MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL", "1h30m"),
        ];
        assert_eq!(stale(&env), Ok((86_405, 5_400)));
        for text in ["0s", "1", "h", "1h30", "-1h"] {
            assert!(stale(&[("MINIO_API_STALE_UPLOADS_EXPIRY", text)]).is_err(), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let error = |name, value| with(&[], &[(name, value)], None).unwrap_err();
        assert_eq!(
            error("MINIO_MEMLIMIT", "lots"),
            "MINIO_MEMLIMIT lots: expected a size of at least 128MiB, for example 4GiB"
        );
        assert!(error("MINIO_MEMLIMIT", "1MiB").starts_with("MINIO_MEMLIMIT 1MiB: expected"));
        assert!(error("MINIO_API_REQUESTS_MAX", "-1").starts_with("MINIO_API_REQUESTS_MAX -1: expected"));
        for text in ["10", "s", "1d", "-1s", "99999999999999999999s"] {
            assert!(
                error("MINIO_API_REQUESTS_DEADLINE", text).contains("expected a time"),
                "{text}"
            );
        }
    }
}
