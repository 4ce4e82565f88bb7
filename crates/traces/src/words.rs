//! Bytes taken eight at a time.

/// Eight bytes, the first one lowest; zeros behind the end.
#[inline]
pub(crate) fn load(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(word) => u64::from_le_bytes(*word),
        None => load_end(bytes, at),
    }
}

/// As [`load`], two words.
#[inline]
pub(crate) fn load_two(bytes: &[u8], at: usize) -> u128 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(words) => u128::from_le_bytes(*words),
        None => u128::from(load(bytes, at)) | u128::from(load(bytes, at.saturating_add(8))) << 64,
    }
}

#[cold]
fn load_end(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or(&[]);
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::load;

    #[test]
    fn behind_the_end_are_zeros() {
        let bytes: Vec<u8> = (1..=11).collect();
        for at in 0..14 {
            let mut word = [0; 8];
            for (byte, found) in word.iter_mut().zip(bytes.iter().skip(at)) {
                *byte = *found;
            }
            assert_eq!(load(&bytes, at), u64::from_le_bytes(word), "{at}");
        }
        assert_eq!(load(&bytes, usize::MAX), 0);
    }
}
