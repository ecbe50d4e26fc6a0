//! Check of imports between the modules of the server: the table of `specs/architecture.md`.

use super::{
    File,
    text::{Part, only},
};
use std::collections::{BTreeMap, BTreeSet};

/// First-level modules of `impl`, and those that each may use. No import points upward.
const LAYERS: [(&str, &[&str]); 22] = [
    ("cli", &["config", "topology"]),
    ("config", &["access", "topology"]),
    (
        "node",
        &["background", "store", "set", "drive", "erasure", "peer", "runtime"],
    ),
    ("topology", &[]),
    (
        "server",
        &[
            "access", "admin", "api", "http", "metrics", "monitor", "peer", "runtime", "s3", "stats", "store",
        ],
    ),
    (
        "s3",
        &[
            "access", "api", "digest", "http", "monitor", "runtime", "sigv4", "store",
        ],
    ),
    (
        "admin",
        &["access", "api", "http", "monitor", "runtime", "sigv4", "store"],
    ),
    ("monitor", &["access", "http", "metrics", "runtime", "stats", "store"]),
    ("sigv4", &["api", "http"]),
    ("http", &["metrics", "runtime", "stats"]),
    ("access", &[]),
    ("api", &["access", "digest", "runtime", "store"]),
    ("background", &["store", "set", "drive"]),
    ("store", &["set", "digest", "drive", "erasure", "runtime"]),
    ("set", &["drive", "erasure", "runtime"]),
    ("erasure", &[]),
    ("drive", &["peer", "runtime", "stats"]),
    ("peer", &["runtime", "stats"]),
    ("metrics", &["stats"]),
    ("digest", &["runtime"]),
    ("runtime", &[]),
    ("stats", &[]),
];

/// Page with the same table.
const PAGE: &str = "specs/architecture.md";

/// Files that may import more, because they assemble the server.
const SEAMS: [(&str, &[&str]); 3] = [
    ("impl/src/cli/logging", &["runtime", "stats"]),
    (
        "impl/src/cli/server",
        &[
            "background",
            "http",
            "monitor",
            "node",
            "peer",
            "runtime",
            "s3",
            "server",
            "store",
        ],
    ),
    ("impl/src/cli/admin", &["access", "admin", "http", "runtime"]),
];

/// Crates that belong to one layer, and the files that may name them.
const CRATES: [(&str, &[&str]); 6] = [
    ("s3s", &["impl/src/s3/"]),
    ("hyper", &["impl/src/http/"]),
    ("redb", &["impl/src/drive/"]),
    ("reed_solomon_erasure", &["impl/src/erasure/"]),
    ("rustix", &["impl/src/runtime/real"]),
    ("clap", &["impl/src/cli/"]),
];

/// Modules of `std` that the model must not use, since they perform I/O.
const OUTSIDE: [&str; 7] = ["env", "fs", "io", "net", "process", "thread", "time"];

/// Words forbidden in the model: types without order or equality, and async code.
const IMPURE: [&str; 5] = ["HashMap", "HashSet", "f32", "f64", "async"];

/// Returns imports that point upward, unknown modules, and crates outside their layer.
pub fn check(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.starts_with("impl/src/") && file.is_rust())
        .flat_map(check_file)
        .collect()
}

/// Returns rows of the page's table that differ from [`LAYERS`].
pub fn check_page(files: &[File]) -> Vec<String> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![format!("{PAGE} is not there")];
    };
    let documented: BTreeMap<&str, BTreeSet<&str>> = rows(&page.text).collect();
    let enforced = LAYERS.map(|(name, allowed)| (name, allowed.iter().copied().collect()));
    let enforced: BTreeMap<&str, BTreeSet<&str>> = enforced.into();
    let names: BTreeSet<&str> = documented.keys().chain(enforced.keys()).copied().collect();
    let differing = names
        .into_iter()
        .filter(|name| documented.get(name) != enforced.get(name));
    differing
        .map(|name| {
            let (there, here) = (documented.get(name), enforced.get(name));
            format!("{PAGE}: `{name}` may use {there:?}, but {here:?} in the table of layers")
        })
        .collect()
}

