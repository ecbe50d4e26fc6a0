//! Statistics of this process, from Linux's `/proc`; elsewhere nothing.

use crate::runtime::Process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs, io, time::Duration};

/// Reads it anew. Takes some microseconds: `/proc` is memory.
pub(super) fn read() -> Process {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let status = fs::read_to_string("/proc/self/status").ok();
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
    Process {
        cpu: stat.and_then(|stat| cpu(&stat, rustix::param::clock_ticks_per_second())),
        resident_bytes: status.and_then(|status| resident_bytes(&status)),
        // Listing them takes a descriptor.
        files_open: open.map(|open| open.saturating_sub(1)),
        files_max: getrlimit(Resource::Nofile).current,
    }
}

/// Lets this process open as many files as the system allows it: raises the soft limit to the hard one.
///
/// # Errors
/// Errors of the operating system; the limit stays as it was.
pub fn raise_files_max() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// Time on processors, of user and system.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    // The second field is the program's name in parentheses, in which anything may stand.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    let micros = ticks.checked_mul(1_000_000)?.checked_div(ticks_per_second)?;
    Some(Duration::from_micros(micros))
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_an_odd_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(cpu("7 (x) S 1", 100), None);
        assert_eq!(cpu(stat, 0), None);
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t  12 kB\n"), Some(12 << 10));
        assert_eq!(resident_bytes("VmHWM:\t  12 kB\n"), None);
    }

    #[test]
    fn this_process_is_known() {
        let process = read();
        assert!(
            process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20),
            "{process:?}"
        );
        assert!(process.files_open.is_some_and(|files| files >= 3), "{process:?}");
        assert!(process.cpu.is_some());
    }
}
