//! The `prefix-indexer` command.
fn main() {}
