//! Plan of a seed: the nodes and their drives, and which faults strike how often.
//!
//! Swarm testing, as in the scenario of one node: every seed switches some faults off and weights the others wildly.
//!
//! No drive loses what it holds for good, except victims of each set whose shards may rot: lost shards are not
//! rebuilt yet, and an acknowledged version is on W drives, of which K suffice (`one_node/plan.rs` says why). A drive
//! may miss any write, and any number of nodes may be away at a time: what is acknowledged must be read once all are
//! back.

use crate::workload::Settings;
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::Duration,
};
use model::protocol::{Quorums, write_quorum};
use std::ops::Range;

/// Fault of a node, of the network between nodes, or of a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed, and starts again later.
    Kill,
    /// A host loses its power, and gets it back later.
    PowerOff,
    /// A process is stopped for a while, and goes on.
    Pause,
    /// Nothing goes between two groups of nodes.
    Partition,
    /// Nothing goes from one node to another, while the other direction works.
    OneWay,
    /// A link becomes slow, and narrow.
    SlowLink,
    /// Connections between two nodes are reset.
    Reset,
    /// A clock steps by up to 3 s, and runs fast or slow.
    Clock,
    DriveHangs,
    DriveSlow,
    ReadErrors,
    ReadFlips,
    WriteErrors,
    SyncErrors,
    /// A drive is unmounted, and mounted again later. Where there are several sets, often several drives of one.
    Pull,
    /// Drives of two nodes are swapped, or an empty one or one of another deployment takes the place of a drive; a
    /// later life of the node has the right one.
    WrongDrive,
    /// A victim's shards rot.
    Rot,
}

/// Every fault.
pub const FAULTS: [Fault; 17] = [
    Fault::Kill,
    Fault::PowerOff,
    Fault::Pause,
    Fault::Partition,
    Fault::OneWay,
    Fault::SlowLink,
    Fault::Reset,
    Fault::Clock,
    Fault::DriveHangs,
    Fault::DriveSlow,
    Fault::ReadErrors,
    Fault::ReadFlips,
    Fault::WriteErrors,
    Fault::SyncErrors,
    Fault::Pull,
    Fault::WrongDrive,
    Fault::Rot,
];

impl Fault {
    /// Returns whether it befalls a drive.
    pub fn is_of_drive(self) -> bool {
        use Fault::{DriveHangs, DriveSlow, Pull, ReadErrors, ReadFlips, Rot, SyncErrors, WriteErrors, WrongDrive};
        matches!(
            self,
            DriveHangs | DriveSlow | ReadErrors | ReadFlips | WriteErrors | SyncErrors | Pull | WrongDrive | Rot
        )
    }
}

/// Parameters of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: u32,
    pub drives_per_node: usize,
    pub set_size: usize,
    pub parity: u8,
    /// Drives of which shards may rot, by their place in the deployment: some of each set.
    pub victims: Vec<usize>,
    /// Enabled faults with their weights.
    pub faults: Vec<(Fault, u32)>,
    /// Faults that are in effect at once, at most.
    pub strikers: usize,
    /// Longest quiet time between two faults of a striker.
    pub quiet_max: Duration,
    /// Time for which faults strike.
    pub length: Duration,
    /// Clients on each node.
    pub clients: usize,
    /// Longest pause between a client's operations.
    pub pause_max: Duration,
    pub vanish: f64,
    pub uploads: f64,
    /// The one node that is ever stopped; any is without one.
    pub hung: Option<u32>,
    /// Clients are hosts that speak S3 to the nodes. As `tls`, it follows from the seed alone.
    pub http: bool,
    /// Nodes speak TLS.
    pub tls: bool,
}

