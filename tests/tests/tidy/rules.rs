//! Check of rules: named sentences of a specification, cited by name in code and tests.
//!
//! A rule is defined once, in a file under specs/: as a paragraph that begins with its name in backticks,
//! as a list item that begins with its name in bold and backticks, or as a row of a table whose first
//! column is headed "rule" and holds its name. Each rule must be cited in Rust, and each name that is
//! cited anywhere must be defined.

use super::{
    File,
    text::{Part, only, strings},
};
use std::collections::{BTreeMap, BTreeSet};

/// First words of rule names.
const SUBJECTS: [&str; 24] = [
    "register",
    "accept",
    "put",
    "read",
    "delete",
    "drive",
    "heal",
    "version",
    "list",
    "multipart",
    "bucket",
    "pool",
    "lock",
    "quorum",
    "live",
    "format",
    "erasure",
    "bitrot",
    "index",
    "sim",
    "stage",
    "trace",
    "peer",
    "configuration",
];

/// File extensions that tell a file's name from a rule's: `format.json`.
const FILE_ENDINGS: [&str; 8] = ["json", "redb", "log", "rs", "md", "toml", "tmp", "new"];

/// Returns rules that are defined twice or nowhere, or cited nowhere.
pub fn check(files: &[File]) -> Vec<String> {
    let specs: Vec<_> = files
        .iter()
        .filter(|file| file.path.starts_with("specs/") && file.is_markdown())
        .collect();
    let mut violations = Vec::new();
    let mut defined: BTreeMap<&str, String> = BTreeMap::new();
    for (place, rule) in specs.iter().flat_map(|file| definitions(file)) {
        if let Some(first) = defined.insert(rule, place.clone()) {
            violations.push(format!("{place}: `{rule}` is defined in {first} already"));
        }
    }
    let mut cited = BTreeSet::new();
    for file in files
        .iter()
        .filter(|file| file.is_rust() && file.path != "tests/tests/tidy/rules.rs")
    {
        for (offset, rule) in citations(file) {
            if !defined.contains_key(rule.as_str()) {
                violations.push(format!("{}: `{rule}` is defined nowhere in specs/", file.at(offset)));
            }
            cited.insert(rule);
        }
    }
    for file in specs {
        let dead = backticked(&file.text)
            .into_iter()
            .filter(|(_, name)| is_rule(name) && !defined.contains_key(name));
        violations.extend(dead.map(|(offset, rule)| format!("{}: `{rule}` is defined nowhere", file.at(offset))));
    }
    let uncited = defined.iter().filter(|(rule, _)| !cited.contains(**rule));
    violations.extend(uncited.map(|(rule, place)| format!("{place}: `{rule}` is cited in no code and no test")));
    violations
}

/// Returns whether `name` has the form of a rule's name.
fn is_rule(name: &str) -> bool {
    let Some((subject, sentence)) = name.split_once('.') else {
        return false;
    };
    SUBJECTS.contains(&subject)
        && !FILE_ENDINGS.contains(&sentence)
        && sentence.starts_with(|c: char| c.is_ascii_lowercase())
        && sentence.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// Returns the rules that a specification defines, with their places.
fn definitions(file: &File) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    let mut in_table_of_rules = false;
    let mut after_blank = true;
    for (number, line) in file.text.lines().enumerate() {
        let cell = first_cell(line);
        in_table_of_rules = cell.is_some_and(|cell| in_table_of_rules || cell.eq_ignore_ascii_case("rule"));
        let item = line
            .trim()
            .strip_prefix("- **")
            .and_then(|item| item.split("**").next());
        let paragraph = line
            .strip_prefix('`')
            .filter(|_| after_blank)
            .and_then(|rest| rest.split('`').next());
        let name = item
            .or(cell.filter(|_| in_table_of_rules))
            .and_then(unquoted)
            .or(paragraph);
        found.extend(
            name.filter(|name| is_rule(name))
                .map(|name| (format!("{}:{}", file.path, number + 1), name)),
        );
        after_blank = line.trim().is_empty();
    }
    found
}

/// Returns the first cell of a table's row.
fn first_cell(line: &str) -> Option<&str> {
    line.trim().strip_prefix('|')?.split('|').next().map(str::trim)
}

/// Returns the name in `` `name` ``.
fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`')
}

/// Returns the rules that Rust source cites: as a whole string, or in backticks in a comment or a string.
fn citations(file: &File) -> Vec<(usize, String)> {
    let comments = only(&file.text, Part::Comment);
    let mut found: Vec<_> = backticked(&comments)
        .into_iter()
        .map(|(at, name)| (at, name.to_owned()))
        .collect();
    for (offset, string) in strings(&file.text) {
        found.push((offset, string.to_owned()));
        found.extend(
            backticked(string)
                .into_iter()
                .map(|(at, name)| (offset + at, name.to_owned())),
        );
    }
    found.retain(|(_, name)| is_rule(name));
    found
}

/// Returns the texts between pairs of backticks on one line, with offsets.
fn backticked(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut at = start;
        for (index, piece) in line.split('`').enumerate() {
            if index % 2 == 1 {
                found.push((at, piece));
            }
            at += piece.len() + 1;
        }
        start += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "- **`put.first`** says.\n\n| rule | statement |\n|---|---|\n| `read.second` | so |\n";

    #[test]
    fn rules_are_defined_in_three_forms() {
        let text = format!("{SPEC}\n`list.third` says\n`list.none` nothing\n\n`format.json` is a file.\n");
        let file = File::sample("specs/a.md", &text);
        let names: Vec<_> = definitions(&file).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["put.first", "read.second", "list.third"]);
    }

    fn found(spec: &str, code: &str) -> Vec<String> {
        check(&[File::sample("specs/a.md", spec), File::sample("impl/src/a.rs", code)])
    }

    #[test]
    fn defined_and_cited_rules_pass() {
        let code = "/// Holds `put.first`, see `format.json`.\nfn f() { rule(\"read.second\"); \"host.example\"; }";
        assert_eq!(found(SPEC, code), Vec::<String>::new());
    }

    #[test]
    fn an_undefined_rule_is_found_wherever_it_is_cited() {
        let both = "// `put.first` `read.second`\n";
        for code in [
            "// `put.ghost`",
            "rule(\"put.ghost\")",
            "panic!(\"violates `put.ghost`\")",
        ] {
            let violations = found(SPEC, &format!("{both}{code}"));
            assert_eq!(
                violations,
                ["impl/src/a.rs:2: `put.ghost` is defined nowhere in specs/"],
                "{code}"
            );
        }
        let violations = found(&format!("{SPEC}\nSee `put.ghost`.\n"), both);
        assert_eq!(violations, ["specs/a.md:7: `put.ghost` is defined nowhere"]);
    }

    #[test]
    fn an_uncited_rule_is_found() {
        let violations = found(SPEC, "// `put.first`");
        assert_eq!(
            violations,
            ["specs/a.md:5: `read.second` is cited in no code and no test"]
        );
    }

    #[test]
    fn a_rule_defined_twice_is_found() {
        let violations = found(
            &format!("{SPEC}\n- **`put.first`** again\n"),
            "// `put.first` `read.second`",
        );
        assert_eq!(
            violations,
            ["specs/a.md:7: `put.first` is defined in specs/a.md:1 already"]
        );
    }

    #[test]
    fn other_tables_define_nothing() {
        let spec = "| mutant | rule |\n|---|---|\n| `put.first` | `put.first` |\n";
        assert_eq!(found(spec, "").len(), 2);
    }
}
