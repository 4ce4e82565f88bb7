//! Parquet files.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: prefix_indexer_fuzz::allow_caught_panics(), |bytes: &[u8]| {
    let _ = prefix_indexer_fuzz::read(bytes, "parquet");
});