/// Returns rows of the table of modules: name, and the modules that it may use.
fn rows(page: &str) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
    let table = page
        .split_once("| module | does | may use |\n")
        .map_or("", |(_, rest)| rest);
    let rows = table.lines().skip(1).map_while(|line| line.strip_prefix('|'));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (name, used) = (cells.first()?, cells.get(2)?);
        let used = used.split(',').map(str::trim).filter(|used| !used.is_empty());
        Some((*name, used.collect()))
    })
}

/// Returns dependencies and words that make the model less than a pure function.
pub fn check_model(files: &[File]) -> Vec<String> {
    let manifest = files
        .iter()
        .filter(|file| file.path == "model/Cargo.toml")
        .flat_map(check_manifest);
    let sources = files
        .iter()
        .filter(|file| file.path.starts_with("model/src/") && file.is_rust());
    manifest.chain(sources.flat_map(check_purity)).collect()
}

fn check_file(file: &File) -> Vec<String> {
    let Some(module) = module_of(&file.path) else {
        return Vec::new();
    };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return vec![format!(
            "{}: module `{module}` has no place in the table of layers",
            file.path
        )];
    };
    let code = only(&file.text, Part::Code);
    let seam = SEAMS
        .iter()
        .filter(|(path, _)| file.path.starts_with(path))
        .flat_map(|(_, more)| more.iter());
    let allowed: Vec<&str> = allowed.iter().chain(seam).copied().collect();
    let mut violations = Vec::new();
    for (offset, used) in used_modules(file, &code) {
        if used != module && is_module(&used) && !allowed.contains(&used.as_str()) {
            violations.push(format!("{}: `{module}` must not use `{used}`", file.at(offset)));
        }
    }
    for (name, homes) in CRATES {
        if homes.iter().any(|home| file.path.starts_with(home)) {
            continue;
        }
        for offset in words(&code, name).filter(|offset| code[offset + name.len()..].starts_with("::")) {
            violations.push(format!(
                "{}: the crate `{name}` belongs into {}",
                file.at(offset),
                homes.join(", ")
            ));
        }
    }
    violations
}

/// Returns the first-level module of a file; `None` for the roots of the library and the binary.
fn module_of(path: &str) -> Option<&str> {
    let module = path.strip_prefix("impl/src/")?.split('/').next()?;
    let module = module.strip_suffix(".rs").unwrap_or(module);
    (!["lib", "main"].contains(&module)).then_some(module)
}

fn is_module(name: &str) -> bool {
    LAYERS.iter().any(|(known, _)| *known == name)
}

/// Returns first-level modules that `code` names through `crate::` or enough `super::`, with offsets.
fn used_modules(file: &File, code: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for offset in words(code, "crate").filter(|offset| code[offset + 5..].starts_with("::")) {
        used.extend(first_names(&code[offset + 7..]).into_iter().map(|name| (offset, name)));
    }
    let depth = file.path.matches('/').count() - 1 - usize::from(file.path.ends_with("/mod.rs"));
    let to_root = "super::".repeat(depth);
    for (offset, _) in code
        .match_indices(&to_root)
        .filter(|(offset, _)| !code[..*offset].ends_with("super::"))
    {
        used.extend(
            first_names(&code[offset + to_root.len()..])
                .into_iter()
                .map(|name| (offset, name)),
        );
    }
    used
}

