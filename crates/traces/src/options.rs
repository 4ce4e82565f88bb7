//! How a trace is to be read.

use crate::Format;

/// What to do with a line that is not a valid event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadLines {
    /// The first one, in the order of the input, is an error.
    #[default]
    Fail,
    /// Counted and left out.
    Skip,
    /// Counted, left out, and handed out as it was read, to be written elsewhere.
    Quarantine,
}

/// Default of [`TraceOptions::block_bytes`].
pub const DEFAULT_BLOCK_BYTES: u64 = 1 << 20;

/// Tenant and model of events that name none.
pub const DEFAULT_NAME: &str = "default";

/// How a trace is to be read.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The format, if it is known; otherwise each file's own is recognised by its first line.
    pub format: Option<&'static Format>,
    /// Tenant of events that name none. It never replaces one that is named. Without it, native events must name
    /// theirs, and blocks of other formats belong to [`DEFAULT_NAME`].
    pub tenant: Option<String>,
    /// Model of events that name none, likewise.
    pub model_id: Option<String>,
    /// Bytes of a block in the formats that do not say (Mooncake, Bailian).
    pub block_bytes: u64,
    /// What to do with bad lines.
    pub bad_lines: BadLines,
}

impl Default for TraceOptions {
    fn default() -> TraceOptions {
        TraceOptions {
            format: None,
            tenant: None,
            model_id: None,
            block_bytes: DEFAULT_BLOCK_BYTES,
            bad_lines: BadLines::Fail,
        }
    }
}
