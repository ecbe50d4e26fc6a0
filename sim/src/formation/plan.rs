//! Plan of a seed: the nodes and their drives, what is in the way of the start, and which faults strike how often.
//!
//! No drive is wiped before the start is at its end, but those that are in the way: a first start promises nothing for
//! more than one of them (`specs/format.md`).

use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::Duration,
};
use model::protocol::Quorums;
use std::path::PathBuf;

/// Fault of a node, of the network, or of a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed, and starts again later.
    Kill,
    /// A host loses its power, and gets it back later.
    PowerOff,
    /// A host loses its power in the middle of what it writes to a drive.
    CutOff,
    /// A process is stopped for a while, and goes on.
    Pause,
    /// Nothing goes between two nodes.
    Partition,
    /// Nothing goes from one node to another.
    OneWay,
    /// A link becomes slow.
    SlowLink,
    /// Connections between two nodes are reset.
    Reset,
    /// Writes to a drive fail for a while; then its host loses its power.
    WriteErrors,
    /// Two drives of different nodes are mixed up, and put right later.
    Swap,
}

/// Every fault.
pub const FAULTS: [Fault; 10] = [
    Fault::Kill,
    Fault::PowerOff,
    Fault::CutOff,
    Fault::Pause,
    Fault::Partition,
    Fault::OneWay,
    Fault::SlowLink,
    Fault::Reset,
    Fault::WriteErrors,
    Fault::Swap,
];

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "a process is killed",
            Fault::PowerOff => "a host loses its power",
            Fault::CutOff => "a drive is cut off in the middle",
            Fault::Pause => "a process is stopped",
            Fault::Partition => "two nodes are cut off from each other",
            Fault::OneWay => "a node is cut off in one direction",
            Fault::SlowLink => "a link is slow",
            Fault::Reset => "connections are reset",
            Fault::WriteErrors => "a drive cannot be written",
            Fault::Swap => "two drives are mixed up",
        }
    }
}

/// What happens in some seeds.
pub const SOMETIMES: [&str; 12] = [
    "a node ends while drives are being begun",
    "a node ends while drives are being completed",
    "the leader ends in the middle, and what it began is gone on with",
    "a node completes its drives while the leader is away",
    "foreign data is taken away, and the deployment is formed",
    "what was begun elsewhere is taken over",
    "drives of another deployment are taken away, and the deployment is formed",
    "other settings are put right, and the deployment is formed",
    "a clock is put right, and the deployment is formed",
    "a node whose clock is off waits while others serve",
    "a wiped drive stays empty among those that serve",
    "a whole deployment starts with a wiped drive",
];

/// What is on a drive before the first start, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A file of somebody else.
    Foreign(usize),
    /// A format that was begun in a deployment of the same shape, in the same place. It is gone on with.
    Begun(usize),
    /// The same, in the place of another drive: it is refused.
    Misplaced(usize),
    /// Formats that were begun in two deployments: it is not known with which to go on.
    Divided(usize, usize),
}

/// Argument of a node that differs from that of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Parity,
    Region,
    /// It has twice as many drives.
    Drives,
    SetSize,
    /// It takes another node's place.
    Hosts,
    Secret,
}

/// Parameters of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: u32,
    pub drives: usize,
    pub set_size: usize,
    /// Longest time until a node starts for the first time.
    pub begin_max: Duration,
    /// Longest time that a drive takes for a job.
    pub job_max: Duration,
    pub obstacle: Option<Obstacle>,
    pub wrong: Option<(u32, Wrong)>,
    /// A node whose clock is off by so many nanoseconds until the faults are over.
    pub clock: Option<(u32, i64)>,
    /// Enabled faults with their weights.
    pub faults: Vec<(Fault, u32)>,
    /// Faults that are in effect at once, at most.
    pub strikers: usize,
    /// Probability that a fault waits until some drives have got further than others.
    pub aimed: f64,
    /// Probability that a fault strikes the leader.
    pub at_leader: f64,
    /// Longest quiet time between two faults of a striker.
    pub quiet_max: Duration,
    /// Time for which faults strike.
    pub length: Duration,
    /// Once all is formed, the clock of this node is off as it starts again.
    pub late_clock: Option<(u32, i64)>,
    /// Once all is formed this drive is wiped, by its place.
    pub wiped: Option<usize>,
    /// With it all nodes start again.
    pub all_restart: bool,
}

