//! What is on the drives, and what must not be.

use super::plan::{Obstacle, Plan};
use crate::{SimDrive, World};
use std::collections::{BTreeMap, BTreeSet};
use store::drive::fuzzing::format_document_on;

/// Names on a drive, below its mount, with the bytes of files.
type Content = BTreeMap<String, Option<Vec<u8>>>;

const FORMAT: &str = ".minio.sys/format.json";
const INDEX: &str = ".minio.sys/index.redb";
const LOG: &str = ".minio.sys/index.log";
/// A file of somebody else.
const FOREIGN: &str = "letters/to-nobody.txt";
const FOREIGN_FOLDER: &str = "letters";

/// Format of a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    None,
    Begun(String),
    Complete(String),
}

/// All drives of the deployment, in order.
pub struct Media {
    pub drives: Vec<SimDrive>,
    /// Nodes of the drives.
    nodes: Vec<u32>,
    /// Drives on which something was in the way, and what they hold until it is taken away.
    in_the_way: BTreeMap<usize, Content>,
    /// Nothing may be written to any drive.
    pub is_blocked: bool,
    /// Drives have been swapped between nodes.
    pub is_mixed_up: bool,
    wiped: BTreeSet<usize>,
    last: Vec<(Vec<u8>, Standing)>,
}

impl Media {
    /// Makes the drives, and puts on them what the plan says.
    pub fn new(world: &World, plan: &Plan) -> Media {
        let nodes: Vec<u32> = (0..plan.drives).map(|drive| plan.node_of(drive)).collect();
        let drive = |drive| world.drive(plan.node_of(drive), plan.path_of(drive));
        let drives: Vec<SimDrive> = (0..plan.drives).map(drive).collect();
        let numbers: Vec<u16> = nodes.iter().map(|node| *node as u16 - 1).collect();
        let begun = |drive: usize, number, this| {
            let document = format_document_on(&numbers, plan.set_size, number, this, false);
            drives[drive].put_file(FORMAT, document.as_bytes());
        };
        let struck = match plan.obstacle {
            Some(Obstacle::Foreign(drive)) => {
                drives[drive].put_file(FOREIGN, b"they are still here");
                vec![drive]
            }
            Some(Obstacle::Begun(drive)) => {
                begun(drive, 1, drive);
                vec![]
            }
            Some(Obstacle::Misplaced(drive)) => {
                begun(drive, 1, drive + 1);
                vec![drive]
            }
            Some(Obstacle::Divided(one, other)) => {
                begun(one, 1, one);
                begun(other, 2, other);
                vec![one, other]
            }
            None => vec![],
        };
        let in_the_way = struck.into_iter().map(|drive| (drive, drives[drive].content()));
        Media {
            in_the_way: in_the_way.collect(),
            is_blocked: plan.is_blocked(),
            is_mixed_up: false,
            wiped: BTreeSet::new(),
            last: vec![(Vec::new(), Standing::None); drives.len()],
            drives,
            nodes,
        }
    }

