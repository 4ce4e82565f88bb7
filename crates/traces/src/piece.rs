//! A part of a trace: cut in sequence, decoded anywhere.

use crate::{
    BadLine, Opening, TraceError, TraceOptions,
    format::{LineDecoder, events, parquet::RowRange},
    pool::Pool,
    rows::{Bad, Rows},
};
use memchr::{memchr, memrchr};
use prefix_indexer_models::{EventBatch, SourcePosition};
use std::sync::Arc;

/// A part of one input: some complete lines, or some rows. Cheap to send to another thread.
pub struct Piece {
    pub(crate) file: Arc<str>,
    pub(crate) options: Arc<TraceOptions>,
    pub(crate) pool: Pool,
    pub(crate) body: Body,
    /// Number of the first line (or row), from 1.
    pub(crate) first_line: u64,
    pub(crate) position: Option<SourcePosition>,
    pub(crate) opening: Option<Opening>,
    pub(crate) read_bytes: u64,
}

pub(crate) enum Body {
    /// Only says how an input was opened.
    Nothing,
    /// Lines, the last of them without its line end where `unfinished`.
    Lines { bytes: Vec<u8>, decoder: Box<dyn LineDecoder>, unfinished: bool },
    /// Rows of a Parquet file.
    Rows(RowRange),
}

/// What decoding a piece gave, beside the events in the batch.
#[derive(Debug, Default)]
pub struct PieceReport {
    /// Which input the piece was cut from.
    pub file: Arc<str>,
    /// Set on the first piece of each input: what was found when it was opened. That piece has no events.
    pub opening: Option<Opening>,
    /// Events in the batch.
    pub events: u64,
    /// Lines or rows left out because they are no valid events.
    pub bad_lines: u64,
    /// The first few of them.
    pub described: Vec<BadLine>,
    /// All of them as they were read, a line each (rows of Parquet as JSON), if the policy is to quarantine.
    pub quarantine: Vec<u8>,
    /// Where the input has been read to, if it is a source that can be resumed: committed together with the events of this
    /// and all earlier pieces, the next run goes on from there. Absent when this piece moves nothing.
    pub position: Option<SourcePosition>,
    /// Bytes of the input as stored (before decompression) that this piece took, for progress.
    pub read_bytes: u64,
}

impl Piece {
    /// Native events that are in memory already, a line each: the body of a request. `name` is what messages call it.
    ///
    /// ```
    /// use prefix_indexer_models::EventBatch;
    /// use prefix_indexer_traces::{Piece, TraceOptions};
    /// let piece = Piece::of_events("body", b"{\"prefix_id\": 1}\n".to_vec(), TraceOptions::default().into());
    /// let error = piece.decode(&mut EventBatch::new()).unwrap_err();
    /// assert_eq!(error.to_string(), "body:1: field `prefix_id`: a number where a string belongs");
    /// ```
    pub fn of_events(name: &str, lines: Vec<u8>, options: Arc<TraceOptions>) -> Piece {
        Piece {
            file: name.into(),
            options,
            pool: Pool::default(),
            read_bytes: lines.len() as u64,
            body: Body::Lines { bytes: lines, decoder: events::decoder(), unfinished: false },
            first_line: 1,
            position: None,
            opening: None,
        }
    }

    /// Which input the piece was cut from.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Decodes the piece into `batch`, replacing what is in it. Runs on any thread; the outcome depends on the piece only.
    ///
    /// # Errors
    /// [`TraceError::BadLine`] for the first line that is not a valid event, unless [`TraceOptions::bad_lines`] says
    /// otherwise; for Parquet also what the file's decoder says. The batch is empty then.
    pub fn decode(self, batch: &mut EventBatch) -> Result<PieceReport, TraceError> {
        batch.clear();
        let Piece { file, options, pool, body, first_line, mut position, opening, read_bytes } = self;
        let bad = match body {
            Body::Nothing => Bad::default(),
            Body::Rows(range) => {
                let decoded = range.decode(&file, &options, batch, first_line);
                let (text, bad) = decoded.inspect_err(|_| batch.clear())?;
                batch.replace_text(text);
                bad
            }
            Body::Lines { bytes, decoder, unfinished } => {
                let (mut text, invalid) = into_text(bytes, first_line);
                let mut rows = Rows::new(&text, invalid, &file, &options, batch, first_line, unfinished);
                let decoded = decoder.decode(&mut rows);
                let (extra, bad) = rows.finish();
                if let Err(error) = decoded {
                    batch.clear();
                    pool.put(text.into_bytes());
                    return Err(error);
                }
                text.push_str(&extra);
                pool.put(batch.replace_text(text).into_bytes());
                if unfinished && bad.count > 0 {
                    // Whoever writes it may finish it: then it is read again, whole.
                    position = None;
                }
                bad
            }
        };
        Ok(PieceReport {
            file,
            opening,
            events: batch.len() as u64,
            bad_lines: bad.count,
            described: bad.described,
            quarantine: bad.quarantine,
            position,
            read_bytes,
        })
    }
}

/// Makes a text of bytes. Lines that are not UTF-8 are overwritten with blanks and returned, with their numbers.
fn into_text(bytes: Vec<u8>, first_line: u64) -> (String, Vec<(u64, Vec<u8>)>) {
    let mut invalid = Vec::new();
    let (mut bytes, mut error) = match String::from_utf8(bytes) {
        Ok(text) => return (text, invalid),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            (error.into_bytes(), at)
        }
    };
    let (mut line, mut counted) = (first_line, 0);
    loop {
        let start = memrchr(b'\n', &bytes[..error]).map_or(0, |end| end + 1);
        let end = memchr(b'\n', &bytes[error..]).map_or(bytes.len(), |length| error + length);
        line += memchr::memchr_iter(b'\n', &bytes[counted..start]).count() as u64;
        counted = start;
        invalid.push((line, bytes[start..end].to_vec()));
        bytes[start..end].fill(b' ');
        match std::str::from_utf8(&bytes[end..]) {
            Ok(_) => break,
            Err(next) => error = end + next.valid_up_to(),
        }
    }
    // Valid by now: every part was looked at above.
    (String::from_utf8(bytes).unwrap_or_default(), invalid)
}