impl Plan {
    pub fn draw() -> Plan {
        let mut rng = thread_rng();
        let shapes = [
            (4, 4, 4),
            (4, 4, 4),
            (2, 4, 4),
            (2, 8, 4),
            (2, 8, 8),
            (3, 6, 6),
            (3, 12, 4),
            (4, 8, 8),
            (4, 8, 4),
        ];
        let (nodes, drives, set_size) = *shapes.choose(&mut rng).expect("there are shapes");
        let millis = |choices: &[u64]| {
            let chosen = choices.choose(&mut thread_rng()).expect("there are choices");
            Duration::from_millis(*chosen)
        };
        let node = || thread_rng().gen_range(1..=nodes);
        let drive = || thread_rng().gen_range(0..drives);
        let (mut obstacle, mut wrong, mut clock) = (None, None, None);
        match rng.gen_range(0..20) {
            0..3 => obstacle = Some(Obstacle::Foreign(drive())),
            3 => obstacle = Some(Obstacle::Begun(drive())),
            4 => obstacle = Some(Obstacle::Misplaced(drive())),
            5 => {
                let one = drive();
                let other = (one + rng.gen_range(1..drives)) % drives;
                obstacle = Some(Obstacle::Divided(one, other));
            }
            6..8 => {
                let wrongs = [
                    Wrong::Parity,
                    Wrong::Region,
                    Wrong::Drives,
                    Wrong::SetSize,
                    Wrong::Hosts,
                    Wrong::Secret,
                ];
                wrong = Some((node(), *wrongs.choose(&mut rng).expect("there are some")));
            }
            8 => clock = Some((node(), clock_off())),
            _ => {}
        }
        let mut faults = FAULTS.to_vec();
        // What is swapped with what was in the way is in the way elsewhere.
        faults.retain(|fault| *fault != Fault::Swap || obstacle.is_none());
        faults.shuffle(&mut rng);
        faults.truncate(if rng.gen_bool(0.05) { 0 } else { rng.gen_range(1..=6) });
        let faults = faults.into_iter().map(|fault| (fault, 1 << rng.gen_range(0..6)));
        let faults = faults.collect();
        let length = millis(&[1_000, 3_000, 3_000, 10_000, 30_000]);
        let mut plan = Plan {
            nodes,
            drives,
            set_size,
            begin_max: millis(&[0, 100, 1_000, 5_000]).min(length),
            job_max: millis(&[8, 8, 100, 1_000]),
            obstacle,
            wrong,
            clock,
            faults,
            strikers: rng.gen_range(1..=3),
            aimed: [0.0, 0.5, 0.9][rng.gen_range(0..3)],
            at_leader: [0.0, 0.4, 0.8][rng.gen_range(0..3)],
            quiet_max: length / [3, 10, 30][rng.gen_range(0..3)],
            length,
            late_clock: rng.gen_bool(0.3).then(|| (node(), clock_off())),
            wiped: rng.gen_bool(0.4).then(drive),
            all_restart: rng.gen_bool(0.5),
        };
        // What makes an answer slow hides a part of the difference: at most half of the time to dial, 5 s.
        let slow = [Fault::SlowLink, Fault::Pause, Fault::Partition, Fault::OneWay];
        if slow.into_iter().any(|fault| plan.has(fault)) {
            plan.clock = plan.clock.map(|(node, offset)| (node, 20 * offset));
        }
        if plan.late_clock.is_some_and(|(node, _)| plan.suffices(node)) {
            plan.late_clock = None;
        }
        plan
    }

    /// Node of a drive: neighbours of a set are on different nodes.
    pub fn node_of(&self, drive: usize) -> u32 {
        1 + (drive % self.nodes as usize) as u32
    }

    /// Folder of a drive at its node.
    pub fn path_of(&self, drive: usize) -> PathBuf {
        format!("/d{}", drive / self.nodes as usize + 1).into()
    }

    /// Returns one of a node's drives, by its place.
    pub fn drive_of(&self, node: u32) -> usize {
        let nodes = self.nodes as usize;
        let of_node = self.drives / nodes;
        node as usize - 1 + nodes * thread_rng().gen_range(0..of_node)
    }

    /// Returns whether a fault is enabled.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|(on, _)| *on == fault)
    }

    pub fn parity(&self) -> u8 {
        self.set_size as u8 / 2
    }

    /// Returns whether a node's own drives suffice to read an erasure set: then it serves without any other.
    fn suffices(&self, node: u32) -> bool {
        let needed = usize::from(Quorums::of(self.set_size as u8).prepare);
        (0..self.drives / self.set_size).any(|set| {
            let drives = set * self.set_size..(set + 1) * self.set_size;
            drives.filter(|drive| self.node_of(*drive) == node).count() >= needed
        })
    }

    /// Returns whether nothing may be written anywhere before what is in the way is put right.
    pub fn is_blocked(&self) -> bool {
        let obstacle = self
            .obstacle
            .is_some_and(|obstacle| !matches!(obstacle, Obstacle::Begun(_)));
        obstacle || self.wrong.is_some() || self.clock.is_some()
    }
}

/// Returns a difference of clocks that is refused, beside what a slow answer may hide.
fn clock_off() -> i64 {
    let off = *[3_100, 4_000, 60_000, 3_600_000]
        .choose(&mut thread_rng())
        .expect("some");
    let sign = if thread_rng().gen_bool(0.5) { 1 } else { -1 };
    sign * off * 1_000_000
}