    /// Reads the drives' formats.
    fn look(&mut self) {
        for (drive, last) in self.drives.iter().zip(&mut self.last) {
            let bytes = drive.read(FORMAT).unwrap_or_default();
            if bytes != last.0 {
                let standing = standing(&bytes);
                *last = (bytes, standing);
            }
        }
    }

    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.last.iter().map(|(_, standing)| standing)
    }

    /// Returns how many drives have begun, and how many of those are complete.
    pub fn counts(&self) -> (usize, usize) {
        let begun = self.standings().filter(|standing| **standing != Standing::None);
        let complete = self.standings().filter(|standing| is_complete(standing));
        (begun.count(), complete.count())
    }

    /// Returns the deployment that drives are of.
    pub fn deployment(&self) -> Option<String> {
        self.standings().find_map(|standing| match standing {
            Standing::None => None,
            Standing::Begun(id) | Standing::Complete(id) => Some(id.clone()),
        })
    }

    /// Returns whether a drive has begun now.
    pub fn has_format(&self, drive: usize) -> bool {
        self.drives[drive].has(FORMAT)
    }

    pub fn is_complete(&self) -> bool {
        self.last
            .iter()
            .enumerate()
            .all(|(drive, (_, standing))| is_complete(standing) || self.wiped.contains(&drive))
    }

    /// Checks what holds at any time.
    pub fn check(&mut self) {
        self.look();
        for (drive, content) in &self.in_the_way {
            let is_same = self.drives[*drive].content() == *content;
            assert!(is_same, "format.foreign-data: {:?} was written to", self.drives[*drive]);
        }
        for drive in &self.wiped {
            let content = self.drives[*drive].content();
            assert!(
                content.is_empty(),
                "format.wiped-is-unknown: {:?} has {:?}",
                self.drives[*drive],
                content.keys()
            );
        }
        let of_start = || (0..self.drives.len()).filter(|drive| !self.in_the_way.contains_key(drive));
        if self.is_blocked {
            let written = of_start().find(|drive| !self.drives[*drive].content().is_empty());
            let written = written.map(|drive| &self.drives[drive]);
            assert!(
                written.is_none(),
                "format.refuse-changes-nothing: {written:?} was written to"
            );
            return;
        }
        let ids = of_start().filter_map(|drive| match &self.last[drive].1 {
            Standing::None => None,
            Standing::Begun(id) | Standing::Complete(id) => Some(id),
        });
        let ids: BTreeSet<&String> = ids.collect();
        assert!(ids.len() <= 1, "format.one-deployment: {:?}", self.last_standings());
        self.check_complete();
    }

    fn check_complete(&self) {
        if !self.standings().any(is_complete) {
            return;
        }
        for (at, drive) in self
            .drives
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.wiped.contains(at))
        {
            let has_index = || drive.has(INDEX) && drive.has(LOG);
            assert!(
                self.last[at].1 != Standing::None && has_index(),
                "format.complete-after-all: {drive:?} has not begun, or has no index: {:?}",
                self.last_standings()
            );
        }
        let is_leaders = |at: usize| self.nodes[at] == 1;
        let mut leaders = self.last.iter().enumerate().filter(|(at, _)| is_leaders(*at));
        let leads = leaders.any(|(at, (_, standing))| is_complete(standing) || self.wiped.contains(&at));
        assert!(
            leads || self.is_mixed_up,
            "format.wiped-is-unknown: another drive is complete before any of the leader's: {:?}",
            self.last_standings()
        );
    }

    /// Checks that the drives of a node may serve: there are two complete ones, of which others cannot be begun again.
    pub fn check_serves(&mut self, node: u32) {
        self.check();
        let own = self.nodes.iter().zip(&self.last).filter(|(of, _)| **of == node);
        let serves = own.filter(|(_, (_, standing))| is_complete(standing)).count() > 0;
        let complete = self.counts().1;
        assert!(
            !serves || complete >= 2,
            "format.wiped-is-unknown: node {node} serves the only drive that is complete"
        );
    }

    /// Takes away what is in the way: files of somebody else, or drives, whose nodes must not run.
    pub fn free(&mut self) {
        self.is_blocked = false;
        for (drive, content) in std::mem::take(&mut self.in_the_way) {
            let drive = &self.drives[drive];
            if is_foreign(&content) {
                drive.remove_file(FOREIGN);
                drive.remove_folder(FOREIGN_FOLDER);
            } else {
                drive.replace();
            }
        }
    }

    /// Replaces a drive with an empty one, which is to stay empty. Its node must not run.
    pub fn wipe(&mut self, drive: usize) {
        self.drives[drive].replace();
        self.wiped.insert(drive);
    }

    /// Returns the nodes of drives that have to be replaced.
    pub fn nodes_in_the_way(&self) -> BTreeSet<u32> {
        let drives = self.in_the_way.iter().filter(|(_, content)| !is_foreign(content));
        drives.map(|(drive, _)| self.nodes[*drive]).collect()
    }

    /// Returns how many drives were wiped.
    pub fn wiped(&self) -> usize {
        self.wiped.len()
    }

    fn last_standings(&self) -> Vec<(&SimDrive, &Standing)> {
        self.drives.iter().zip(self.standings()).collect()
    }
}

fn is_foreign(content: &Content) -> bool {
    content.contains_key(&format!("/{FOREIGN}"))
}

fn is_complete(standing: &Standing) -> bool {
    matches!(standing, Standing::Complete(_))
}

/// Returns what a `format.json` says.
fn standing(bytes: &[u8]) -> Standing {
    let text = String::from_utf8_lossy(bytes);
    let value = |name: &str| {
        let at = text.find(name)? + name.len();
        let value = text[at..].split([',', '\n']).next()?;
        Some(value.trim().trim_matches('"'))
    };
    match (value("\"id\":"), value("\"complete\":")) {
        (Some(id), Some("true")) => Standing::Complete(id.to_owned()),
        (Some(id), Some("false")) => Standing::Begun(id.to_owned()),
        _ => Standing::None,
    }
}
