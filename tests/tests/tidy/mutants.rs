//! Check that known bugs of other stores are covered by mutants.
//!
//! A bold name in `specs/field-bugs.md` is the first cell of a row in `specs/mutants.md`.

use super::File;
use std::collections::BTreeSet;

const BUGS: &str = "specs/field-bugs.md";
const MUTANTS: &str = "specs/mutants.md";

/// Returns mutants that are named for a bug but are in no table.
pub fn check(files: &[File]) -> Vec<String> {
    let text = |path| files.iter().find(|file| file.path == path).map(|file| &file.text[..]);
    let (Some(bugs), Some(mutants)) = (text(BUGS), text(MUTANTS)) else {
        return vec![format!("{BUGS} or {MUTANTS} is not there")];
    };
    let rows = mutants.lines().filter_map(|line| line.strip_prefix("| "));
    let known: BTreeSet<&str> = rows.filter_map(|row| row.split(" | ").next()).collect();
    let mut violations = Vec::new();
    for (line, number) in bugs.lines().zip(1..) {
        let bold = line.split("**").skip(1).step_by(2);
        let unknown = bold.filter(|name| !known.contains(name));
        violations.extend(unknown.map(|name| format!("{BUGS}:{number}: {name} stands in no table of {MUTANTS}")));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_that_nobody_knows_is_found() {
        let files = |bugs| {
            [
                File::sample(BUGS, bugs),
                File::sample(MUTANTS, "| mutant | rule |\n| known | r |\n"),
            ]
        };
        assert_eq!(check(&files("| a bug | **known** |")), Vec::<String>::new());
        assert_eq!(check(&files("| a bug | **known**, **ghost** |")).len(), 1);
        assert_eq!(check(&[]).len(), 1);
    }
}
