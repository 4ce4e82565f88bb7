//! Buffers that go round: filled by the cutter, handed to batches as their text, and back.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes read at a time.
pub(crate) const CHUNK: usize = 256 << 10;

/// More buffers than threads can hold at once are not worth keeping.
const KEPT: usize = 32;

/// Buffers to use again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// An empty buffer.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK + CHUNK / 8))
    }

    /// Gives a buffer back. Those that a long line made huge are let go.
    pub(crate) fn put(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == 0 || buffer.capacity() > 4 * CHUNK {
            return;
        }
        buffer.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }
}
