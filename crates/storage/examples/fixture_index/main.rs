//! Makes the index that a test reopens for ever: `cargo run --example fixture_index -- fixtures/index-v1`.
//!
//! To be run once for each format version, never again for an old one.

mod content;

use std::path::Path;

fn main() -> Result<(), prefix_indexer_storage::StorageError> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "fixtures/index-v1".to_owned());
    content::make(Path::new(&dir))
}
