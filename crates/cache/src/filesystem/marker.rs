//! What a directory is: written when it is first used, checked ever after.

use super::{
    NAME,
    layout::{Escape, Layout, Places},
};
use crate::{CacheError, Result};
use std::{fs, io};

/// Refuses a directory that was made for another layout or by a newer program.
pub(super) fn check(places: &Places) -> Result<()> {
    let ours = match (places.layout, places.escape) {
        (Layout::Hashed, _) => "prefix-indexer cache 1 hashed\n",
        (Layout::Plain, Escape::Percent) => "prefix-indexer cache 1 plain percent\n",
        (Layout::Plain, Escape::Path) => "prefix-indexer cache 1 plain path\n",
    };
    let path = places.ours("layout");
    let found = match fs::read_to_string(&path) {
        // An empty one was being made when its process ended.
        Ok(found) if !found.is_empty() => found,
        Ok(_) => String::new(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(CacheError::backend(NAME, "cannot read the layout", error)),
    };
    if found.is_empty() {
        return fs::write(&path, ours).map_err(|error| CacheError::backend(NAME, "cannot write the layout", error));
    }
    if found != ours {
        let why = format!("{}: made as `{}`, opened as `{}`", places.root.display(), found.trim(), ours.trim());
        return Err(CacheError::config(NAME, why));
    }
    Ok(())
}
