//! Traces of prefix use, read into columnar batches of events.
//!
//! [`Inputs`] finds files, patterns and standard input. Opening them gives [`Pieces`], an iterator that only reads,
//! decompresses and cuts at line ends; each [`Piece`] is then [decoded](Piece::decode) on any thread into an
//! [`EventBatch`](prefix_indexer_models::EventBatch), with a [`PieceReport`] that says what was wrong and how far the
//! source has been read. Folding the batches in the order of their pieces gives the same result on one thread as on
//! many.
//!
//! Formats are one list, [`FORMATS`]; compression is recognised by its first bytes. This crate knows files and bytes: not
//! what events add up to, nor where positions are kept.
//!
//! ```
//! use prefix_indexer_models::EventBatch;
//! use prefix_indexer_traces::{Inputs, TraceOptions};
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("trace.jsonl");
//! std::fs::write(&path, "{\"timestamp\": 7, \"hash_ids\": [0, 1, 2]}\n")?;
//! let mut batch = EventBatch::new();
//! let mut ids = Vec::new();
//! for piece in Inputs::from_args([&path])?.open(TraceOptions::default(), |_| Vec::new()) {
//!     piece?.decode(&mut batch)?;
//!     ids.extend(batch.iter().map(|event| event.prefix_id.to_owned()));
//! }
//! assert_eq!(ids, ["0", "1", "2"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compress;
mod error;
mod follow;
mod format;
mod inputs;
mod json;
mod lines;
mod options;
mod piece;
mod pieces;
mod place;
mod pool;
mod resume;
mod rows;
mod scopes;
mod stream;
mod words;

pub use error::{BadLine, TraceError};
pub use follow::Following;
pub use format::{FORMATS, Format};
pub use inputs::Inputs;
pub use options::{BadLines, DEFAULT_BLOCK_BYTES, DEFAULT_NAME, TraceOptions};
pub use piece::{Piece, PieceReport};
pub use pieces::Pieces;
pub use resume::Opening;
