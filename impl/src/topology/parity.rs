//! Parity: its default, storage classes, and the quorums that follow from it.

use super::TopologyError;
use model::protocol::write_quorum;

/// The variable that sets the standard class's parity.
pub const STANDARD_VARIABLE: &str = "MINIO_STORAGE_CLASS_STANDARD";
/// The variable that sets the reduced redundancy class's parity.
pub const REDUCED_VARIABLE: &str = "MINIO_STORAGE_CLASS_RRS";

/// The standard class's parity for sets of `set_size` drives, unless it is configured.
#[must_use]
pub fn default_parity(set_size: usize) -> u8 {
    match set_size {
        0 | 1 => 0,
        2 | 3 => 1,
        4 | 5 => 2,
        6 | 7 => 3,
        _ => 4,
    }
}

/// Erasure code of objects: K data and M parity shards over a set of K + M drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Data shards of an object: K.
    pub data: u8,
    /// Parity shards of an object: M.
    pub parity: u8,
}

impl Code {
    /// `parity` of a set of `set_size` drives.
    ///
    /// # Errors
    /// Parity above half of the set. `name` says in the message where it was asked for.
    pub fn new(name: &'static str, set_size: usize, parity: u8) -> Result<Code, TopologyError> {
        match u8::try_from(set_size) {
            Ok(drives) if parity <= drives / 2 => Ok(Code {
                data: drives - parity,
                parity,
            }),
            _ => Err(TopologyError::ParityTooHigh { name, parity, set_size }),
        }
    }

    /// K: so many shards rebuild an object.
    #[must_use]
    pub fn read_quorum(self) -> u8 {
        self.data
    }

    /// K, or K + 1 when K = M.
    #[must_use]
    pub fn write_quorum(self) -> u8 {
        // A set of one has no halves: K = M cannot occur there.
        write_quorum(self.data, self.parity)
    }

    /// The share of the drives' space that objects can fill, 0.5 to 1.
    #[must_use]
    pub fn usable_ratio(self) -> f64 {
        f64::from(self.data) / f64::from(self.data + self.parity)
    }
}

/// Parity of each storage class, as far as the environment sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageClasses {
    /// The class `STANDARD`.
    pub standard: Option<u8>,
    /// The class `REDUCED_REDUNDANCY`.
    pub reduced: Option<u8>,
}

impl StorageClasses {
    /// Parses the variables' values. An empty one counts as not set.
    ///
    /// # Errors
    /// A value that is not `EC:n`.
    pub fn parse(standard: Option<&str>, reduced: Option<&str>) -> Result<StorageClasses, TopologyError> {
        Ok(StorageClasses {
            standard: parse_class(STANDARD_VARIABLE, standard)?,
            reduced: parse_class(REDUCED_VARIABLE, reduced)?,
        })
    }

    /// The parities (standard, reduced) for sets of `set_size` drives.
    ///
    /// # Errors
    /// Parity above half of the set, or a reduced class that protects better than the standard one.
    pub fn resolve(self, set_size: usize) -> Result<(u8, u8), TopologyError> {
        let standard = self.standard.unwrap_or_else(|| default_parity(set_size));
        let reduced = self.reduced.unwrap_or(standard.min(1));
        Code::new(STANDARD_VARIABLE, set_size, standard)?;
        Code::new(REDUCED_VARIABLE, set_size, reduced)?;
        if standard > 0 && reduced > standard {
            return Err(TopologyError::ReducedAboveStandard { standard, reduced });
        }
        Ok((standard, reduced))
    }
}

fn parse_class(name: &'static str, value: Option<&str>) -> Result<Option<u8>, TopologyError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let digits = value
        .strip_prefix("EC:")
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let parity = digits.and_then(|digits| digits.parse().ok());
    let invalid = || TopologyError::InvalidStorageClass {
        name,
        value: value.into(),
    };
    Ok(Some(parity.ok_or_else(invalid)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_parity_follows_the_set_size() {
        let defaults: Vec<_> = [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
            .map(default_parity)
            .into();
        assert_eq!(defaults, [0, 2, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
    }

    #[test]
    fn quorums_follow_from_parity() {
        for (drives, parity, ratio, read, write) in [
            (16, 4, 0.750, 12, 12),
            (16, 6, 0.625, 10, 10),
            (16, 8, 0.500, 8, 9),
            (16, 0, 1.000, 16, 16),
            (4, 2, 0.500, 2, 3),
            (4, 1, 0.750, 3, 3),
            (5, 2, 0.600, 3, 3),
            (1, 0, 1.000, 1, 1),
        ] {
            let code = Code::new("test", drives, parity).unwrap();
            assert_eq!(code.usable_ratio(), ratio, "{drives} drives, EC:{parity}");
            assert_eq!(
                (code.read_quorum(), code.write_quorum()),
                (read, write),
                "{drives} drives, EC:{parity}"
            );
        }
    }

    #[test]
    fn parity_above_half_is_refused() {
        for (set_size, parity) in [(16, 9), (5, 3), (4, 3), (1, 1), (0, 1), (300, 1)] {
            assert!(
                Code::new("test", set_size, parity).is_err(),
                "{set_size} drives, EC:{parity}"
            );
        }
    }

    fn check(standard: &str, reduced: &str, set_size: usize, expected: Result<(u8, u8), &str>) {
        let classes = StorageClasses::parse(Some(standard), Some(reduced));
        let found = classes
            .and_then(|classes| classes.resolve(set_size))
            .map_err(|error| error.to_string());
        assert_eq!(
            found,
            expected.map_err(str::to_owned),
            "{standard} {reduced} {set_size}"
        );
    }

    #[test]
    fn storage_classes() {
        check("", "", 16, Ok((4, 1)));
        check("", "", 4, Ok((2, 1)));
        check("", "", 1, Ok((0, 0)));
        check("EC:8", "", 16, Ok((8, 1)));
        check("EC:8", "EC:8", 16, Ok((8, 8)));
        check("EC:0", "", 16, Ok((0, 0)));
        check("EC:0", "EC:1", 16, Ok((0, 1)));
        check("", "EC:0", 16, Ok((4, 0)));
        check(
            "EC:2",
            "EC:3",
            16,
            Err("the reduced redundancy class has more parity (3) than the standard class (2)"),
        );
        check(
            "EC:9",
            "",
            16,
            Err("MINIO_STORAGE_CLASS_STANDARD: parity 9 is too high for sets of 16 drives, at most 8 is possible"),
        );
        check(
            "",
            "EC:3",
            4,
            Err("MINIO_STORAGE_CLASS_RRS: parity 3 is too high for sets of 4 drives, at most 2 is possible"),
        );
    }

    #[test]
    fn malformed_classes_are_refused() {
        for value in [
            "4", "EC", "EC:", "EC:x", "EC:-1", "EC:+1", "EC:4:4", "ec:4", "EC:256", "RS:4", " EC:4",
        ] {
            let expected = TopologyError::InvalidStorageClass {
                name: REDUCED_VARIABLE,
                value: value.into(),
            };
            assert_eq!(StorageClasses::parse(None, Some(value)), Err(expected), "{value}");
        }
    }
}
