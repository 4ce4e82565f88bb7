//! What the queue locks with: std's, where `tests/queue_models.rs` puts loom's.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool};
