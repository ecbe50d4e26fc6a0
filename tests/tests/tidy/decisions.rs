//! Check of decisions: numbered, with a status and a date, and listed in their index.

use super::File;

const FOLDER: &str = "specs/decisions/";
const INDEX: &str = "specs/decisions/README.md";

/// Returns decisions without number, status or date, and rows of the index that differ from them.
pub fn check(files: &[File]) -> Vec<String> {
    let index = files.iter().find(|file| file.path == INDEX);
    let rows: Vec<&str> = index.map_or("", |file| &file.text).lines().collect();
    let rows: Vec<&str> = rows.into_iter().filter(|line| line.starts_with("| [")).collect();
    let decisions = files
        .iter()
        .filter(|file| file.path.starts_with(FOLDER) && file.path != INDEX);
    let mut violations = Vec::new();
    let mut count = 0;
    for file in decisions {
        count += 1;
        match row(file) {
            None => violations.push(format!(
                "{}: it does not begin with \"# NNNN title\", an empty line and \"Accepted DATE.\" or \
                 \"Superseded by NNNN, DATE.\"",
                file.path
            )),
            Some(row) if !rows.contains(&&*row) => violations.push(format!("{INDEX}: lacks the row {row}")),
            Some(_) => {}
        }
    }
    if rows.len() != count {
        violations.push(format!("{INDEX}: {} rows for {count} decisions", rows.len()));
    }
    violations
}

/// Returns the row of the index for a decision.
fn row(file: &File) -> Option<String> {
    let name = file.path.strip_prefix(FOLDER)?;
    let mut lines = file.text.lines();
    let (number, title) = lines.next()?.strip_prefix("# ")?.split_once(' ')?;
    let status = lines.nth(1)?.strip_suffix('.')?;
    let date = status.rsplit(' ').next()?;
    let is_date = date.len() == 10 && date.chars().all(|c| c.is_ascii_digit() || c == '-');
    let is_status = status.starts_with("Accepted ") || status.starts_with("Superseded by ");
    let is_numbered = number.len() == 4 && name.starts_with(&format!("{number}-"));
    let status = status.replacen('A', "a", 1).replacen("Sup", "sup", 1);
    (is_date && is_status && is_numbered).then(|| format!("| [{number}]({name}) | {title} | {status} |"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(decision: &str, index: &str) -> Vec<String> {
        check(&[
            File::sample("specs/decisions/0007-seven.md", decision),
            File::sample(INDEX, index),
        ])
    }

    #[test]
    fn decisions_say_when_and_are_listed() {
        let (good, row) = (
            "# 0007 Seven\n\nAccepted 2026-11-24.\n",
            "| [0007](0007-seven.md) | Seven | accepted 2026-11-24 |\n",
        );
        assert_eq!(found(good, row), Vec::<String>::new());
        assert_eq!(found(good, "").len(), 2);
        assert_eq!(found(good, &row.repeat(2)).len(), 1);
        for bad in [
            "# Seven\n\nAccepted 2026-11-24.\n",
            "# 0008 Seven\n\nAccepted 2026-11-24.\n",
            "# 0007 Seven\n\nWhy not.\n",
            "# 0007 Seven\n\nAccepted some day.\n",
        ] {
            assert_eq!(found(bad, row).len(), 1, "{bad}");
        }
    }
}
