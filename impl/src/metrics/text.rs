//! The text format that Prometheus scrapes, version 0.0.4.

use crate::stats::Snapshot;
use std::fmt::{Display, Write};

/// The media type of what [`Text`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Monotonic until the process ends.
    Counter,
    /// Current value.
    Gauge,
}

/// A document in the making. Writing to a `String` cannot fail.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    /// A label that every sample gets.
    common: Option<(&'static str, String)>,
}

impl Text {
    /// An empty document.
    #[must_use]
    pub fn new() -> Text {
        Text::default()
    }

    /// Adds a label to every sample from here on.
    pub fn set_common(&mut self, name: &'static str, value: &str) {
        self.common = Some((name, value.to_owned()));
    }

    /// Begins a family. Its samples follow, and no other family has its name.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, kind, help);
        Family { text: self, name }
    }

    /// A family of one gauge without labels of its own.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// A family of one counter without labels of its own.
    pub fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// Begins a family of histograms.
    pub fn histograms(&mut self, name: &'static str, help: &str) -> Histograms<'_> {
        self.head(name, "histogram", help);
        Histograms { text: self, name }
    }

    /// The document.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, ending: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{name}{ending}");
        let common = self.common.as_ref().map(|(name, value)| (*name, value.as_str()));
        let mut before = '{';
        for (label, value) in common.iter().chain(labels) {
            let _ = write!(self.text, "{before}{label}=\"{}\"", escape(value));
            before = ',';
        }
        let close = if before == ',' { "}" } else { "" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

/// A family whose samples are being written.
pub struct Family<'a> {
    text: &'a mut Text,
    name: &'static str,
}

impl Family<'_> {
    /// Writes a sample. `labels` tell it from the others of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.sample(self.name, "", labels, value);
    }

    /// The counts of a histogram of durations as plain samples that a label `le` tells apart.
    pub fn distribution(&mut self, labels: &[(&str, &str)], snapshot: &Snapshot) {
        for (bound, count) in buckets(snapshot, MICROS) {
            self.sample(&[labels, &[("le", &bound)]].concat(), count);
        }
    }
}

/// A family of histograms that are being written.
pub struct Histograms<'a> {
    text: &'a mut Text,
    name: &'static str,
}

impl Histograms<'_> {
    /// Writes a histogram of durations, in seconds.
    pub fn durations(&mut self, labels: &[(&str, &str)], snapshot: &Snapshot) {
        self.one(labels, snapshot, MICROS);
    }

    /// Writes a histogram of sizes.
    pub fn sizes(&mut self, labels: &[(&str, &str)], snapshot: &Snapshot) {
        self.one(labels, snapshot, 1.0);
    }

    fn one(&mut self, labels: &[(&str, &str)], snapshot: &Snapshot, scale: f64) {
        for (bound, count) in buckets(snapshot, scale) {
            let labels = [labels, &[("le", &bound)]].concat();
            self.text.sample(self.name, "_bucket", &labels, count);
        }
        self.text.sample(self.name, "_sum", labels, scaled(snapshot.sum, scale));
        self.text.sample(self.name, "_count", labels, snapshot.count());
    }
}

/// Parts of a second that a duration is counted in.
const MICROS: f64 = 1e6;

/// The bounds, as labels write them, and how many values were at most each.
fn buckets(snapshot: &Snapshot, scale: f64) -> impl Iterator<Item = (String, u64)> {
    let bounds = snapshot
        .bounds
        .iter()
        .map(move |bound| scaled(*bound, scale).to_string());
    let bounds = bounds.chain(["+Inf".to_owned()]);
    bounds.zip(snapshot.cumulative.iter().copied())
}

#[allow(
    clippy::cast_precision_loss,
    reason = "what is shown has more digits than anybody reads"
)]
fn scaled(value: u64, scale: f64) -> f64 {
    value as f64 / scale
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Histogram;

    #[test]
    fn families_and_labels() {
        let mut text = Text::new();
        text.gauge("a_total", "How many.", 3);
        text.set_common("server", "127.0.0.1:9000");
        let mut family = text.family("b_bytes", Kind::Counter, "Bytes.");
        family.sample(&[("drive", "/mnt/a \"b\"\\c\nd")], 1u64 << 60);
        family.sample(&[], 0.25);
        assert_eq!(
            text.finish(),
            "# HELP a_total How many.\n# TYPE a_total gauge\na_total 3\n\
             # HELP b_bytes Bytes.\n# TYPE b_bytes counter\n\
             b_bytes{server=\"127.0.0.1:9000\",drive=\"/mnt/a \\\"b\\\"\\\\c\\nd\"} 1152921504606846976\n\
             b_bytes{server=\"127.0.0.1:9000\"} 0.25\n"
        );
    }

    #[test]
    fn histograms_are_cumulative() {
        let histogram = Histogram::of_durations();
        histogram.observe(600);
        histogram.observe(1_500_000);
        let mut text = Text::new();
        text.histograms("t_seconds", "Time.")
            .durations(&[("drive", "d")], &histogram.snapshot());
        let text = text.finish();
        for line in [
            "# TYPE t_seconds histogram",
            "t_seconds_bucket{drive=\"d\",le=\"0.0005\"} 0",
            "t_seconds_bucket{drive=\"d\",le=\"0.001\"} 1",
            "t_seconds_bucket{drive=\"d\",le=\"1\"} 1",
            "t_seconds_bucket{drive=\"d\",le=\"2.5\"} 2",
            "t_seconds_bucket{drive=\"d\",le=\"+Inf\"} 2",
            "t_seconds_sum{drive=\"d\"} 1.5006",
            "t_seconds_count{drive=\"d\"} 2",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
