//! Native lines: the fast paths and the strict one mean the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(found) = prefix_indexer_fuzz::read(bytes, "events") else { return };
    // An escaped key in front of each line sends it down the strict path, and changes nothing else.
    let strict: Vec<u8> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| {
            let object = line.iter().position(|byte| *byte == b'{').filter(|at| line[..*at].trim_ascii().is_empty());
            let (before, behind) = line.split_at(object.map_or(0, |at| at + 1));
            let key: &[u8] = if object.is_some() { b"\"\\u0078\":0," } else { b"" };
            [before, key, behind].concat()
        })
        .collect();
    // Only an object without any field becomes another line by this; it is bad before and after.
    if let Ok(expected) = prefix_indexer_fuzz::read(&strict, "events") {
        assert_eq!(found, expected);
    }
});
