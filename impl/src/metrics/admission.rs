//! Statistics of admission control.

use super::{Kind, Text};

/// Resource that a request may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Slot of a request that is being served.
    Slot,
    /// Memory for a stream, a listing or XML.
    Memory,
}

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 2] = [Resource::Slot, Resource::Memory];

    fn name(self) -> &'static str {
        match self {
            Resource::Slot => "slot",
            Resource::Memory => "memory",
        }
    }
}

/// Statistics of waiting for one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Requests that wait for it now.
    pub waiting: u64,
    /// Requests that were told to slow down because they did not get it in time.
    pub refused: u64,
}

/// A server's limits at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdmissionStats {
    /// Requests that have come, let in or not.
    pub incoming: u64,
    /// Requests that are being served.
    pub slots_used: u64,
    /// Limit of concurrent requests.
    pub slots_limit: u64,
    /// Memory that requests hold, in bytes, with what was set aside for the first of those that wait.
    pub memory_used_bytes: u64,
    /// Limit of their memory in bytes.
    pub memory_limit_bytes: u64,
    /// Waiting for slots.
    pub slot: QueueStats,
    /// Waiting for memory.
    pub memory: QueueStats,
}

impl AdmissionStats {
    fn queue(&self, want: Resource) -> QueueStats {
        match want {
            Resource::Slot => self.slot,
            Resource::Memory => self.memory,
        }
    }

    /// Writes all of it.
    pub fn write(&self, text: &mut Text) {
        let help = "Requests that have come, whether they were let in or not.";
        text.counter("minio_s3_requests_incoming_total", help, self.incoming);
        let waiting: u64 = Resource::ALL.iter().map(|want| self.queue(*want).waiting).sum();
        let help = "Requests that wait for their turn.";
        text.gauge("minio_s3_requests_waiting_total", help, waiting);
        let help = "Requests that wait, by what for.";
        let mut family = text.family("impl_s3_requests_waiting_total", Kind::Gauge, help);
        for want in Resource::ALL {
            family.sample(&[("want", want.name())], self.queue(want).waiting);
        }
        let help = "Requests that were answered SlowDown, by what they had waited for.";
        let mut family = text.family("impl_s3_requests_refused_total", Kind::Counter, help);
        for want in Resource::ALL {
            family.sample(&[("want", want.name())], self.queue(want).refused);
        }
        for (name, help, value) in [
            (
                "impl_s3_slots_used_total",
                "Requests that are being served.",
                self.slots_used,
            ),
            (
                "impl_s3_slots_limit_total",
                "Requests that may be served at once.",
                self.slots_limit,
            ),
            (
                "impl_s3_memory_used_bytes",
                "Memory that requests hold or are about to get.",
                self.memory_used_bytes,
            ),
            (
                "impl_s3_memory_limit_bytes",
                "Memory that requests may hold together.",
                self.memory_limit_bytes,
            ),
        ] {
            text.gauge(name, help, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written() {
        let room = AdmissionStats {
            incoming: 9,
            slots_used: 3,
            slots_limit: 4,
            memory_used_bytes: 5,
            memory_limit_bytes: 6,
            slot: QueueStats { waiting: 1, refused: 7 },
            memory: QueueStats { waiting: 2, refused: 8 },
        };
        let mut text = Text::new();
        room.write(&mut text);
        let text = text.finish();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "minio_s3_requests_incoming_total 9",
                "minio_s3_requests_waiting_total 3",
                "impl_s3_requests_waiting_total{want=\"slot\"} 1",
                "impl_s3_requests_waiting_total{want=\"memory\"} 2",
                "impl_s3_requests_refused_total{want=\"slot\"} 7",
                "impl_s3_requests_refused_total{want=\"memory\"} 8",
                "impl_s3_slots_used_total 3",
                "impl_s3_slots_limit_total 4",
                "impl_s3_memory_used_bytes 5",
                "impl_s3_memory_limit_bytes 6",
            ]
        );
    }
}
