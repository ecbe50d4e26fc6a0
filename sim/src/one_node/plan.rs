//! What a seed does to its node: the drives, which of them may be struck, and how hard.
//!
//! Swarm: every seed switches some faults off and weights the others wildly, so that rare meetings of faults
//! are not drowned by the usual ones.
//!
//! # Which drives may be struck
//!
//! Lost shards are not rebuilt yet, so what a drive has missed it misses for good. Of each erasure set a seed
//! picks *victims*, which may lose what they hold (rot, wipe), and *absentees*, which may miss what happens
//! (they hang, fill up, fail, are pulled or cut off). An acknowledged version is on S drives, at least W of
//! them. It must stay on K drives that are no victims:
//!
//! - with at most W − K victims it is, whatever is absent;
//! - with up to M victims it is if only victims are ever absent: then S holds every other drive, N − M = K.
//!
//! A vote is on A drives or more. Until all votes are settled, the loss of more than N − A indexes would leave
//! a key that nobody can decide, so until then only the first victim may lose its index; afterwards every drive
//! that is no victim knows what is chosen, and Q = N − A + 1 of them suffice to read.

use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::Duration,
};
use model::protocol::write_quorum;

/// Whether drives keep their word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was synced stays.
    Honest,
    /// One drive of a set says that it synced and does not.
    Lying,
}

/// The drives that a seed may strike, by index of the node's drives.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    /// They may lose what they hold.
    pub victims: Vec<usize>,
    /// They may miss what happens.
    pub absentees: Vec<usize>,
}

/// What can go wrong with a drive while the node works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Hang,
    Slow,
    ReadErrors,
    WriteErrors,
    SyncErrors,
    ReadFlips,
    Full,
    Pull,
    ClockStep,
}

const FAULTS: [Fault; 9] = [
    Fault::Hang,
    Fault::Slow,
    Fault::ReadErrors,
    Fault::WriteErrors,
    Fault::SyncErrors,
    Fault::ReadFlips,
    Fault::Full,
    Fault::Pull,
    Fault::ClockStep,
];

/// What a seed does.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub drives: usize,
    pub set_size: usize,
    pub parity: u8,
    pub sets: Vec<Budget>,
    pub lives: u32,
    pub life_max: Duration,
    /// Between a client's operations.
    pub pause_max: Duration,
    pub clients: usize,
    /// Faults that are on, with weights; and how long it is quiet between them.
    pub faults: Vec<(Fault, u32)>,
    pub quiet_max: Duration,
    /// Chances, at the end of a life.
    pub cut: f64,
    pub power: f64,
    pub index_rot: f64,
    pub data_rot: f64,
    pub wipe: f64,
    pub swap: f64,
    pub late_drive: f64,
    /// Chance that a commit's client goes away in the middle.
    pub vanish: f64,
    /// Chance that an operation is one on an upload.
    pub uploads: f64,
    /// Whether what the last life left is finished beside the clients, or before them.
    pub recover_beside: bool,
    /// Whether keys are written once more when the faults are over, and whether on full drives.
    pub progress: bool,
    pub full_at_the_end: bool,
    /// Interval of the checks for a compaction, which is made for little then.
    pub compaction: Option<Duration>,
    /// Most rows of an index's log, if few: checkpoints are frequent then.
    pub log_rows: Option<usize>,
}

impl Plan {
    /// Draws a plan.
    pub fn draw(kind: Kind) -> Plan {
        let mut rng = thread_rng();
        let (drives, set_size, parity) = match (kind, rng.gen_range(0..100)) {
            (Kind::Lying, _) | (_, 0..60) => (4, 4, 2),
            (_, 60..72) => (8, 4, 2),
            (_, 72..86) => (4, 4, 1),
            _ => (1, 1, 0),
        };
        let sets = (0..drives / set_size).map(|set| budget(kind, set * set_size, set_size, parity));
        let sets = sets.collect();
        let mut faults = FAULTS.to_vec();
        faults.shuffle(&mut rng);
        faults.truncate(if rng.gen_bool(0.3) { 0 } else { rng.gen_range(1..=4) });
        let faults: Vec<_> = faults
            .into_iter()
            .map(|fault| (fault, 1 << rng.gen_range(0..6)))
            .collect();
        let life_max = Duration::from_millis(match (faults.is_empty(), rng.gen_range(0..10)) {
            (true, _) | (_, 0..6) => 1500,
            (_, 6..9) => 6_000,
            _ => 40_000,
        });
        let mut chance = |on: f64| {
            if rng.gen_bool(on) {
                rng.gen_range(0.05..0.9)
            } else {
                0.0
            }
        };
        let (cut, power) = (chance(0.6), 1.0 - chance(0.5));
        let (index_rot, data_rot) = (chance(0.3), chance(0.6));
        let (wipe, swap, late_drive) = (chance(0.15), chance(0.1), chance(0.15));
        let (vanish, uploads) = (chance(0.3) * 0.3, chance(0.5) * 0.4);
        Plan {
            kind,
            drives,
            set_size,
            parity,
            sets,
            lives: rng.gen_range(2..6),
            life_max,
            pause_max: life_max / 50,
            clients: rng.gen_range(2..=5),
            quiet_max: life_max / [3, 10, 50][rng.gen_range(0..3)],
            faults,
            cut,
            power,
            index_rot,
            data_rot,
            wipe,
            swap,
            late_drive,
            vanish,
            uploads,
            recover_beside: rng.gen_bool(0.4),
            progress: rng.gen_bool(0.4),
            full_at_the_end: rng.gen_bool(0.3),
            compaction: rng.gen_bool(0.25).then(|| life_max / rng.gen_range(3..30)),
            log_rows: rng.gen_bool(0.5).then(|| rng.gen_range(0..200)),
        }
    }

    /// Returns whether a fault is on.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|(on, _)| *on == fault)
    }

    /// All drives that may miss what happens.
    pub fn absentees(&self) -> Vec<usize> {
        self.sets.iter().flat_map(|set| set.absentees.clone()).collect()
    }

    /// All drives that may lose what they hold.
    pub fn victims(&self) -> Vec<usize> {
        self.sets.iter().flat_map(|set| set.victims.clone()).collect()
    }

    /// The drives that may lose their index before all is settled: one of each set.
    pub fn index_victims(&self) -> Vec<usize> {
        self.sets
            .iter()
            .filter_map(|set| set.victims.first().copied())
            .collect()
    }
}

/// See the module's comment.
fn budget(kind: Kind, first: usize, set_size: usize, parity: u8) -> Budget {
    let mut rng = thread_rng();
    let mut drives: Vec<usize> = (first..first + set_size).collect();
    drives.shuffle(&mut rng);
    let data = set_size as u8 - parity;
    let spare = usize::from(write_quorum(data, parity) - data);
    let victims = match kind {
        Kind::Honest => rng.gen_range(0..=usize::from(parity)),
        Kind::Lying => 1,
    };
    let victims = drives[..victims].to_vec();
    let absentees = if victims.len() > spare { victims.clone() } else { drives };
    Budget { victims, absentees }
}