/// Returns the first names of the paths at the start of `rest`: one, or those of a group `{a::b, c}`.
fn first_names(rest: &str) -> Vec<String> {
    let word = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![word(rest)];
    };
    let mut names = vec![word(group.trim_start())];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(word(group[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Returns offsets of `word` in `code` where a path begins with it.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    whole_words(code, word).filter(|offset| !code[..*offset].ends_with("::"))
}

/// Returns offsets of `word` in `code` where it is not part of a longer word.
fn whole_words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let offsets = code.match_indices(word).map(|(offset, _)| offset);
    offsets.filter(move |offset| !code[..*offset].ends_with(part) && !code[offset + word.len()..].starts_with(part))
}

fn check_manifest(file: &File) -> Vec<String> {
    let after = file.text.split_once("[dependencies]").map_or("", |(_, after)| after);
    let section = after.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', '=', ' ']).next());
    let other = names
        .map(str::trim)
        .filter(|name| !["", "serde"].contains(name) && !name.starts_with('#'));
    other
        .map(|name| format!("{}: the model may depend on serde alone, not on `{name}`", file.path))
        .collect()
}

fn check_purity(file: &File) -> Vec<String> {
    let code = only(&file.text, Part::Code);
    let impure = IMPURE
        .iter()
        .flat_map(|word| whole_words(&code, word).map(move |offset| (offset, *word)));
    let mut found: Vec<_> = impure.map(|(offset, word)| (offset, word.to_owned())).collect();
    for (offset, _) in code.match_indices("std::") {
        let names = first_names(&code[offset + 5..]);
        found.extend(
            names
                .into_iter()
                .filter(|name| OUTSIDE.contains(&name.as_str()))
                .map(|name| (offset, name)),
        );
    }
    found
        .into_iter()
        .map(|(at, word)| format!("{}: `{word}` has no place in the model", file.at(at)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&[File::sample(path, text)]).len()
    }

    #[test]
    fn upward_imports_are_found() {
        assert_eq!(found("impl/src/set/driver.rs", "use crate::s3::S3;"), 1);
        assert_eq!(
            found(
                "impl/src/set/driver.rs",
                "use crate::{runtime::Rt, api::{self, read}, s3};"
            ),
            2
        );
        assert_eq!(
            found(
                "impl/src/set/driver.rs",
                "fn f() -> crate::api::Error { super::super::s3::go() }"
            ),
            2
        );
        assert_eq!(found("impl/src/drive/index/mod.rs", "use super::super::store;"), 1);
        assert_eq!(found("impl/src/api/read.rs", "let drive: crate::drive::LocalDrive;"), 1);
        assert_eq!(found("impl/src/cli/banner.rs", "use crate::drive::LocalDrive;"), 1);
        assert_eq!(found("impl/src/novel.rs", ""), 1);
    }

    #[test]
    fn imports_of_lower_layers_pass() {
        assert_eq!(
            found(
                "impl/src/set/driver.rs",
                "use crate::{drive, erasure::Codec, set::ErasureSet};"
            ),
            0
        );
        assert_eq!(
            found("impl/src/cli/server.rs", "use crate::{node::open, server::serve};"),
            0
        );
        assert_eq!(
            found(
                "impl/src/drive/local.rs",
                "// use crate::store;\nlet s = \"crate::wire\";"
            ),
            0
        );
        assert_eq!(
            found("impl/src/drive/local.rs", "use super::store; pub(crate) fn wire() {}"),
            0
        );
        assert_eq!(found("impl/src/lib.rs", "pub mod wire; use crate::wire;"), 0);
    }

    #[test]
    fn a_page_that_differs_is_found() {
        let row = |(name, allowed): (&str, &[&str])| format!("| {name} | does it | {} |\n", allowed.join(", "));
        let rows: String = LAYERS.map(row).concat();
        let found = |rows: &str| {
            let page = format!("# A\n\n| module | does | may use |\n|---|---|---|\n{rows}\n| x | y | z |\n");
            check_page(&[File::sample(PAGE, &page)]).len()
        };
        assert_eq!(found(&rows), 0);
        assert_eq!(
            found(&rows.replace("| drive, erasure, runtime |", "| drive, runtime |")),
            1
        );
        assert_eq!(found(&format!("{rows}| novel | does it | |\n")), 1);
        assert_eq!(found(""), LAYERS.len());
        assert_eq!(check_page(&[]).len(), 1);
    }

    #[test]
    fn crates_outside_their_layer_are_found() {
        assert_eq!(found("impl/src/api/read.rs", "use s3s::dto; use redb::Database;"), 2);
        assert_eq!(found("impl/src/s3/mod.rs", "use s3s::dto; use crate::s3s_like::x;"), 0);
    }

    #[test]
    fn an_impure_model_is_found() {
        let check = |path, text| check_model(&[File::sample(path, text)]).len();
        assert_eq!(
            check(
                "model/src/a.rs",
                "use std::{collections::HashMap}; fn f() -> f64 { std::time::now() }"
            ),
            3
        );
        assert_eq!(
            check("model/src/a.rs", "// no HashMap here\nuse std::collections::BTreeMap;"),
            0
        );
        let manifest =
            "[dependencies]\nserde.workspace = true\n# why\nrand = \"1\"\n\n[dev-dependencies]\nproptest = \"1\"\n";
        assert_eq!(check("model/Cargo.toml", manifest), 1);
    }
}
