//! The cache's one bincode codec: variable-length integers, little-endian, whole input or nothing.

use super::MAX_DECODED;
use crate::{CacheError, Result};
use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use serde::{Serialize, de::DeserializeOwned};
use std::{io, sync::Arc};

/// With a limit: without one, a length in hostile bytes would be allocated and abort the process.
type Config = Configuration<LittleEndian, Varint, Limit<{ MAX_DECODED as usize }>>;

const CONFIG: Config = standard().with_limit::<{ MAX_DECODED as usize }>();

pub(super) fn encode<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<()> {
    bincode::serde::encode_into_std_write(value, into, CONFIG).map(drop).map_err(failed)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, CONFIG).map_err(failed)?;
    if used != bytes.len() {
        return Err(failed(io::Error::other(format!("{} bytes follow the value", bytes.len() - used))));
    }
    Ok(value)
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> CacheError {
    CacheError::Codec { codec: "bincode", source: Arc::new(source) }
}
