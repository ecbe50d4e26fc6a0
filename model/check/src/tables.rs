//! The tables of worlds and mutants in `specs/model.md` and `specs/mutants.md`.
//!
//! The rows of a table and their order come from the topic's lists. The figures in a row are those of the last full run
//! with `UPDATE_SPECS=1`, which writes them; without it, rows and figures are compared with the page. One thread always
//! gives the same figures except seconds; with two, they are compared with a tolerance.

use crate::explore::{Found, threads};
use crate::topic::Topic;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Placeholder for figures that no run has written yet.
const NONE_YET: &str = "?";
/// With two threads the number of states may differ by the page's divided by this. Values are compared by their names:
/// of states that are equal by names, but differ otherwise, the one that is found first is kept.
const STATES_TOLERANCE: u64 = 100;
/// Number of levels by which the depth may be lower with two threads, for the same reason. It may be higher by any
/// number: a thread that is ahead of the other reaches states on paths that are not shortest.
const DEPTH_TOLERANCE: u64 = 2;

/// Figures by the cells before them in their row.
pub type Figures = BTreeMap<String, Vec<String>>;

/// A table of a page, between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
pub struct Table {
    page: &'static str,
    name: String,
    head: &'static [&'static str],
    /// Number of columns with figures, which are the last ones.
    figures: usize,
    rows: Vec<Row>,
}

struct Row {
    /// All cells except the figures.
    key: String,
    /// True if the row is left out until it has figures.
    optional: bool,
}

impl Table {
    /// Creates a table from its page in `specs/`, its name, its columns, the number of last columns with figures, and
    /// its rows without these.
    #[must_use]
    pub fn new(
        page: &'static str,
        name: String,
        head: &'static [&'static str],
        figures: usize,
        rows: impl IntoIterator<Item = String>,
    ) -> Table {
        let rows = rows.into_iter().map(|key| Row { key, optional: false });
        Table {
            page,
            name,
            head,
            figures,
            rows: rows.collect(),
        }
    }

    /// Returns the table of a topic's worlds. Larger worlds have a star, and a row only once they were exhausted.
    #[must_use]
    pub fn of_worlds(topic: &Topic) -> Table {
        let (name, head) = (
            format!("worlds of {}", topic.name),
            &["configuration", "states", "depth", "s"],
        );
        let mut table = Table::new(
            "model.md",
            name,
            head,
            3,
            topic.worlds.iter().map(|world| world.bounds()),
        );
        table.rows.extend(topic.larger.iter().map(|world| Row {
            key: starred(&world.bounds()),
            optional: true,
        }));
        table
    }

    /// Returns the table of a topic's mutants: a row for each of the rules that must be found broken.
    #[must_use]
    pub fn of_mutants(topic: &Topic) -> Table {
        let searched = topic.mutants.iter().flat_map(|mutant| {
            let rules = mutant.rules.iter();
            rules.map(|rule| broken(mutant.name, &mutant.world.bounds(), rule))
        });
        let walked = topic.walked.iter().map(|mutant| mutant.row());
        let (name, head) = (
            format!("mutants of {}", topic.name),
            &["mutant", "bounds", "rule", "length", "s"],
        );
        Table::new("mutants.md", name, head, 2, searched.chain(walked))
    }

    /// Checks that the page has these rows, with any figures; with `UPDATE_SPECS=1` writes them.
    ///
    /// # Panics
    /// If a row is missing, superfluous or misplaced, or the page cannot be read.
    pub fn check_rows(&self) {
        if updates() {
            return self.write(&Figures::new());
        }
        let page = read(&mut open(self.page, false));
        let [_, written, _] = self.parts(&page);
        let wanted = self.text(&self.figures_of(written));
        let lines = |of: &str, but: &str| -> Vec<String> {
            let lines = of.lines().filter(|line| !but.lines().any(|other| other == *line));
            lines.map(str::to_owned).collect()
        };
        assert!(
            written == wanted,
            "the {} in specs/{} lack {:#?}, have {:#?} too many, or another order: UPDATE_SPECS=1 writes them",
            self.name,
            self.page,
            lines(&wanted, written),
            lines(written, &wanted)
        );
    }

    /// Compares measured figures with those of the page; with `UPDATE_SPECS=1` writes them.
    ///
    /// # Panics
    /// If `agrees` returns false for a row (its first argument is the page's figures), or the page cannot be read.
    pub fn enter(&self, measured: &Figures, agrees: fn(&[String], &[String]) -> bool) {
        if updates() {
            return self.write(measured);
        }
        let page = read(&mut open(self.page, false));
        let [_, written, _] = self.parts(&page);
        let written = self.figures_of(written);
        let others = measured.iter().filter_map(|(key, now)| {
            let optional = self.rows.iter().any(|row| row.key == *key && row.optional);
            match written.get(key) {
                Some(then) if agrees(then, now) => None,
                Some(then) => Some(format!(
                    "{key}: {} in the page, now {}",
                    then.join(", "),
                    now.join(", ")
                )),
                None => (!optional).then(|| format!("{key}: not in the page")),
            }
        });
        let others: Vec<String> = others.collect();
        assert_eq!(
            others, [""; 0],
            "the {} in specs/{}: UPDATE_SPECS=1 writes them",
            self.name, self.page
        );
    }

    /// Writes the rows into the page, with the measured figures, or else the page's own.
    fn write(&self, measured: &Figures) {
        let mut file = open(self.page, true);
        let page = read(&mut file);
        let [before, written, after] = self.parts(&page);
        let mut figures = self.figures_of(written);
        figures.extend(measured.clone());
        let text = [before, &self.text(&figures), after].concat();
        if text != page {
            let written = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.set_len(0))
                .and_then(|()| file.write_all(text.as_bytes()));
            written.expect("the page can be written");
        }
    }

    /// Splits a page: up to the table, the table, and the rest.
    fn parts<'a>(&self, page: &'a str) -> [&'a str; 3] {
        let (begin, end) = (
            format!("<!-- {}: begin -->\n", self.name),
            format!("<!-- {}: end -->\n", self.name),
        );
        let find = |mark: &str| {
            let at = page.find(mark);
            at.unwrap_or_else(|| panic!("specs/{} has no line {mark}", self.page))
        };
        let (start, end) = (find(&begin) + begin.len(), find(&end));
        [&page[..start], &page[start..end], &page[end..]]
    }

    fn figures_of(&self, table: &str) -> Figures {
        let rows = table
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        let figures = rows.map(|row| {
            let mut cells: Vec<String> = row.rsplitn(self.figures + 1, " | ").map(str::to_owned).collect();
            cells.reverse();
            (cells.remove(0), cells)
        });
        figures.collect()
    }

    fn text(&self, figures: &Figures) -> String {
        let mut text = format!("| {} |\n|{}\n", self.head.join(" | "), "---|".repeat(self.head.len()));
        for row in &self.rows {
            let known = figures.get(&row.key).cloned();
            let none_yet = || (!row.optional).then(|| vec![NONE_YET.to_owned(); self.figures]);
            if let Some(cells) = known.or_else(none_yet) {
                text += &format!("| {} | {} |\n", row.key, cells.join(" | "));
            }
        }
        text
    }
}

