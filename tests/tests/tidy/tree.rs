//! The workspace's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text file of the workspace.
pub struct File {
    /// Its path from the workspace's root, with forward slashes.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl File {
    /// A sample for a check's own tests.
    #[cfg(test)]
    pub fn sample(path: &str, text: &str) -> File {
        File {
            path: path.into(),
            text: text.into(),
        }
    }

    /// Whether it is Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is documentation: the README, a specification, a package's notes.
    pub fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// `path:line`, counted from 1, for the byte at `offset`.
    pub fn at(&self, offset: usize) -> String {
        let line = self.text[..offset].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }
}

/// The workspace's root: where the lock file is.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    root.expect("the package lies in the workspace").to_owned()
}

/// All source, manifests and documentation, without what is generated; sorted by path.
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

/// Folders that hold what tools have made. A hidden one is a tool's, but for those of the project.
fn skipped(name: &str) -> bool {
    let ours = [".ci", ".cargo"].contains(&name);
    ["target", "snapshots", "__fuzz__", "corpus"].contains(&name) || name.starts_with('.') && !ours
}
