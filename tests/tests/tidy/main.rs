//! Layering and style as tests, so that reviews need not look for them.
//!
//! Each check is a function from files to violations, with a test in which it must find one, so that a check that has
//! gone silent is noticed. Everything is textual: quick, and good enough for this code.
#![allow(clippy::disallowed_methods, reason = "it reads the workspace, outside of any server")]

mod decisions;
mod imports;
mod links;
mod lints;
mod mutants;
mod rules;
mod shape;
mod text;
mod tree;

use tree::File;

/// Fails with one line per violation.
fn expect_none(violations: Vec<String>) {
    assert!(
        violations.is_empty(),
        "\n{} violations:\n{}\n",
        violations.len(),
        violations.join("\n")
    );
}

#[test]
fn the_tree_is_read() {
    let files = tree::load();
    for path in [
        "README.md",
        "impl/src/lib.rs",
        "model/src/lib.rs",
        "tests/tests/tidy/main.rs",
        "model/Cargo.toml",
    ] {
        assert!(files.iter().any(|file| file.path == path), "{path} was not found");
    }
    assert!(
        files.iter().all(|file| !file.path.contains("target/")),
        "generated files were read"
    );
}

#[test]
fn modules_import_only_what_lies_below() {
    expect_none(imports::check(&tree::load()));
}

#[test]
fn the_page_has_the_table_of_layers() {
    expect_none(imports::check_page(&tree::load()));
}

#[test]
fn the_model_is_pure() {
    expect_none(imports::check_model(&tree::load()));
}

#[test]
fn rules_are_defined_and_cited() {
    expect_none(rules::check(&tree::load()));
}

#[test]
fn mutants_stand_for_bugs_of_the_field() {
    expect_none(mutants::check(&tree::load()));
}

#[test]
fn files_and_lines_are_short() {
    expect_none(shape::check(&tree::load()));
}

#[test]
fn decisions_are_dated_and_listed() {
    expect_none(decisions::check(&tree::load()));
}

#[test]
fn links_and_paths_lead_somewhere() {
    expect_none(links::check(&tree::load()));
}

#[test]
fn lints_are_silenced_with_a_reason() {
    expect_none(lints::check_allows(&tree::load()));
}

#[test]
fn nothing_is_left_to_do() {
    expect_none(lints::check_placeholders(&tree::load()));
}

#[test]
fn select_is_biased() {
    expect_none(lints::check_select(&tree::load()));
}