/// Returns the row of a larger world, without its figures.
pub(crate) fn starred(bounds: &str) -> String {
    format!("{bounds} *")
}

/// Returns a mutant's row without its figures.
pub(crate) fn broken(name: &str, bounds: &str, rule: &str) -> String {
    format!("{name} | {bounds} | `{rule}`")
}

/// Returns the figures of a world that was exhausted: states, depth, seconds.
pub(crate) fn figures_of_world(found: &Found) -> Vec<String> {
    let states = found.states.to_string();
    // Thousands separators: 12,345.
    let mut grouped = String::new();
    for (digit, left) in states.chars().zip((0..states.len()).rev()) {
        grouped.push(digit);
        if left > 0 && left % 3 == 0 {
            grouped.push(',');
        }
    }
    vec![grouped, found.depth.to_string(), format!("{:.1}", found.seconds)]
}

/// Returns whether the figures of a world agree with the page's, except for seconds.
pub(crate) fn is_same_world(then: &[String], now: &[String]) -> bool {
    is_same_world_with(threads(), then, now)
}

fn is_same_world_with(threads: usize, then: &[String], now: &[String]) -> bool {
    let number = |cell: &String| cell.replace(',', "").parse::<u64>().ok();
    let pair = |column: usize| number(&then[column]).zip(number(&now[column]));
    let (Some((states, states_now)), Some((depth, depth_now))) = (pair(0), pair(1)) else {
        return false;
    };
    if threads == 1 {
        return (states, depth) == (states_now, depth_now);
    }
    states.abs_diff(states_now) <= states / STATES_TOLERANCE && depth <= depth_now + DEPTH_TOLERANCE
}

