//! Limits of file length and line length.

use super::File;

const FILE_LINES_MAX: usize = 600;
const LINE_CHARS_MAX: usize = 120;

/// Returns Rust files with too many lines, or with too long ones.
pub fn check(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.is_rust())
        .flat_map(check_file)
        .collect()
}

fn check_file(file: &File) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        violations.push(format!(
            "{}: {lines} lines, at most {FILE_LINES_MAX}: split it by concept",
            file.path
        ));
    }
    for (number, line) in file.text.lines().enumerate() {
        let chars = line.chars().count();
        if chars > LINE_CHARS_MAX {
            violations.push(format!(
                "{}:{}: {chars} characters, at most {LINE_CHARS_MAX}",
                file.path,
                number + 1
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        check(&[File::sample("impl/src/a.rs", text)]).len()
    }

    #[test]
    fn long_files_and_lines_are_found() {
        assert_eq!(found(&"\n".repeat(600)), 0);
        assert_eq!(found(&"\n".repeat(601)), 1);
        assert_eq!(found(&"×".repeat(120)), 0);
        assert_eq!(found(&"×".repeat(121)), 1);
    }
}
