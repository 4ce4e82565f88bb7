//! The one list of formats.
//!
//! Help, documentation, sniffing and tests walk [`FORMATS`]. A new format is one file and one line here.

mod bailian;
mod blocks;
pub(crate) mod events;
mod mooncake;
pub(crate) mod parquet;

use crate::{TraceError, rows::Rows};
use std::fmt;

/// A format of traces.
pub struct Format {
    /// What it is called on the command line.
    pub name: &'static str,
    /// One line for help texts.
    pub help: &'static str,
    /// Whether a file that begins with these bytes (its first complete line, or all of a shorter file) is one.
    pub(crate) sniff: fn(&[u8]) -> bool,
    pub(crate) reader: Reader,
}

/// How the files of a format are taken apart.
#[derive(Clone, Copy)]
pub(crate) enum Reader {
    /// At line ends; lines are decoded by what this makes.
    Lines(fn() -> Box<dyn LineFormat>),
    /// By rows, with an index at its end.
    Rows,
}

/// The sequential half of a line format: sees the pieces of one file in order and remembers what later ones need.
pub(crate) trait LineFormat: Send {
    /// Makes the decoder of the next piece.
    fn next(&mut self, lines: &[u8]) -> Box<dyn LineDecoder>;

    /// Whether the lines before a resumed position must be shown to [`next`](Self::next), too.
    fn needs_history(&self) -> bool;
}

/// The parallel half: decodes the lines of one piece.
pub(crate) trait LineDecoder: Send {
    /// Decodes all lines. The first bad one is an error where bad lines are.
    fn decode(self: Box<Self>, rows: &mut Rows<'_>) -> Result<(), TraceError>;
}

/// All formats, in the order in which they are tried.
pub static FORMATS: &[Format] = &[events::FORMAT, mooncake::FORMAT, bailian::FORMAT, parquet::FORMAT];

impl Format {
    /// The format of a name; `auto` is none, that is, to be recognised.
    ///
    /// # Errors
    /// [`TraceError::UnknownFormat`] lists the known ones.
    pub fn by_name(name: &str) -> Result<Option<&'static Format>, TraceError> {
        if name == "auto" {
            return Ok(None);
        }
        let found = FORMATS.iter().find(|format| format.name == name);
        found.map(Some).ok_or_else(|| TraceError::UnknownFormat { name: name.to_owned(), known: known() })
    }

    /// The format of a file that begins with `head`.
    pub fn sniff(head: &[u8]) -> Option<&'static Format> {
        FORMATS.iter().find(|format| (format.sniff)(head))
    }
}

/// The names of all formats, for messages.
pub(crate) fn known() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Format").field(&self.name).finish()
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Format) -> bool {
        self.name == other.name
    }
}
