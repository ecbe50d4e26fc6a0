//! A server's state for people.

use crate::{
    admin::{Drive, Info, Mode},
    cli::{PRODUCT, banner::count},
    config::size,
};
use std::{collections::BTreeSet, fmt::Write};

/// Difference of clocks that is told.
const CLOCK_AHEAD_MS_MAX: i64 = 1000;

/// The whole answer of `impl admin info`. Writing to a `String` cannot fail.
pub fn of(info: &Info) -> String {
    let mut text = String::new();
    // The server that answers knows its own version and uptime alone.
    for server in info.servers.iter().filter(|server| !server.version.is_empty()) {
        let (version, endpoint, uptime) = (&server.version, &server.endpoint, uptime(server.uptime));
        let _ = writeln!(text, "{PRODUCT} {version} at {endpoint}, up {uptime}");
    }
    text.push('\n');
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<10} {value}");
    };
    let backend = &info.backend;
    row("State", state(info));
    row("Deployment", &info.deployment_id);
    if info.servers.len() > 1 {
        row("Nodes", &nodes(info));
    }
    let all = backend.online_disks + backend.offline_disks;
    let sets = backend.total_sets.iter().sum();
    let size = backend.total_drives_per_set.first().copied().unwrap_or(0);
    let (online, parity) = (backend.online_disks, backend.standard_parity);
    let layout = format!("{online} of {all} online, {} × {size}, EC:{parity}", count(sets, "set"));
    row("Drives", &layout);
    let (reads, writes) = (backend.read_quorum, backend.write_quorum);
    row(
        "Quorum",
        &format!(
            "of a set: {} for reads, {writes} for writes",
            count(reads.into(), "drive")
        ),
    );
    let (used, total) = space(info);
    row(
        "Space",
        &format!("{} used of {}, with parity", size::format(used), size::format(total)),
    );
    let buckets = info.buckets.count.map_or_else(
        || {
            format!(
                "unknown: {}",
                info.buckets.error.as_deref().unwrap_or("no reason given")
            )
        },
        |count| count.to_string(),
    );
    row("Buckets", &buckets);
    text.push('\n');
    list(&mut text, info);
    text
}

/// Number of servers that answer, and the reasons of those that do not.
fn nodes(info: &Info) -> String {
    let (online, all) = (
        info.servers.iter().filter(|server| server.state == "online"),
        info.servers.len(),
    );
    let mut text = format!("{} of {all} online", online.count());
    for server in &info.servers {
        if let Some(reason) = &server.reason {
            let _ = write!(text, "\n             {}: {reason}", server.endpoint);
        } else if let Some(ahead) = server.clock_ahead_ms.filter(|ahead| ahead.abs() > CLOCK_AHEAD_MS_MAX) {
            let _ = write!(
                text,
                "\n             {}: its clock is {ahead} ms ahead",
                server.endpoint
            );
        }
    }
    text
}

/// Bytes used, and all bytes. A device that several drives of a server are on is counted once.
fn space(info: &Info) -> (u64, u64) {
    let mut space = (0, 0);
    for server in &info.servers {
        let mut seen = BTreeSet::new();
        for drive in &server.drives {
            if drive.device.is_none_or(|device| seen.insert(device)) {
                space = (space.0 + drive.used_bytes, space.1 + drive.total_bytes);
            }
        }
    }
    space
}

fn drives(info: &Info) -> impl Iterator<Item = &Drive> {
    info.servers.iter().flat_map(|server| &server.drives)
}

fn state(info: &Info) -> &'static str {
    match info.mode {
        Mode::Online if info.backend.offline_disks == 0 => "online",
        Mode::Online => "online, with drives missing",
        Mode::ReadOnly => "read only: too few drives for writes",
        Mode::Offline => "offline: too few drives for reads",
    }
}

fn list(text: &mut String, info: &Info) {
    let width = drives(info)
        .map(|drive| drive.path.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    let _ = writeln!(
        text,
        "  {:<4} {:<6} {:<width$} {:>10} {:>10} {:>12}  State",
        "Set", "Place", "Drive", "Used", "Size", "Free inodes"
    );
    for drive in drives(info) {
        let (set, place) = (drive.set_index + 1, drive.disk_index + 1);
        let space = |bytes: u64| {
            if drive.total_bytes == 0 {
                "-".to_owned()
            } else {
                size::format(bytes)
            }
        };
        let (used, total) = (space(drive.used_bytes), space(drive.total_bytes));
        let inodes = match drive.used_inodes + drive.free_inodes {
            0 => "-".to_owned(),
            _ => drive.free_inodes.to_string(),
        };
        let (path, state) = (&drive.path, &drive.state);
        let reason = drive
            .reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "  {set:<4} {place:<6} {path:<width$} {used:>10} {total:>10} {inodes:>12}  {state}{reason}"
        );
    }
}