/// Returns whether a counterexample is as long as the page says; with two threads, whether the page has a length.
pub(crate) fn is_same_mutant(then: &[String], now: &[String]) -> bool {
    has_figures(then, now) && (threads() > 1 || then[0] == now[0])
}

/// Returns whether a row has figures, of any value: for those that vary from run to run or with every change.
#[must_use]
pub fn has_figures(then: &[String], _: &[String]) -> bool {
    then.iter().all(|cell| cell != NONE_YET)
}

pub(crate) fn updates() -> bool {
    std::env::var_os("UPDATE_SPECS").is_some()
}

/// Opens a page, with a lock that is exclusive if it may be written: tests run in parallel.
#[allow(clippy::disallowed_methods, reason = "a file of the repository")]
fn open(page: &str, writes: bool) -> File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs").join(page);
    let file = OpenOptions::new().read(true).write(writes).open(path);
    let file = file.expect("the page can be opened");
    let locked = if writes { file.lock() } else { file.lock_shared() };
    locked.expect("the page can be locked");
    file
}

fn read(page: &mut File) -> String {
    let mut text = String::new();
    page.read_to_string(&mut text).expect("the page can be read");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&str], larger: &[&str]) -> Table {
        let head = &["configuration", "states", "depth", "s"];
        let rows = rows.iter().map(|row| (*row).to_owned());
        let mut table = Table::new("model.md", "worlds of test".to_owned(), head, 3, rows);
        table.rows.extend(larger.iter().map(|bounds| Row {
            key: starred(bounds),
            optional: true,
        }));
        table
    }

    #[test]
    fn figures_stay_with_their_rows() {
        let head = "| configuration | states | depth | s |\n|---|---|---|---|\n";
        let page = format!("{head}| gone | 1 | 2 | 0.3 |\n| a | b | 4,000 | 5 | 0.6 |\n");
        let table = table(&["new", "a | b"], &["larger"]);
        let mut figures = table.figures_of(&page);
        let kept = format!("{head}| new | ? | ? | ? |\n| a | b | 4,000 | 5 | 0.6 |\n");
        assert_eq!(table.text(&figures), kept);
        figures.insert("larger *".to_owned(), ["7", "8", "0.9"].map(str::to_owned).to_vec());
        assert_eq!(table.text(&figures), format!("{kept}| larger * | 7 | 8 | 0.9 |\n"));
    }

    #[test]
    fn a_table_lies_between_its_marks() {
        let page = "x\n<!-- worlds of test: begin -->\ny\n<!-- worlds of test: end -->\nz\n";
        let [before, table, after] = table(&[], &[]).parts(page);
        assert_eq!(table, "y\n");
        assert_eq!([before, table, after].concat(), page);
    }

    #[test]
    fn a_world_that_has_grown_is_noticed() {
        let cells = |cells: [&str; 3]| cells.map(str::to_owned);
        let same = |then, now| is_same_world_with(2, &cells(then), &cells(now));
        assert!(same(["12,345", "30", "1.0"], ["12,345", "30", "9.0"]));
        assert!(same(["100,000", "30", "1.0"], ["100,999", "41", "1.0"]));
        assert!(!same(["100,000", "30", "1.0"], ["101,001", "30", "1.0"]));
        assert!(!same(["100,000", "30", "1.0"], ["100,000", "27", "1.0"]));
        assert!(!same(["40", "3", "0.0"], ["41", "3", "0.0"]));
        assert!(!same(["?", "?", "?"], ["41", "3", "0.0"]));
        let same = |then, now| is_same_world_with(1, &cells(then), &cells(now));
        assert!(same(["100,000", "30", "1.0"], ["100,000", "30", "9.0"]));
        assert!(!same(["100,000", "30", "1.0"], ["100,001", "30", "1.0"]));
        assert!(!same(["100,000", "30", "1.0"], ["100,000", "31", "1.0"]));
    }

    #[test]
    fn states_are_grouped() {
        let found = |states| Found {
            states,
            generated: 0,
            depth: 3,
            seconds: 0.26,
            ended: true,
            broken: Vec::new(),
            charts: Vec::new(),
        };
        let states = [7, 386, 1_298, 45_000, 1_298_548].map(|states| figures_of_world(&found(states))[0].clone());
        assert_eq!(states, ["7", "386", "1,298", "45,000", "1,298,548"]);
        assert_eq!(figures_of_world(&found(1_000)), ["1,000", "3", "0.3"]);
    }
}