impl Plan {
    /// Draws the plan of a seed.
    pub fn draw(seed: u64) -> Plan {
        let mut rng = thread_rng();
        let (nodes, drives_per_node, set_size, parity) = match rng.gen_range(0..100) {
            0..60 => (4, 1, 4, 2),
            60..73 => (2, 2, 4, 2),
            73..80 => (2, 4, 4, 2),
            80..87 => (4, 4, 16, 4),
            87..93 => (4, 4, 16, 8),
            _ => (4, 2, 4, 2),
        };
        let sets = nodes as usize * drives_per_node / set_size;
        let victims = (0..sets)
            .flat_map(|set| victims(set * set_size, set_size, parity))
            .collect();
        let mut faults = FAULTS.to_vec();
        faults.shuffle(&mut rng);
        faults.truncate(if rng.gen_bool(0.1) { 0 } else { rng.gen_range(1..=6) });
        // What one set does without another is rare else.
        if sets > 1 && !faults.is_empty() && !faults.contains(&Fault::Pull) && rng.gen_bool(0.5) {
            faults.push(Fault::Pull);
        }
        let faults = faults.into_iter().map(|fault| (fault, 1 << rng.gen_range(0..6)));
        let faults = faults.collect();
        let length = Duration::from_millis(match rng.gen_range(0..10) {
            0..5 => 3_000,
            5..9 => 15_000,
            _ => 90_000,
        });
        let mut chance = |on: f64, most: f64| {
            if rng.gen_bool(on) {
                rng.gen_range(0.05..most)
            } else {
                0.0
            }
        };
        let (vanish, uploads) = (chance(0.3, 0.3), chance(0.5, 0.4));
        Plan {
            nodes,
            drives_per_node,
            set_size,
            parity,
            victims,
            faults,
            strikers: rng.gen_range(1..=3),
            quiet_max: length / [3, 10, 30][rng.gen_range(0..3)],
            length,
            clients: rng.gen_range(1..=3),
            pause_max: length / rng.gen_range(10..50),
            vanish,
            uploads,
            hung: rng.gen_bool(0.5).then(|| rng.gen_range(1..=nodes)),
            http: seed % 10 == 7,
            tls: seed % 10 == 3,
        }
    }

    /// Number of drives of the deployment.
    pub fn drives(&self) -> usize {
        self.nodes as usize * self.drives_per_node
    }

    /// Drives of each erasure set, by their places: those that are given one after the other.
    pub fn sets(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (drives, set_size) = (self.drives(), self.set_size);
        (0..drives / set_size).map(move |set| set * set_size..(set + 1) * set_size)
    }

    /// Returns what clients depend on.
    pub fn settings(&self) -> Settings {
        Settings {
            lies: false,
            vanish: self.vanish,
            uploads: self.uploads,
            over_http: self.http,
        }
    }

    /// Returns whether a fault is enabled.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|(on, _)| *on == fault)
    }

    /// Returns whether operations need no drive of one node, whichever it is.
    pub fn spares_a_node(&self) -> bool {
        let drives = self.set_size as u8;
        let left = drives - self.set_size.div_ceil(self.nodes as usize) as u8;
        left >= write_quorum(drives - self.parity, self.parity).max(Quorums::of(drives).accept)
    }

    /// Returns whether a version that W drives hold can be read without those of one node.
    pub fn spares_a_writer(&self) -> bool {
        let data = self.set_size as u8 - self.parity;
        let of_node = self.set_size.div_ceil(self.nodes as usize) as u8;
        write_quorum(data, self.parity) >= data + of_node
    }

    /// Node and path of a drive, by its place in the deployment: neighbours of a set are on different nodes.
    pub fn place(&self, drive: usize) -> (u32, String) {
        let nodes = self.nodes as usize;
        (1 + (drive % nodes) as u32, format!("/d{}", drive / nodes + 1))
    }
}

/// Draws the victims of a set, as the module's documentation says.
fn victims(first: usize, set_size: usize, parity: u8) -> Vec<usize> {
    let mut rng = thread_rng();
    let data = set_size as u8 - parity;
    let spare = usize::from(write_quorum(data, parity) - data);
    let mut drives: Vec<usize> = (first..first + set_size).collect();
    drives.shuffle(&mut rng);
    drives.truncate(rng.gen_range(0..=spare));
    drives
}
