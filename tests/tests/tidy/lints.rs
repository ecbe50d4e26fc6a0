//! Lints beyond those of the compiler.

use super::{
    File,
    text::{Part, only},
};

/// Placeholder macros of unfinished code.
const PLACEHOLDERS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Returns attributes that silence a lint without a `reason = "…"` or a comment on the line.
pub fn check_allows(files: &[File]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = only(&file.text, Part::Code);
        for start in attributes(&code) {
            let end = start + code[start..].find(']').unwrap_or(code.len() - start);
            let line_end = end + code[end..].find('\n').unwrap_or(code.len() - end);
            let attribute = &code[start..end];
            let silences = ["allow(", "expect("].iter().any(|word| attribute.contains(word));
            let explained = attribute.contains("reason") || file.text[end..line_end].contains("//");
            if silences && !explained {
                violations.push(format!("{}: a silenced lint owes a reason", file.at(start)));
            }
        }
    }
    violations
}

/// Returns placeholder macros.
pub fn check_placeholders(files: &[File]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = only(&file.text, Part::Code);
        for name in PLACEHOLDERS {
            let found = code
                .match_indices(name)
                .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            violations.extend(found.map(|(at, _)| format!("{}: {name} is left", file.at(at))));
        }
    }
    violations
}

/// Returns uses of `select!` without `biased;`. Its random start comes from a counter of the process, so the same seed
/// run twice in one process would take different branches.
pub fn check_select(files: &[File]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = only(&file.text, Part::Code);
        for (at, name) in code.match_indices("select!") {
            let body = code[at + name.len()..]
                .trim_start()
                .trim_start_matches(['{', '('])
                .trim_start();
            if !body.starts_with("biased") {
                violations.push(format!("{}: select! without `biased;`", file.at(at)));
            }
        }
    }
    violations
}

/// Returns offsets of attributes, outer and inner.
fn attributes(code: &str) -> impl Iterator<Item = usize> {
    code.match_indices('#')
        .map(|(at, _)| at)
        .filter(|at| code[at + 1..].trim_start_matches('!').starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&[File]) -> Vec<String>, text: &str) -> usize {
        check(&[File::sample("impl/src/a.rs", text)]).len()
    }

    #[test]
    fn unexplained_allows_are_found() {
        let found = |text| found(check_allows, text);
        assert_eq!(found("#[allow(dead_code)]\nfn f() {}"), 1);
        assert_eq!(found("#![allow(\n    dead_code,\n)]"), 1);
        assert_eq!(found("#[cfg_attr(test, allow(dead_code))]"), 1);
        assert_eq!(found("#[expect(dead_code)]"), 1);
        assert_eq!(found("#[allow(dead_code, reason = \"why\")]"), 0);
        assert_eq!(found("#![allow(\n    dead_code,\n    reason = \"why\"\n)]"), 0);
        assert_eq!(found("#[allow(dead_code)] // why"), 0);
        assert_eq!(found("#[test]\nfn f() { allow(x); y.expect(\"z\") }"), 0);
    }

    #[test]
    fn placeholders_are_found() {
        let found = |text| found(check_placeholders, text);
        assert_eq!(
            found("fn f() { todo!() }\nfn g() { unimplemented!() }\nlet x = dbg!(y);"),
            3
        );
        assert_eq!(found("// todo!()\nlet s = \"dbg!\"; my_todo!();"), 0);
    }

    #[test]
    fn unbiased_selects_are_found() {
        let found = |text| found(check_select, text);
        assert_eq!(found("tokio::select! {\n    a = b => {}\n}"), 1);
        assert_eq!(found("futures::select!{ a = b => {} }"), 1);
        assert_eq!(found("tokio::select! {\n    biased;\n    a = b => {}\n}"), 0);
        assert_eq!(found("// select! { a }"), 0);
    }
}
