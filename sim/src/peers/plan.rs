//! Draws from the seed what happens in a run: which faults strike, how often and for how long, and what clients do.

use madsim::rand::{Rng, seq::SliceRandom, thread_rng};
use std::time::Duration;

/// Fault of the network, of a process or of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A link is cut in one direction.
    CutOneWay,
    /// Some hosts are cut off from the others.
    Partition,
    /// A link has a high latency.
    Slow,
    /// A link has a low bandwidth.
    Narrow,
    /// All connections between two hosts are reset.
    Reset,
    /// A process is killed and started again.
    Kill,
    /// A host loses its power and gets it back.
    PowerOff,
    /// A process is stopped for less time than ends its connections.
    Pause,
    /// A process is stopped for up to some minutes.
    LongPause,
    /// A wall clock steps, which nothing here may notice.
    Clock,
}

const FAULTS: [Fault; 10] = [
    Fault::CutOneWay,
    Fault::Partition,
    Fault::Slow,
    Fault::Narrow,
    Fault::Reset,
    Fault::Kill,
    Fault::PowerOff,
    Fault::Pause,
    Fault::LongPause,
    Fault::Clock,
];

/// What happens in a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Faults with their weights.
    pub faults: Vec<(Fault, u32)>,
    /// Faults at a time.
    pub gremlins: usize,
    /// Longest time between two faults.
    pub quiet_max: Duration,
    /// Longest time of a fault.
    pub fault_max: Duration,
    /// Time in which faults strike.
    pub life: Duration,
    /// Clients of each host.
    pub clients: usize,
    /// Longest pause of a client between its calls.
    pub pause_max: Duration,
    /// Most small calls that a client makes at once.
    pub burst_max: usize,
    /// Part of the calls that are bulk calls, and whose caller goes away.
    pub bulk: f64,
    pub dropped: f64,
    /// Most bytes of a bulk call.
    pub bulk_bytes_max: usize,
    /// Shortest and longest wait for an answer.
    pub waits: (Duration, Duration),
    /// Largest drift of a clock, in parts per million.
    pub drift_ppm_max: i32,
}

impl Plan {
    /// Draws a plan.
    pub(super) fn draw() -> Plan {
        let rng = &mut thread_rng();
        let faults = FAULTS.into_iter().filter(|_| rng.gen_bool(0.6)).collect::<Vec<_>>();
        let faults = faults.into_iter().map(|fault| (fault, 1 << rng.gen_range(0..6)));
        Plan {
            faults: faults.collect(),
            gremlins: rng.gen_range(1..=2),
            quiet_max: of(&[200, 2_000, 10_000].map(Duration::from_millis)),
            fault_max: of(&[300, 3_000, 20_000].map(Duration::from_millis)),
            life: of(&[10, 30, 60].map(Duration::from_secs)),
            clients: rng.gen_range(1..=2),
            pause_max: of(&[50, 500, 3_000].map(Duration::from_millis)),
            burst_max: of(&[1, 3, 20]),
            bulk: of(&[0.0, 0.05, 0.3]),
            dropped: of(&[0.0, 0.2]),
            bulk_bytes_max: of(&[10_000, 200_000, 4_000_000]),
            waits: {
                let (min, max) = of(&[(10, 1_000), (500, 20_000), (10, 20_000)]);
                (Duration::from_millis(min), Duration::from_millis(max))
            },
            drift_ppm_max: of(&[1, 100, 1_000]),
        }
    }
}

/// One of several values, by chance.
pub(super) fn of<T: Clone>(values: &[T]) -> T {
    values.choose(&mut thread_rng()).expect("there are some").clone()
}
