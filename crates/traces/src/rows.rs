//! What decoders write into: events go to a batch, bad lines to a report.

use crate::{
    BadLine, BadLines, TraceError, TraceOptions,
    error::Fault,
    options::DEFAULT_NAME,
    scopes::{Scopes, Strings},
};
use memchr::memchr;
use prefix_indexer_models::{EventBatch, EventColumns, EventSlices, ScopeSpans, Span};
use std::sync::Arc;

/// Bad lines that a report describes; the rest is counted.
const DESCRIBED: usize = 16;

/// What is wrong in one piece.
#[derive(Debug, Default)]
pub(crate) struct Bad {
    pub(crate) count: u64,
    pub(crate) described: Vec<BadLine>,
    pub(crate) quarantine: Vec<u8>,
}

/// One piece while it is decoded.
pub(crate) struct Rows<'a> {
    text: &'a str,
    file: &'a Arc<str>,
    pub(crate) options: &'a TraceOptions,
    batch: &'a mut EventBatch,
    /// Strings that are not in `text` as they are: decoded escapes, made ids, default names.
    extra: String,
    scopes: Scopes,
    default_tenant: Span,
    default_model: Span,
    /// Lines of `text` that were blanked because they are not UTF-8, with their bytes.
    invalid: std::iter::Peekable<std::vec::IntoIter<(u64, Vec<u8>)>>,
    /// Where the next line begins.
    at: usize,
    line_start: usize,
    line_end: usize,
    line: u64,
    /// Whether the last line has no line end.
    unfinished: bool,
    bad: Bad,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(
        text: &'a str,
        invalid: Vec<(u64, Vec<u8>)>,
        file: &'a Arc<str>,
        options: &'a TraceOptions,
        batch: &'a mut EventBatch,
        first_line: u64,
        unfinished: bool,
    ) -> Rows<'a> {
        Rows {
            text,
            file,
            options,
            batch,
            extra: String::new(),
            scopes: Scopes::new(),
            default_tenant: Span::NONE,
            default_model: Span::NONE,
            invalid: invalid.into_iter().peekable(),
            at: 0,
            line_start: 0,
            line_end: 0,
            line: first_line - 1,
            unfinished,
            bad: Bad::default(),
        }
    }

    /// What goes behind the text, and what was wrong.
    pub(crate) fn finish(self) -> (String, Bad) {
        (self.extra, self.bad)
    }

    /// The whole text of the piece.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The text of a line.
    pub(crate) fn line(&self, line: Span) -> &'a str {
        self.text.get(line.start as usize..line.end as usize).unwrap_or("")
    }

    /// Goes to the next line that is not blank, and returns where it is.
    pub(crate) fn next_line(&mut self) -> Result<Option<Span>, TraceError> {
        let bytes = self.text.as_bytes();
        while let Some(rest) = bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            let length = memchr(b'\n', rest).unwrap_or(rest.len());
            self.line += 1;
            (self.line_start, self.line_end) = (self.at, self.at + length);
            self.at = self.line_end + 1;
            if !rest[..length].trim_ascii().is_empty() {
                return Ok(Some(Span { start: self.line_start as u32, end: self.line_end as u32 }));
            }
            if let Some((_, raw)) = self.invalid.next_if(|(line, _)| *line == self.line) {
                self.bad_bytes(Fault::line("not valid UTF-8"), &raw)?;
            }
        }
        Ok(None)
    }

    /// Where the next line begins.
    pub(crate) fn next_start(&self) -> usize {
        self.at
    }

    /// Goes behind the next line, which ends at `end`.
    #[inline]
    pub(crate) fn skip_line(&mut self, end: usize) {
        self.line += 1;
        self.at = end + 1;
    }

    /// Appends valid rows of a format without lines.
    pub(crate) fn push_rows(&mut self, events: &EventSlices<'_>) {
        self.line += events.prefix_id.len() as u64;
        self.batch.extend_columns(events);
    }

    /// Goes to the next row of a format without lines.
    pub(crate) fn next_row(&mut self) {
        self.line += 1;
    }

    /// Reports the current row; `raw` makes what is set aside of it.
    pub(crate) fn bad_row(&mut self, fault: Fault, raw: impl FnOnce() -> Vec<u8>) -> Result<(), TraceError> {
        let raw = if self.options.bad_lines == BadLines::Quarantine { raw() } else { Vec::new() };
        self.bad_bytes(fault, &raw)
    }

    /// The strings behind the text.
    pub(crate) fn owned(&self) -> &[u8] {
        self.extra.as_bytes()
    }

    /// Reports the current line.
    pub(crate) fn bad(&mut self, fault: Fault) -> Result<(), TraceError> {
        let text = self.text;
        self.bad_bytes(fault, &text.as_bytes()[self.line_start..self.line_end])
    }

    fn bad_bytes(&mut self, fault: Fault, raw: &[u8]) -> Result<(), TraceError> {
        let last = self.line_end == self.text.len();
        let hint =
            if self.unfinished && last { " (the last line has no line end: is it still being written?)" } else { "" };
        let reason = format!("{}{hint}", fault.reason);
        let line = BadLine { file: Arc::clone(self.file), line: self.line, field: fault.field, reason };
        self.bad.add(line, self.options.bad_lines, raw)
    }

    /// A string of the piece.
    pub(crate) fn str(&self, span: Span) -> &str {
        let (start, end, base) = (span.start as usize, span.end as usize, self.text.len());
        let found =
            if start >= base { self.extra.get(start - base..end.max(base) - base) } else { self.text.get(start..end) };
        found.unwrap_or("")
    }

    /// Where a part of the piece's text is.
    pub(crate) fn span_of(&self, part: &str) -> Span {
        let start = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        match start.checked_add(part.len()) {
            Some(end) if end <= self.text.len() && !part.is_empty() => Span { start: start as u32, end: end as u32 },
            _ => Span::NONE,
        }
    }

    /// Puts a string behind the text.
    pub(crate) fn own(&mut self, text: &str) -> Span {
        if text.is_empty() {
            return Span::NONE;
        }
        let start = (self.text.len() + self.extra.len()) as u32;
        self.extra.push_str(text);
        Span { start, end: start + text.len() as u32 }
    }

    /// Tenant for events that name none.
    pub(crate) fn default_tenant(&mut self) -> Span {
        if self.default_tenant.is_none() {
            let options = self.options;
            self.default_tenant = self.own(options.tenant.as_deref().unwrap_or(DEFAULT_NAME));
        }
        self.default_tenant
    }

    /// Model for events that name none.
    pub(crate) fn default_model(&mut self) -> Span {
        if self.default_model.is_none() {
            let options = self.options;
            self.default_model = self.own(options.model_id.as_deref().unwrap_or(DEFAULT_NAME));
        }
        self.default_model
    }

    /// The number of a tenant and model. A trace alternates between few, so they are remembered.
    #[inline]
    pub(crate) fn scope(&mut self, tenant: Span, model_id: Span) -> u32 {
        let strings = Strings { text: self.text.as_bytes(), behind: self.extra.as_bytes() };
        let Rows { scopes, batch, .. } = self;
        scopes.number(strings, tenant, model_id, || batch.push_scope(ScopeSpans { tenant, model_id }))
    }

    /// Appends a valid event.
    #[inline]
    pub(crate) fn push(&mut self, event: EventColumns) {
        self.batch.push_columns(event);
    }
}

impl Bad {
    /// Counts a bad line, or makes it the error that it is by `policy`.
    pub(crate) fn add(&mut self, line: BadLine, policy: BadLines, raw: &[u8]) -> Result<(), TraceError> {
        if policy == BadLines::Fail {
            return Err(TraceError::BadLine(Box::new(line)));
        }
        self.count += 1;
        if self.described.len() < DESCRIBED {
            self.described.push(line);
        }
        if policy == BadLines::Quarantine {
            self.quarantine.extend_from_slice(raw);
            self.quarantine.push(b'\n');
        }
        Ok(())
    }
}
