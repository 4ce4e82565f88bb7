//! Bytes compared eight at a time, which beats a call for strings as short as names are.

use prefix_indexer_models::Span;

/// Eight bytes, the first one lowest; zeros behind the end.
#[inline]
pub(crate) fn load(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(word) => u64::from_le_bytes(*word),
        None => load_end(bytes, at),
    }
}

#[cold]
fn load_end(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or(&[]);
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Whether two parts of a text are the same. What is not in the text is not the same as anything.
#[inline]
pub(crate) fn is_same(text: &[u8], one: Span, other: Span) -> bool {
    let length = one.end.wrapping_sub(one.start);
    if length != other.end.wrapping_sub(other.start) || one.end.max(other.end) as usize > text.len() {
        return false;
    }
    let (one, other, length) = (one.start as usize, other.start as usize, length as usize);
    let mut at = 0;
    while at + 8 <= length {
        if load(text, one + at) != load(text, other + at) {
            return false;
        }
        at += 8;
    }
    let rest = (1u64 << (8 * (length - at))) - 1;
    (load(text, one + at) ^ load(text, other + at)) & rest == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_and_bytes_agree(text in "[ab]{0,40}", one in 0u32..40, other in 0u32..40, length in 0u32..24) {
            let span = |start| Span { start, end: start + length };
            let part = |start: u32| text.get(start as usize..(start + length) as usize);
            let expected = part(one).is_some() && part(one) == part(other);
            prop_assert_eq!(is_same(text.as_bytes(), span(one), span(other)), expected);
        }
    }
}
