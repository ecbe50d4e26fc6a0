//! Wrong drives: while their nodes are down, drives of two nodes are swapped, or another drive takes the place of one.
//! It is refused and left as it is (`format.by-identity`, `format.wiped-is-unknown`), the others serve, and a later
//! life of the node finds the right one again.

use super::{
    faults::for_a_while,
    life::Shared,
    plan::{Fault, Plan},
};
use crate::{SimDrive, faults::calm};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use std::collections::{BTreeMap, BTreeSet};
use store::drive::fuzzing::format_document_on;

/// Host of drives that no node has.
const SHELF: u32 = 200;
const FORMAT: &str = "/.minio.sys/format.json";
/// Number that the UUIDs of another deployment are made of.
const ANOTHER: u128 = 1;
/// Time after which drives are put right that could not be: another fault had struck their nodes.
const AGAIN: Duration = Duration::from_millis(100);

/// Drives that are in each other's place: of two nodes, or of a node and of the shelf.
pub struct Wrong {
    drives: [SimDrive; 2],
    pub nodes: BTreeSet<u32>,
    /// What each place holds meanwhile, unless it cannot be known to be wrong.
    contents: [Option<Content>; 2],
}

/// Names on a drive, with the bytes of files.
type Content = BTreeMap<String, Option<Vec<u8>>>;

impl Wrong {
    /// Puts the drives right, after a check that they were left as they were.
    pub fn put_right(self) {
        for (drive, content) in self.drives.iter().zip(self.contents) {
            let Some(content) = content else { continue };
            let now = drive.content();
            let changed = content
                .keys()
                .chain(now.keys())
                .find(|name| content.get(*name) != now.get(*name));
            assert_eq!(
                changed, None,
                "format.refuse-changes-nothing: a wrong drive in the place of {drive:?} was written to"
            );
        }
        self.drives[0].swap(&self.drives[1]);
    }
}

/// Lets a node start with a wrong drive, or two nodes with each other's, and puts them right later.
pub async fn strike(shared: &Shared) {
    let (node, drive) = shared.drive(thread_rng().gen_range(0..shared.plan.drives()));
    let mut nodes = BTreeSet::from([node]);
    let kind = thread_rng().gen_range(0..4);
    let other = match kind {
        // Any of another node.
        0 | 1 => {
            let places: Vec<usize> = (0..shared.plan.drives()).collect();
            let others: Vec<_> = places.into_iter().map(|place| shared.drive(place)).collect();
            let others: Vec<_> = others.into_iter().filter(|(of, _)| *of != node).collect();
            let (of, drive) = others.choose(&mut thread_rng()).expect("there are other nodes").clone();
            nodes.insert(of);
            drive
        }
        _ => {
            let spare = shared.world.drive(SHELF, format!("/{}", shared.faults()));
            calm(&spare);
            spare
        }
    };
    let is_copy = kind == 3;
    let misplaced = shared.while_down(&nodes, || {
        if is_copy {
            copy(&drive, &other, &shared.plan);
        }
        drive.swap(&other);
        // A node of one drive, and that of another deployment, takes itself for a node of that one.
        let is_unknown = is_copy && shared.plan.drives_per_node == 1;
        let contents = [&drive, &other].map(|drive| (!is_unknown).then(|| drive.content()));
        let (drives, nodes) = ([drive, other], nodes.clone());
        shared.misplace(Wrong {
            drives,
            nodes,
            contents,
        });
    });
    if !misplaced {
        return;
    }
    shared.count_fault(Fault::WrongDrive);
    sleep(for_a_while(shared)).await;
    while !shared.while_down(&nodes, || shared.put_right()) {
        sleep(AGAIN).await;
    }
}

/// Makes a copy of a drive that says it is of another deployment.
fn copy(of: &SimDrive, to: &SimDrive, plan: &Plan) {
    for (name, bytes) in of.content() {
        if let (false, Some(bytes)) = (name == FORMAT, bytes) {
            to.put_file(name.trim_start_matches('/'), &bytes);
        }
    }
    let nodes: Vec<u16> = (0..plan.drives()).map(|place| plan.place(place).0 as u16 - 1).collect();
    let document = format_document_on(&nodes, plan.set_size, ANOTHER, 0, true);
    to.put_file(FORMAT.trim_start_matches('/'), document.as_bytes());
}
