//! Files of the workspace.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Text file of the workspace.
pub struct File {
    /// Path from the workspace's root, with forward slashes.
    pub path: String,
    pub text: String,
}

impl File {
    /// Makes a sample for a check's own tests.
    #[cfg(test)]
    pub fn sample(path: &str, text: &str) -> File {
        File {
            path: path.into(),
            text: text.into(),
        }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Returns whether it is documentation: the README, a specification, a package's notes.
    pub fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// Returns `path:line`, counted from 1, for the byte at `offset`.
    pub fn at(&self, offset: usize) -> String {
        let line = self.text[..offset].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }
}

/// Returns the workspace's root, which has the lock file.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    root.expect("the package lies in the workspace").to_owned()
}

/// Loads all source, manifests and documentation, without generated files; sorted by path.
pub fn load() -> Vec<File> {
    let mut files = Vec::new();
    walk(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace is readable") {
        let entry = entry.expect("an entry of the workspace is readable");
        let name = entry
            .file_name()
            .into_string()
            .expect("names in the workspace are Unicode");
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() && !skipped(&name) {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() && [".rs", ".md", "Cargo.toml"].iter().any(|end| name.ends_with(end)) {
            let text = fs::read_to_string(entry.path()).expect("text files of the workspace are UTF-8");
            files.push(File { path, text });
        }
    }
}

/// Returns whether a folder holds generated files. A hidden one belongs to a tool, except for those of the project.
fn skipped(name: &str) -> bool {
    let ours = [".ci", ".cargo"].contains(&name);
    ["target", "snapshots", "__fuzz__", "corpus"].contains(&name) || name.starts_with('.') && !ours
}
