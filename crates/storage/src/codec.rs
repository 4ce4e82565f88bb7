//! bincode, and nothing else, so that the codec of the format has one home.
//!
//! Fixed-width little-endian integers: a struct of integers and arrays encodes to the bytes of its in-memory layout without
//! padding, which is what lets mapped records be read in place. Decoding has a limit, because a hostile length would
//! otherwise allocate until the process dies, and refuses trailing bytes.
//!
//! The bodies of log records are read once, from front to back, so they use bincode's variable-length integers.

use bincode::config;
pub(crate) use bincode::{Decode, Encode};

/// The most that one decoded value may allocate, in bytes.
const LIMIT: usize = 1 << 30;

fn layout() -> impl config::Config {
    config::standard().with_fixed_int_encoding().with_little_endian().with_limit::<LIMIT>()
}

/// Appends the encoding of `value` to `out`.
///
/// # Errors
/// bincode's, for a value that it cannot encode or that exceeds the limit.
pub(crate) fn encode(value: &impl Encode, out: &mut Vec<u8>) -> Result<usize, bincode::error::EncodeError> {
    bincode::encode_into_std_write(value, out, layout())
}

/// Decodes a value that fills `bytes`.
///
/// # Errors
/// bincode's for bytes that are not such a value, and for bytes left over.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, bincode::error::DecodeError> {
    let (value, used) = bincode::decode_from_slice(bytes, layout())?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(bincode::error::DecodeError::OtherString(format!("{} bytes left over", bytes.len() - used)))
    }
}

/// Appends the encoding of `value` with variable-length integers to `out`.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_compact(value: &impl Encode, out: &mut Vec<u8>) -> Result<usize, bincode::error::EncodeError> {
    bincode::encode_into_std_write(value, out, config::standard().with_limit::<LIMIT>())
}

/// Decodes a value of [`encode_compact`] that fills `bytes`.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_compact<T: Decode<()>>(bytes: &[u8]) -> Result<T, bincode::error::DecodeError> {
    let (value, used) = bincode::decode_from_slice(bytes, config::standard().with_limit::<LIMIT>())?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(bincode::error::DecodeError::OtherString(format!("{} bytes left over", bytes.len() - used)))
    }
}
