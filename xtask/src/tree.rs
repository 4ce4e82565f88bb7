//! The files of the repository, found without asking git, so that an unpacked archive is checked as well.

use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Directories that hold what is made, not what is written; from the root.
const MADE: &[&str] = &["target", ".git", "fixtures/large", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"];

/// All files under the root, sorted.
pub(crate) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let made: Vec<PathBuf> = MADE.iter().map(|name| root.join(name)).collect();
    let (mut files, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() && !made.contains(&path) {
                open.push(path);
            } else if kind.is_file() && !made.contains(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
