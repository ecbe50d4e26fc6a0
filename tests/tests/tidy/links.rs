//! Check of links and paths in documentation and comments.

use super::{
    File,
    text::{Part, only},
    tree,
};

/// Beginnings of the paths that documentation names in backticks.
const TOPS: [&str; 11] = [
    "model/", "impl/", "sim/", "tests/", "fuzz/", "docs/", "specs/", "scripts/", "deploy/", ".ci/", ".cargo/",
];

/// Returns relative links of documentation, and paths in backticks there and in comments, that do not exist.
pub fn check(files: &[File]) -> Vec<String> {
    check_with(files, &|path| tree::root().join(path).exists())
}

fn check_with(files: &[File], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let prose = match file.is_rust() {
            true => only(&file.text, Part::Comment),
            false if file.is_markdown() => file.text.clone(),
            false => continue,
        };
        let links = if file.is_rust() { Vec::new() } else { links(&prose) };
        let links = links.into_iter().map(|(at, link)| (at, resolve(&file.path, link)));
        let dead_links = links.filter(|(_, target)| !exists(target));
        // A package's own documentation names its files relative to the package.
        let dead_paths = paths(&prose).into_iter();
        let dead_paths = dead_paths.filter(|(_, path)| !exists(path) && !exists(&resolve(&file.path, path)));
        for (offset, target) in dead_links.chain(dead_paths) {
            violations.push(format!("{}: {target} does not exist", file.at(offset)));
        }
    }
    violations
}

/// Returns the targets of `[text](target)` that are relative paths, without their `#` fragments.
fn links(prose: &str) -> Vec<(usize, &str)> {
    let starts = prose.match_indices("](").map(|(offset, _)| offset + 2);
    let targets = starts.filter_map(|start| {
        let target = prose[start..].split([')', '\n']).next()?.split('#').next()?;
        (!target.is_empty() && !target.contains(':')).then_some((start, target))
    });
    targets.collect()
}

/// Resolves `link` in the file `from` to a path from the root.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns workspace paths in backticks. Patterns and placeholders are no paths.
fn paths(prose: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in prose.split_inclusive('\n') {
        let mut at = start;
        for (index, piece) in line.split('`').enumerate() {
            let path = piece.split(':').next().unwrap_or_default().trim_end_matches('/');
            let plain = !piece.contains(['*', '<', '{', '…', '$', ' ', '=']);
            if index % 2 == 1 && plain && TOPS.iter().any(|top| piece.starts_with(top)) {
                found.push((at, path.to_owned()));
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

    fn found(path: &str, text: &str) -> Vec<String> {
        let exists = |path: &str| {
            [
                "specs/a.md",
                "README.md",
                "impl/src",
                "impl/src/lib.rs",
                "fuzz/tests/a.rs",
            ]
            .contains(&path)
        };
        check_with(&[File::sample(path, text)], &exists)
    }

    #[test]
    fn dead_links_and_paths_are_found() {
        assert_eq!(
            found("README.md", "x\n[a](specs/b.md)"),
            ["README.md:2: specs/b.md does not exist"]
        );
        assert_eq!(found("specs/a.md", "[a](b.md#c) `impl/src/gone.rs`").len(), 2);
        assert_eq!(
            found("impl/src/lib.rs", "//! see `specs/gone.md`"),
            ["impl/src/lib.rs:1: specs/gone.md does not exist"]
        );
    }

    #[test]
    fn live_ones_pass() {
        let text = "[a](specs/a.md#b) [b](https://example.org/x) [c](#d) `impl/src/` `impl/src/lib.rs:7` `impl/*/x.rs`";
        assert_eq!(found("README.md", text), Vec::<String>::new());
        assert_eq!(
            found("specs/decisions/1.md", "[a](../a.md) [b](../../README.md)"),
            Vec::<String>::new()
        );
        assert_eq!(
            found("impl/src/lib.rs", "let a = \"`specs/gone.md`\"; // a[0](1)"),
            Vec::<String>::new()
        );
    }
}
