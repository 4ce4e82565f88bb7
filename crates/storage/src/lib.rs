//! The index on disk, and the stores behind one trait.
//!
//! A store takes batches of events ([`IndexStore::append`], durable when it returns) or whole tables
//! ([`IndexStore::load`]) and shows a [`View`]: immutable ranked segments, newest first, of which a query reads
//! as many records as it asks for. The [segment store](StoreKind::Segments) keeps its segments in memory-mapped files beside a
//! write-ahead log and a manifest; the JSON Lines and memory stores keep the same segments on the heap. Whatever the store,
//! a segment is written once, already ranked, and holds totals, so merging segments never changes an answer.
//!
//! This crate reads no clock, starts no network and does not know what is in its side files. Byte positions are known to
//! `format` alone, bincode to `codec` alone, and `mmap` holds the only `unsafe`.

mod abandoned_log;
mod codec;
mod compaction;
mod core;
mod error;
mod files;
mod follower;
mod format;
mod front;
mod heap;
mod id_window;
mod index_reader;
mod inspect;
mod jsonl;
mod kinds;
mod lineage;
mod live;
mod live_store;
mod lock;
mod log;
mod log_record;
mod manifest;
mod merge;
mod mmap;
mod rank;
mod retention;
mod runs;
mod seen;
mod segment;
mod segment_file;
mod side;
mod source;
mod store;
mod sync_thread;
mod view;

pub use error::StorageError;
pub use follower::{Follower, FollowerKind, MakeFollower};
pub use index_reader::IndexReader;
pub use inspect::{Inspection, LogReport, SegmentReport, SideReport, inspect};
pub use kinds::{OpenOptions, StoreKind, open};
pub use merge::write_merged;
pub use segment::{Row, Segment, TablePart, write_tables};
pub use source::Source;
pub use store::{Appended, Batch, BatchId, Commit, Counters, Forget, IndexStore, Reader, StoreStatus};
pub use view::{Order, Ranked, Scope, View};
