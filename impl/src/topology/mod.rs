//! Erasure sets, parity and quorums, from drive arguments. Pure: nothing here looks at a drive.
//!
//! It keeps the rules that MinIO's operators know, with these differences:
//! - A set has 4 to 16 drives, or is a single drive. Sets of 2 and 3 are refused.
//! - Sets must spread evenly over *nodes*; several ranges in a path of one host are one list of drives.
//! - Bounds of a range are decimal, hexadecimal ones (for IPv6 hosts) are not read.
//! - A drive within another drive's folder is refused.
//! - With the standard class at EC:0 the reduced class defaults to EC:0 too.

mod ellipses;
mod endpoint;
mod error;
mod parity;
mod pool;
mod set_size;

pub use endpoint::Endpoint;
pub use error::TopologyError;
pub use parity::{Code, REDUCED_VARIABLE, STANDARD_VARIABLE, StorageClasses, default_parity};
pub use pool::{Pool, pools};
pub use set_size::SET_SIZES;

use std::path::{Path, PathBuf};

/// The drives of a deployment of one node, and how objects are spread over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The drives' folders, absolute, in order: set i holds the drives from i × `set_size`.
    pub drives: Vec<PathBuf>,
    /// N, the drives of a set.
    pub set_size: usize,
    /// Number of sets.
    pub sets: usize,
    /// Parity of the class `STANDARD`.
    pub standard_parity: u8,
    /// Parity of the class `REDUCED_REDUNDANCY`.
    pub reduced_parity: u8,
}

impl Topology {
    /// The topology of folders of this host. `current_folder` is what relative paths start from.
    ///
    /// # Errors
    /// Errors of [`pools`]; several nodes or pools; parity that does not fit the sets.
    pub fn local(
        arguments: &[String],
        current_folder: &Path,
        forced_set_size: Option<usize>,
        classes: StorageClasses,
    ) -> Result<Topology, TopologyError> {
        refuse_urls(arguments)?;
        let mut pools = pools(arguments, forced_set_size)?;
        let count = pools.len();
        let pool = pools
            .pop()
            .filter(|_| count == 1)
            .ok_or(TopologyError::SeveralPools { pools: count })?;
        let (standard_parity, reduced_parity) = classes.resolve(pool.set_size)?;
        let (set_size, sets) = (pool.set_size, pool.sets());
        let drives: Vec<_> = pool
            .endpoints
            .into_iter()
            .filter_map(|drive| absolute(drive, current_folder))
            .collect();
        // Again, for `/srv/a` and `a` were not seen to be the same before.
        pool::check_together(drives.iter().cloned().map(Endpoint::Local).collect::<Vec<_>>().iter())?;
        Ok(Topology {
            drives,
            set_size,
            sets,
            standard_parity,
            reduced_parity,
        })
    }

    /// Returns how objects of the class `STANDARD` are cut.
    #[must_use]
    pub fn standard(&self) -> Code {
        self.code(self.standard_parity)
    }

    /// Returns how objects of the class `REDUCED_REDUNDANCY` are cut.
    #[must_use]
    pub fn reduced(&self) -> Code {
        self.code(self.reduced_parity)
    }

    fn code(&self, parity: u8) -> Code {
        // A set has at most 16 drives, and parity was checked against it.
        Code {
            data: self.set_size as u8 - parity,
            parity,
        }
    }
}

/// Said before anything else is looked at: what is wrong within a URL does not matter yet.
fn refuse_urls(arguments: &[String]) -> Result<(), TopologyError> {
    match arguments.iter().find(|argument| argument.contains("://")) {
        Some(argument) => Err(TopologyError::SeveralNodes {
            argument: argument.clone(),
        }),
        None => Ok(()),
    }
}

fn absolute(drive: Endpoint, current_folder: &Path) -> Option<PathBuf> {
    match drive {
        Endpoint::Local(path) => Some(current_folder.join(path)),
        Endpoint::Remote { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(arguments: &str) -> Result<Topology, TopologyError> {
        let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
        Topology::local(&arguments, Path::new("/srv"), None, StorageClasses::default())
    }

    #[test]
    fn folders_of_this_host() {
        let topology = local("/data{1...4}").unwrap();
        assert_eq!(
            topology.drives,
            ["/data1", "/data2", "/data3", "/data4"].map(PathBuf::from)
        );
        assert_eq!((topology.sets, topology.set_size), (1, 4));
        assert_eq!((topology.standard_parity, topology.reduced_parity), (2, 1));
        assert_eq!(topology.standard(), Code { data: 2, parity: 2 });
        assert_eq!(topology.reduced(), Code { data: 3, parity: 1 });
    }

    #[test]
    fn relative_folders_start_from_the_current_one() {
        assert_eq!(local("data").unwrap().drives, [PathBuf::from("/srv/data")]);
        assert_eq!(local("./a/").unwrap().drives, [PathBuf::from("/srv/a")]);
        assert_eq!(local("d{1...4}").unwrap().drives[3], PathBuf::from("/srv/d4"));
        assert_eq!(
            local("/srv/a a b c"),
            Err(TopologyError::Duplicate {
                endpoint: "/srv/a".into()
            })
        );
        assert_eq!(local("."), Err(TopologyError::RootPath { argument: ".".into() }));
        assert_eq!(
            local("10.0.0.1/d").unwrap_err().to_string().split(';').next(),
            Some("10.0.0.1/d: the scheme http or https is missing")
        );
    }

    #[test]
    fn several_nodes_and_pools_are_refused() {
        let message = |arguments| local(arguments).unwrap_err().to_string();
        assert_eq!(
            message("http://h{1...4}/d{1...4}"),
            "http://h{1...4}/d{1...4}: several nodes are not supported yet; give folders of this host"
        );
        assert_eq!(
            message("/a{1...4} /b{1...4}"),
            "2 pools given: several pools are not supported yet; give one argument, or plain folders"
        );
        assert_eq!(
            message(""),
            "no drives given: name one folder, or at least 4, for example /data or /data{1...4}"
        );
    }

    #[test]
    fn parity_is_checked_against_the_chosen_set_size() {
        let arguments = ["/d{1...18}".to_owned()];
        let classes = StorageClasses {
            standard: Some(5),
            reduced: None,
        };
        assert!(Topology::local(&arguments, Path::new("/"), None, classes).is_err());
        assert!(Topology::local(&arguments, Path::new("/"), Some(6), StorageClasses::default()).is_ok());
        let classes = StorageClasses {
            standard: Some(4),
            reduced: Some(2),
        };
        let topology = Topology::local(&arguments, Path::new("/"), None, classes).unwrap();
        assert_eq!(
            (topology.standard(), topology.reduced()),
            (Code { data: 5, parity: 4 }, Code { data: 7, parity: 2 })
        );
    }
}
