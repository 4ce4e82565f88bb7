//! Qwen-Bailian lines.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = prefix_indexer_fuzz::read(bytes, "bailian");
});
