//! Plan of a seed: the node's drives, which of them may be struck by faults, and how hard.
//!
//! Swarm testing: every seed switches some faults off and weights the others wildly, so that rare combinations are
//! not drowned by the usual ones.
//!
//! # Drives that may be struck
//!
//! Lost shards are not rebuilt yet, so a drive lacks for good what it has missed. Of each erasure set a seed picks
//! *victims*, which may lose what they hold (rot, wipe), and *absentees*, which may miss writes (they hang, fill up,
//! fail, are removed or cut off). An acknowledged version is on a set S of at least W drives. It must stay on K drives
//! that are no victims:
//!
//! - with at most W − K victims it does, whichever drives are absent;
//! - with up to M victims it does if only victims are ever absent: then S holds every other drive, N − M = K.
//!
//! A vote is on A drives or more. Until all votes are settled, the loss of more than N − A indexes would leave a key
//! undecidable, so until then only the first victim may lose its index; afterwards every drive that is no victim
//! knows what is chosen, and Q = N − A + 1 of them suffice to read.

use crate::workload::Settings;
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::Duration,
};
use model::protocol::write_quorum;

/// Behaviour of syncs in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Synced data survives.
    Honest,
    /// One drive of a set reports syncs that it does not do.
    Lying,
}

/// Drives of a set that a seed may strike, by index of the node's drives.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    /// Drives that may lose what they hold.
    pub victims: Vec<usize>,
    /// Drives that may miss writes.
    pub absentees: Vec<usize>,
}

/// Fault of a drive, or of the clock, while the node runs.
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

/// Parameters of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub drives: usize,
    pub set_size: usize,
    pub parity: u8,
    pub sets: Vec<Budget>,
    pub lives: u32,
    pub life_max: Duration,
    /// Longest pause between a client's operations.
    pub pause_max: Duration,
    pub clients: usize,
    /// Enabled faults with their weights, and the longest quiet time between two.
    pub faults: Vec<(Fault, u32)>,
    pub quiet_max: Duration,
    /// Probabilities of faults at the end of a life, up to `late_drive`.
    pub cut: f64,
    pub power: f64,
    pub index_rot: f64,
    pub data_rot: f64,
    pub wipe: f64,
    pub swap: f64,
    pub late_drive: f64,
    /// True if each life ends with rot in the log of an index victim. No plan is drawn so: a focus sets it.
    pub log_rot: bool,
    /// Probability that a client cancels its commit.
    pub vanish: f64,
    /// Probability that an operation belongs to an upload.
    pub uploads: f64,
    /// True if recovery after the last life runs concurrently with the clients, not before them.
    pub recover_beside: bool,
    /// True if keys are written once more after the faults; `full_at_the_end`: and deleted on full drives before that.
    pub progress: bool,
    pub full_at_the_end: bool,
    /// Interval of the checks for a compaction; if set, little wasted space suffices for one.
    pub compaction: Option<Duration>,
    /// Row limit of an index's log; if set, it is low and checkpoints are frequent.
    pub log_rows: Option<usize>,
    /// True if the clients are hosts that speak S3 to the node; `link_faults`: and their network has faults. Both
    /// follow from the seed alone, so that they move no other draw.
    pub http: bool,
    pub link_faults: bool,
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
            log_rot: false,
            vanish,
            uploads,
            recover_beside: rng.gen_bool(0.4),
            progress: rng.gen_bool(0.4),
            full_at_the_end: rng.gen_bool(0.3),
            compaction: rng.gen_bool(0.25).then(|| life_max / rng.gen_range(3..30)),
            log_rows: rng.gen_bool(0.5).then(|| rng.gen_range(0..200)),
            http: false,
            link_faults: false,
        }
    }

    /// Returns what clients depend on.
    pub fn settings(&self) -> Settings {
        Settings {
            lies: self.kind == Kind::Lying,
            vanish: self.vanish,
            uploads: self.uploads,
            over_http: self.http,
        }
    }

    /// Returns whether a fault is enabled.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|(on, _)| *on == fault)
    }

    /// Returns how long a client waits for an answer over HTTP.
    pub fn patience(&self) -> Duration {
        self.life_max / 3
    }

    /// Returns all drives that may miss writes.
    pub fn absentees(&self) -> Vec<usize> {
        self.sets.iter().flat_map(|set| set.absentees.clone()).collect()
    }

    /// Returns all drives that may lose what they hold.
    pub fn victims(&self) -> Vec<usize> {
        self.sets.iter().flat_map(|set| set.victims.clone()).collect()
    }

    /// Returns the drives that may lose their index before all votes are settled: one of each set.
    pub fn index_victims(&self) -> Vec<usize> {
        self.sets
            .iter()
            .filter_map(|set| set.victims.first().copied())
            .collect()
    }
}

/// Draws victims and absentees of a set, as the module's documentation says.
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