/// The two largest units that say something.
fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (1, _, _) => format!("1 day {hours} h"),
        _ => format!("{days} days {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{Backend, Count, Server};
    use std::collections::BTreeMap;

    fn drive(number: usize, reason: Option<&str>) -> Drive {
        let (total_bytes, free_bytes) = if reason.is_none() { (4 << 40, 3 << 40) } else { (0, 0) };
        Drive {
            endpoint: format!("/mnt/drive{number}"),
            path: format!("/mnt/drive{number}"),
            healing: false,
            local: true,
            state: if reason.is_none() { "ok" } else { "offline" }.into(),
            reason: reason.map(str::to_owned),
            total_bytes,
            used_bytes: total_bytes - free_bytes,
            free_bytes,
            used_inodes: total_bytes >> 16,
            free_inodes: free_bytes >> 16,
            device: None,
            pool_index: 0,
            set_index: 0,
            disk_index: number - 1,
        }
    }

    fn info() -> Info {
        Info {
            mode: Mode::Online,
            deployment_id: "6fa1b3c4-0000-4000-8000-0123456789ab".into(),
            buckets: Count {
                count: Some(3),
                error: None,
            },
            backend: Backend {
                backend_type: "Erasure".into(),
                online_disks: 3,
                offline_disks: 1,
                standard_parity: 2,
                reduced_parity: 1,
                total_sets: vec![1],
                total_drives_per_set: vec![4],
                read_quorum: 2,
                write_quorum: 3,
            },
            servers: vec![Server {
                state: "online".into(),
                endpoint: "127.0.0.1:9000".into(),
                uptime: 3 * 86_400 + 7_200,
                version: "0.1.0".into(),
                network: BTreeMap::new(),
                pool_numbers: vec![1],
                reason: None,
                clock_ahead_ms: None,
                drives: vec![
                    drive(1, None),
                    drive(2, Some("cannot find /mnt/drive2/.minio.sys/format.json: no such file")),
                    drive(3, None),
                    drive(4, None),
                ],
            }],
        }
    }

    #[test]
    fn a_drive_is_missing() {
        insta::assert_snapshot!("info", of(&info()));
    }

    #[test]
    fn too_few_drives() {
        let mut info = info();
        (info.mode, info.backend.online_disks, info.backend.offline_disks) = (Mode::Offline, 1, 3);
        info.buckets = Count {
            count: None,
            error: Some("too few drives answer".into()),
        };
        let text = of(&info);
        for line in [
            "  State      offline: too few drives for reads",
            "  Buckets    unknown: too few drives answer",
        ] {
            assert!(text.lines().any(|own| own == line), "{text}");
        }
    }

    #[test]
    fn several_nodes() {
        let mut info = info();
        let other = |port: u16, reason: Option<&str>, clock_ahead_ms| Server {
            state: if reason.is_none() { "online" } else { "offline" }.into(),
            endpoint: format!("127.0.0.1:{port}"),
            uptime: 0,
            version: String::new(),
            drives: Vec::new(),
            reason: reason.map(str::to_owned),
            clock_ahead_ms,
            ..info.servers[0].clone()
        };
        let (lost, fast) = (
            other(9001, Some("connection refused"), None),
            other(9002, None, Some(3100)),
        );
        info.servers.extend([lost, fast]);
        insta::assert_snapshot!(of(&info));
    }

    #[test]
    fn the_space_of_a_device_counts_once() {
        let mut info = info();
        for drive in &mut info.servers[0].drives {
            drive.device = (drive.total_bytes > 0).then_some(7);
        }
        assert_eq!(space(&info), (1 << 40, 4 << 40));
    }

    #[test]
    fn uptimes() {
        let expected = [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (7_259, "2 h 0 min"),
            (86_400, "1 day 0 h"),
            (200_000, "2 days 7 h"),
        ];
        for (seconds, text) in expected {
            assert_eq!(uptime(seconds), text);
        }
    }
}
